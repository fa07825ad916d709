"""What instances tell each other: heartbeats with a snapshot, and counters of the day.

One narrow protocol each; the contract suite in tests/contract holds every implementation to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.balancing.budget import KeySnapshot

DEAD_AFTER_S = 3.0
"""An instance whose last heartbeat is older than this is taken for dead."""


@dataclass(frozen=True, slots=True)
class InstanceSnapshot:
    """What an instance says of itself each second. `slots` is how many jobs it runs at once at the most.

    It is `ready` once it has loaded all that its jobs need. `clock_offset` is between its steady and its monotonic
    clock, for others of the same `boot_id` to adopt. `acked`: how many interactions it deferred in the last minute, of
    which half and 99 % took no more than these seconds.
    """

    instance: int
    pid: int = 0
    address: str = ""
    version: str = ""
    started_at: float = 0.0
    running: int = 0
    slots: int = 0
    draining: bool = False
    ready: bool = True
    boot_id: str = ""
    clock_offset: float = 0.0
    acked: int = 0
    ack_p50_s: float | None = None
    ack_p99_s: float | None = None
    keys: Mapping[str, KeySnapshot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """An instance's last sign of life, wall clock seconds."""

    beat_at: float
    snapshot: InstanceSnapshot


class Cluster(Protocol):
    """Heartbeats and snapshots of all instances."""

    async def beat(self, snapshot: InstanceSnapshot, *, now: float) -> None:
        """Record a sign of life, replacing the instance's last one."""

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Return the last sign of life of every instance that ever gave one."""

    async def leave(self, instance: int) -> None:
        """Forget an instance that ends in good order, so that nobody waits for it."""


class Counters(Protocol):
    """Counters by UTC day and name; they only grow."""

    async def add(self, day: str, name: str, amount: int = 1) -> int:
        """Add and return the new value, durably."""

    async def values(self, day: str) -> Mapping[str, int]:
        """Return every counter of the day."""

    async def forget(self, *, before_day: str) -> None:
        """Drop the counters of days before this one."""


class CallLog(Protocol):
    """When each key was used, so that no restart forgets what a window holds. Times are wall clock seconds."""

    async def record(self, key: str, *, day: str, at: float) -> int:
        """Note a call that is about to start, durably; returns the key's calls of the day."""

    async def since(self, key: str, at: float) -> Sequence[float]:
        """Return the starts of the key's calls after `at`."""

    async def by_minute(self, keys: Sequence[str], *, since: float, until: float) -> Mapping[str, Mapping[int, int]]:
        """Return how many calls of each key started in each minute, from that of `since` to that of `until`.

        A minute is named by `at // 60`; those without a call are left out.
        """

    async def of_day(self, key: str, day: str) -> int:
        """Return the key's calls of a day."""

    async def forget(self, *, before: float) -> None:
        """Drop the starts before this moment; the counts of days stay."""
