"""Time, injected: nothing else in the product asks the operating system what time it is."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the product knows of time."""

    def now(self) -> float:
        """Wall clock, seconds since the epoch: for what other processes or people read."""

    def monotonic(self) -> float:
        """Seconds that never go backwards: for measuring durations inside this process."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`; zero or less only yields to other tasks."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
