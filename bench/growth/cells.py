"""What grows, and by which steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

SQLITE, REDIS = "SQLite", "Redis"


class Axis(StrEnum):
    """What grows while all else stays."""

    KEPT = "kept"
    WAITING = "waiting"
    INSTANCES = "instances"
    BODIES = "bodies"
    USERS = "users"


TITLES = {
    Axis.KEPT: "finished jobs kept",
    Axis.WAITING: "jobs waiting",
    Axis.INSTANCES: "instances on this machine",
    Axis.BODIES: "bytes of a body",
    Axis.USERS: "users",
}

STEPS = {
    Axis.KEPT: (0, 10_000, 100_000, 1_000_000),
    Axis.WAITING: (0, 1_000, 10_000),
    Axis.INSTANCES: (1, 2, 4, 8, 16),
    Axis.BODIES: (1024, 2048, 4096, 8192, 16384),
    Axis.USERS: (10, 100, 1_000, 10_000, 100_000),
}

QUICK = {
    Axis.KEPT: (0, 100_000),
    Axis.WAITING: (0, 10_000),
    Axis.INSTANCES: (1, 4),
    Axis.BODIES: (1024, 16384),
    Axis.USERS: (10, 100_000),
}

ON_REDIS = (Axis.KEPT, Axis.USERS)
"""What the store has to do with: the rest costs the same, whichever it is."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One size of one axis, on one store; all that does not grow is as in `bench acks`."""

    axis: Axis
    size: int
    store: str = SQLITE

    @property
    def name(self) -> str:
        """How it is called in the report and on the screen."""
        return f"{self.store}: {self.size:,} {TITLES[self.axis]}"

    def of(self, axis: Axis, otherwise: int) -> int:
        """Return this cell's size if that is what grows here, else what is usual."""
        return self.size if self.axis is axis else otherwise


def cells(axes: Collection[Axis], stores: Collection[str], *, quick: bool) -> Sequence[Sequence[Cell]]:
    """Return the cells in series: those of a series are measured in turns, and compared with its first."""
    steps = QUICK if quick else STEPS
    return [
        [Cell(axis, size, store) for size in steps[axis]]
        for store in stores
        for axis in axes
        if store == SQLITE or axis in ON_REDIS
    ]
