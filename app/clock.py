"""Time, injected: nothing else in the product asks the operating system what time it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

SLEW: Final = 0.05
"""Seconds the steady clock moves towards the wall clock in each second."""

FOLLOW_EVERY_S: Final = 30.0
FOLLOW_SAMPLES: Final = 10
GOOD_ANSWER_S: Final = 0.02
"""An answer this quick is exact enough, and no other is asked for."""

POOR_ANSWER_S: Final = 0.1
"""The clock could be off by half of this: rather keep what was measured before than believe slower answers."""

_BOOTTIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)

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
    `ahead` is how far the clock that instances on several machines share is ahead of this machine's.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.wall = wall  # the functions themselves: these are asked several times for each interaction
        self.monotonic = monotonic
        self._slewed_at = monotonic()
        self.offset = wall() - self._slewed_at
        self.ahead = 0.0

    def now(self) -> float:
        monotonic = self.monotonic()
        most = (monotonic - self._slewed_at) * SLEW
        behind = self.wall() + self.ahead - monotonic - self.offset
        self.offset += max(-most, min(most, behind))
        self._slewed_at = monotonic
        return monotonic + self.offset

    def follow(self, shared: float, *, at_once: bool = False) -> None:
        """Run towards a clock that shows `shared` at this moment, slowly or at once."""
        self.ahead = shared - self.wall()
        if at_once:
            self._slewed_at = self.monotonic()
            self.offset = shared - self._slewed_at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def since_boot() -> float:
    """Seconds that also pass while the machine sleeps (Linux: CLOCK_BOOTTIME): for rights that others take back then.

    Where there is no such clock it is the monotonic one.
    """
    return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()


class SharedClock:
    """Lets this machine's clock follow the one that all who share a store agree on, if there is one.

    `ask` returns what it shows, seconds since the epoch; None if there is none.
    """

    def __init__(self, clock: Clock, ask: Callable[[], Awaitable[float | None]]) -> None:
        self._clock = clock
        self._ask = ask

    async def adopt(self) -> bool:
        """Take over its time, from the quickest of a few answers; False if there is none to take over."""
        return await self._measure(at_once=True)

    async def keep_following(self) -> None:
        """Measure now and then how far it is ahead, until cancelled: machines' clocks drift, and are set."""
        while True:
            await self._clock.sleep(FOLLOW_EVERY_S)
            await self._measure(at_once=False)

    async def _measure(self, *, at_once: bool) -> bool:
        clock = self._clock
        if not isinstance(clock, SystemClock):
            return False
        quickest = None
        for _ in range(FOLLOW_SAMPLES):
            asked_at = clock.monotonic()
            shown = await self._ask()
            if shown is None:
                return False
            took = clock.monotonic() - asked_at
            difference = shown + took / 2 - clock.wall()
            if quickest is None or took < quickest[0]:
                quickest = took, difference
            if took <= GOOD_ANSWER_S:
                break
        if quickest is not None and (at_once or quickest[0] <= POOR_ANSWER_S):
            clock.follow(clock.wall() + quickest[1], at_once=at_once)
        return True


def boot_id() -> str:
    """Return what names this run of this machine, within which monotonic clocks agree; empty if it is not known."""
    try:
        return BOOT_ID_FILE.read_text().strip()
    except OSError:
        return ""
