"""A clock that only moves when nobody has anything else to do, or when a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools

# Turns of the event loop without a due sleeper that count as "nobody has anything else to do". Real input and output
# takes longer than that: a test that uses it with this clock passes `auto_advance=False` and moves the time itself.
_IDLE_TURNS = 25


class FakeClock:
    """`app.clock.Clock` for tests: seconds pass at once.

    Wall clock and monotonic clock start far apart, so that code that mixes them up fails its tests.
    With `auto_advance` a sleep ends as soon as the other tasks have run dry; sleepers wake in the order of their
    times, also across tasks. Without it they wait for `advance`.
    """

    def __init__(self, now: float = 1_760_000_000.0, *, auto_advance: bool = True) -> None:
        self.auto_advance = auto_advance
        self.sleeps: list[float] = []
        """Every duration that was asked for, in order."""
        self._start = now
        self._elapsed = 0.0
        self._wall_offset = 0.0
        self._waiters: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._ticking = False

    def now(self) -> float:
        return self._start + self._elapsed + self._wall_offset

    def wall(self) -> float:
        return self.now()

    def monotonic(self) -> float:
        return 1_000.0 + self._elapsed

    @property
    def elapsed(self) -> float:
        """Seconds that have passed since the clock was made, whatever the wall clock says."""
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many tasks sleep now."""
        return sum(not waiter.done() for _, _, waiter in self._waiters)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP would; no time passes."""
        self._wall_offset += seconds

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiters, (self._elapsed + seconds, next(self._order), waiter))
        if self.auto_advance and not self._ticking:
            self._ticking = True
            loop.call_soon(self._tick, loop, _IDLE_TURNS)
        await waiter

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, waking each sleeper at its own time and letting it run before the next."""
        end = self._elapsed + seconds
        await self._settle()
        while self._drop_done() and self._waiters[0][0] <= end:
            self._wake_first()
            await self._settle()
        self._elapsed = max(self._elapsed, end)
        await self._settle()

    def _tick(self, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        if not self._drop_done() or not self.auto_advance:
            self._ticking = False
        elif turns > 0:
            loop.call_soon(self._tick, loop, turns - 1)
        else:
            self._wake_first()
            loop.call_soon(self._tick, loop, _IDLE_TURNS)

    def _wake_first(self) -> None:
        due, _, waiter = heapq.heappop(self._waiters)
        self._elapsed = max(self._elapsed, due)
        waiter.set_result(None)

    def _drop_done(self) -> bool:
        """Forget cancelled sleepers; return whether any sleeper is left."""
        while self._waiters and self._waiters[0][2].done():
            heapq.heappop(self._waiters)
        return bool(self._waiters)

    async def _settle(self) -> None:
        for _ in range(_IDLE_TURNS):
            await asyncio.sleep(0)
