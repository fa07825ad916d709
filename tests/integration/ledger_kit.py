"""Reads the simulator's ledger: the judge of what really happened."""

from __future__ import annotations

from collections import Counter
from typing import Any

from simulator.check import Report, check
from simulator.server import SimulatorServer


def calls(sim: SimulatorServer, provider: str, *, costly: bool = True) -> list[dict[str, Any]]:
    """Return a provider's calls in order."""
    events = sim.ledger.since(0)
    return [e for e in events if e["event"] == "provider_call" and e["provider"] == provider and e["costly"] == costly]


def keys_of(sim: SimulatorServer, provider: str, *, costly: bool = True) -> Counter[str]:
    """Return how often each key was used."""
    return Counter(call["key"] for call in calls(sim, provider, costly=costly))


def judged(sim: SimulatorServer) -> Report:
    """Return the checker's report; fail at once with what was violated."""
    report = check(sim.ledger.since(0))
    assert report.ok, report.violations()
    return report
