"""How fast Discord may be called, as its own responses say. What is per token stands in app/discord/token_states.py.

https://discord.com/developers/docs/topics/rate-limits. All times here are the monotonic clock's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from app.clock import Clock
from app.discord.api_errors import ApiError, seconds

_SHORTEST_SLEEP_S: Final = 0.001
_GAP_MIN_S: Final = 1.0
_GAP_MAX_S: Final = 60.0


class NoTimeLeft(Exception):
    """The wait would end after the deadline, so it was not begun."""


async def wait_until_at(clock: Clock, moment: float, deadline: float) -> None:
    """Sleep until `moment`, never less; raise `NoTimeLeft` at once if that is not before `deadline`."""
    if max(moment, clock.monotonic()) >= deadline:
        raise NoTimeLeft
    while (rest := moment - clock.monotonic()) > 0:
        await clock.sleep(max(rest, _SHORTEST_SLEEP_S))


@asynccontextmanager
async def held_before(clock: Clock, lock: asyncio.Lock, deadline: float) -> AsyncIterator[None]:
    """Hold `lock`, in the order of asking; raise `NoTimeLeft` if it can't be had before `deadline`."""
    try:
        async with asyncio.timeout(deadline - clock.monotonic()):
            await lock.acquire()
    except TimeoutError:
        raise NoTimeLeft from None
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A 429, read: seconds to wait (None if it doesn't say), for every token or one, and whether it counts as invalid.

    One without JSON and scope comes from Cloudflare in front of Discord, which looks at the address: every token waits.
    """

    retry_after: float | None
    everywhere: bool
    counted: bool


def read_rate_limit(error: ApiError, headers: Mapping[str, str]) -> RateLimit:
    """Read a 429. The body's `retry_after` is finer than the header `Retry-After`, which is whole seconds."""
    scope = headers.get("x-ratelimit-scope", "")
    wait = seconds(error.body.get("retry_after"))
    return RateLimit(
        retry_after=wait if wait is not None else seconds(headers.get("retry-after")),
        everywhere=bool(error.body.get("global"))
        or headers.get("x-ratelimit-global", "").lower() == "true"
        or scope == "global"
        or not (error.body or scope),
        counted=scope != "shared",
    )


class InvalidResponseGuard:
    """Keeps this process far from Discord's ban: 10,000 responses of 401, 403 or 429 in ten minutes, per address.

    From 60 % of `limit` on, progress is withheld and finals go one at a time, with a gap that doubles with each
    further invalid response and is gone with the next success. At `limit` the next one waits until the oldest has left
    the window. So no window holds more than `limit` invalid responses, plus those of calls that were in flight when the
    guard closed.
    """

    def __init__(self, clock: Clock, limit: int = 25, window_s: float = 600.0) -> None:
        self._clock = clock
        self._limit = max(1, limit)
        self._window_s = window_s
        self._invalid: deque[float] = deque()
        self._one_at_a_time = asyncio.Lock()
        self._gap = _GAP_MIN_S
        self._last_turn = float("-inf")

    @property
    def count(self) -> int:
        """Invalid responses in the window that ends now."""
        start = self._clock.monotonic() - self._window_s
        while self._invalid and self._invalid[0] <= start:
            self._invalid.popleft()
        return len(self._invalid)

    @property
    def strained(self) -> bool:
        """Whether to hold back."""
        return self.count >= max(1, self._limit * 3 // 5)

    def saw_invalid(self) -> None:
        """Count one response."""
        self._invalid.append(self._clock.monotonic())
        self._gap = min(max(_GAP_MIN_S, self._gap * 2), _GAP_MAX_S) if self.strained else _GAP_MIN_S

    def saw_success(self) -> None:
        """Discord takes our calls: no gap any more."""
        self._gap = 0.0

    @asynccontextmanager
    async def turn(self, deadline: float) -> AsyncIterator[None]:
        """Hold this while making a call; raises `NoTimeLeft` if the turn would come after `deadline`."""
        if not self.strained:
            yield
            return
        async with held_before(self._clock, self._one_at_a_time, deadline):
            while (moment := self._free_at()) > self._clock.monotonic():
                await wait_until_at(self._clock, moment, deadline)
            self._last_turn = self._clock.monotonic()
            yield

    def _free_at(self) -> float:
        if self.count >= self._limit:
            return self._invalid[-self._limit] + self._window_s
        return self._last_turn + self._gap if self.strained else 0.0
