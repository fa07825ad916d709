"""Time, injected: nothing else in the product asks the operating system what time it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

SLEW: Final = 0.05
"""Seconds the steady clock moves towards the wall clock in each second."""

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What the product knows of time."""

    def now(self) -> float:
        """Seconds since the epoch, steadily: for leases, deadlines, and whatever instances tell each other."""

    def wall(self) -> float:
        """Seconds since the epoch as this machine has it at this moment, jumps and all: for what comes from outside."""

    def monotonic(self) -> float:
        """Seconds that never go backwards: for measuring durations inside this process."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`; zero or less only yields to other tasks."""


class SystemClock:
    """The machine's own clock, made steady.

    Somebody sets the clock by an hour, and every lease would be over and every job too late. So `now` runs with the
    monotonic clock and only slews towards the wall clock, slowly. Instances on one machine share the monotonic clock; a
    new one adopts the others' `offset` between the two, and so agrees with them although the wall clock has jumped.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._slewed_at = monotonic()
        self.offset = wall() - self._slewed_at

    def now(self) -> float:
        monotonic = self._monotonic()
        most = (monotonic - self._slewed_at) * SLEW
        behind = self._wall() - monotonic - self.offset
        self.offset += max(-most, min(most, behind))
        self._slewed_at = monotonic
        return monotonic + self.offset

    def wall(self) -> float:
        return self._wall()

    def monotonic(self) -> float:
        return self._monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def boot_id() -> str:
    """Return what names this run of this machine, within which monotonic clocks agree; empty if it is not known."""
    try:
        return BOOT_ID_FILE.read_text().strip()
    except OSError:
        return ""
