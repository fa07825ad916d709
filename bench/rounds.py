"""Rounds: every contestant in turn with the same requests, so that a pair shares the machine's mood."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench.contestants import BARE, CONTESTANTS, DISCORD_HTTP, HIKARI, QUARTET
from bench.interactions import Signer, presigned
from bench.measure import Measurement, Plan, measure

SIGNED_PER_SECOND = 14_000
"""Requests prepared for each second of a run; the run of a server that answers more ends early, and counts as it is."""


ALL = (QUARTET, HIKARI, DISCORD_HTTP, BARE)
QUICK = (QUARTET, HIKARI)


def measured(count: int, plan: Plan, names: Sequence[str] = ALL) -> list[dict[str, Measurement]]:
    """Measure `count` rounds of these contestants, showing progress."""
    signer = Signer.make()
    size = int(SIGNED_PER_SECOND * (plan.seconds + plan.warm_up_s))
    rounds = []
    for number in range(1, count + 1):
        _show(f"round {number} of {count}: signing {size:,} interactions")
        requests = presigned(signer, size)
        round_ = {}
        for name in names:
            round_[name] = measure(CONTESTANTS[name], requests, signer, plan)
            _show(f"round {number} of {count}: {name} {round_[name].acks_per_second:,.0f} acks/s")
        rounds.append(round_)
    return rounds


def _show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
