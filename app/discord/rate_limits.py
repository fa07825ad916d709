"""How fast Discord may be called, as its own responses say.

Limits of an interaction's webhook are per token and come in headers; no number is assumed
(https://discord.com/developers/docs/topics/rate-limits). All times here are the monotonic clock's.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from app.clock import Clock
from app.discord.api_errors import ApiError, seconds

CLOSED_TOKEN_MEMORY_S: Final = 60.0
"""How long a finished answer is remembered, so that a late progress edit can't overwrite it."""

PROGRESS_EVERY_S: Final = 0.95
"""A growing answer is shown once a second; the rest of the second is what sending itself takes."""

RESET_MARGIN_S: Final = 0.02
"""Headers round to milliseconds and clocks drift: whoever calls at the very moment of a reset may come too early."""

LONG_WINDOW_S: Final = 5.0
"""Calls of a shorter window are not saved up: it is over before anybody notices."""

_SWEEP_EVERY_S: Final = 30.0
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


@dataclass(slots=True)
class Window:
    """One limit as last told: `remaining` of `limit` calls until `reset_at`."""

    limit: int
    remaining: int
    reset_at: float


@dataclass(slots=True)
class TokenState:
    """What is known of one interaction token while calls for it may still come.

    Discord keeps several limits for a token and its headers tell of one at a time, so each is remembered, by its
    `X-RateLimit-Bucket` and `X-RateLimit-Limit`, until it resets; each call is counted off all of them.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    final_started: bool = False
    gone: bool = False
    ephemeral: bool | None = None
    """Whether only the user sees the original; None until Discord has said."""

    unanswered: bool = False
    """Whether Discord never said what became of a progress edit: it may still be done, even after the answer."""

    windows: dict[tuple[str, int], Window] = field(default_factory=dict)
    called_at: float = -math.inf
    blocked_until: float = 0.0
    forget_at: float = 0.0

    def ready_at(self, *, spare: int = 0) -> float:
        """Return when a call may be made that leaves `spare` more calls before any limit resets."""
        full = (window.reset_at for window in self.windows.values() if window.remaining <= spare)
        return max(self.blocked_until, *full, 0.0)

    def called(self, now: float) -> None:
        """Count one call that is about to be made."""
        self.called_at = now
        self.windows = {name: window for name, window in self.windows.items() if window.reset_at > now}
        for window in self.windows.values():
            window.remaining -= 1

    def learn(self, headers: Mapping[str, str], now: float) -> None:
        """Take over `X-RateLimit-Limit`, `-Remaining` and `-Reset-After`."""
        remaining = seconds(headers.get("x-ratelimit-remaining"))
        reset_after = seconds(headers.get("x-ratelimit-reset-after"))
        if remaining is not None and reset_after is not None:
            limit = int(seconds(headers.get("x-ratelimit-limit")) or 0)
            bucket = headers.get("x-ratelimit-bucket", "")
            self.windows[bucket, limit] = Window(limit, int(remaining), now + reset_after + RESET_MARGIN_S)

    def next_progress_at(self) -> float:
        """Return when the next progress edit does no harm: a steady pace, one call always left for the answer.

        Of a long window less than half of which is left, the rest is spread over the time to its reset.
        """
        moment = max(self.called_at + PROGRESS_EVERY_S, self.ready_at(spare=1))
        for window in self.windows.values():
            rest_s, usable = window.reset_at - self.called_at, window.remaining - 1
            if rest_s > LONG_WINDOW_S and 2 * window.remaining < window.limit and usable > 0:
                moment = max(moment, self.called_at + rest_s / (usable + 1))
        return moment


class TokenStates:
    """The states of the tokens in use, and of those just finished; every other is forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._states: dict[str, TokenState] = {}
        self._next_sweep = 0.0

    def __len__(self) -> int:
        self._sweep()
        return len(self._states)

    @property
    def open(self) -> int:
        """How many tokens are in use or still owed a final answer."""
        self._sweep()
        return sum(state.users > 0 or not state.final_started for state in self._states.values())

    def of(self, token: str) -> TokenState | None:
        """Return what is known of a token, if anything is."""
        return self._states.get(token)

    def enter(self, token: str, deadline: float) -> TokenState:
        """Return the token's state, which stays until as many `leave` have followed and its time is over."""
        if self._clock.monotonic() >= self._next_sweep:
            self._sweep()
        state = self._states.setdefault(token, TokenState())
        state.users += 1
        state.forget_at = max(state.forget_at, deadline)
        return state

    def leave(self, state: TokenState) -> None:
        """Say that one call for the token is over."""
        state.users -= 1
        if state.users == 0 and state.final_started:
            state.forget_at = min(state.forget_at, self._clock.monotonic() + CLOSED_TOKEN_MEMORY_S)

    def _sweep(self) -> None:
        now = self._clock.monotonic()
        self._next_sweep = now + _SWEEP_EVERY_S
        for token in [t for t, s in self._states.items() if s.users == 0 and s.forget_at <= now]:
            del self._states[token]


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
