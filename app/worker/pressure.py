"""How busy this process is, and how much less often growing answers are read and shown for it.

Acks, leases and final answers come first: what only makes an answer grow smoothly gives way to them. Whoever paces such
work sleeps anyway; how late it wakes up tells how late everything else is, at no cost.
"""

from __future__ import annotations

import asyncio
from typing import Final

from app.clock import Clock

FREE_S: Final = 0.02
"""So late is nobody's trouble: a timer's own grain, and a few others whose turn comes first."""

EACH_S: Final = 0.005
"""Every so much later makes what is paced one time slower."""

SLOWEST: Final = 5.0
SETTLES_S: Final = 1.0
"""About so long what was seen counts."""

FEW: Final = 10
"""So many growing answers are not what an instance is late for, and keep their pace."""

EDITS_AT_ONCE: Final = 24
"""Progress edits under way. More would only queue for the processor here, each with a connection of its own that the
pool looks at for every other request; and with 24 at a time Discord takes well over a hundred a second."""


class Pressure:
    """One for everything that an instance shows of growing answers."""

    def __init__(self, clock: Clock, *, few: int = FEW) -> None:
        self._clock = clock
        self._few = few
        self._asleep = 0
        self._late_s = 0.0
        self._seen_at = clock.monotonic()
        self.turn = asyncio.Semaphore(EDITS_AT_ONCE)

    async def sleep(self, seconds: float) -> None:
        """Sleep, and note how late the waking was."""
        due = self._clock.monotonic() + max(0.0, seconds)
        self._asleep += 1
        try:
            await self._clock.sleep(seconds)
        finally:
            self._asleep -= 1
        self.noted(self._clock.monotonic() - due)

    def noted(self, late_s: float) -> None:
        """Somebody woke up so late. The more time has passed since the last one did, the more it says."""
        now = self._clock.monotonic()
        weight = min(1.0, max(0.0, now - self._seen_at) / SETTLES_S)
        self._late_s += (max(0.0, late_s) - self._late_s) * weight
        self._seen_at = now

    def stretch(self) -> float:
        """Return how many times slower than usual what is paced is to go, from 1 to `SLOWEST`."""
        if self._asleep < self._few:
            return 1.0
        return min(SLOWEST, 1.0 + max(0.0, self._late_s - FREE_S) / EACH_S)
