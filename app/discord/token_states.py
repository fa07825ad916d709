"""What is known of each interaction token: its limits, whose calls are under way, whether its answer has been given.

Limits of an interaction's webhook are per token and come in headers; no number is assumed
(https://discord.com/developers/docs/topics/rate-limits). All times here are the monotonic clock's.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from app.clock import Clock
from app.discord.api_errors import seconds

CLOSED_TOKEN_MEMORY_S: Final = 60.0
"""How long a finished answer is remembered at least, so that a late progress edit can't overwrite it."""

GENERATION_S: Final = 10.0
"""Tokens answered within so long are forgotten together."""

PROGRESS_EVERY_S: Final = 0.95
"""A growing answer is shown once a second; the rest of the second is what sending itself takes."""

RESET_MARGIN_S: Final = 0.02
"""Headers round to milliseconds and clocks drift: whoever calls at the very moment of a reset may come too early."""

LONG_WINDOW_S: Final = 5.0
"""Calls of a shorter window are not saved up: it is over before anybody notices."""

_SWEEP_EVERY_S: Final = 30.0


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

    token: str = field(default="", repr=False)
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

    def unlimited_at(self) -> float:
        """Return when nothing that Discord has said of its limits holds any more."""
        return max(self.blocked_until, *(window.reset_at for window in self.windows.values()), 0.0)

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


@dataclass(frozen=True, slots=True)
class Answered:
    """What a later call still has to know of a token whose answer was given and whose limits have all reset."""

    gone: bool
    ephemeral: bool | None
    unanswered: bool

    def state(self, token: str) -> TokenState:
        """Return it as a state again."""
        return TokenState(
            token, final_started=True, gone=self.gone, ephemeral=self.ephemeral, unanswered=self.unanswered
        )


@dataclass(slots=True)
class _Generation:
    """Tokens that were answered within GENERATION_S of each other, all forgotten at one moment."""

    takes_until: float
    tokens: dict[str, Answered] = field(default_factory=dict)


class TokenStates:
    """The states of the tokens in use, and of those just finished; every other is forgotten.

    Of all tokens that are held at any time nearly all are finished ones, at the rate of interactions. So they are held
    without a state of their own, by the same few `Answered` for all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._states: dict[str, TokenState] = {}
        self._left: deque[TokenState] = deque()
        """Finished ones in the order of their ends, until their limits have reset. Some may be in use again."""

        self._answered: deque[_Generation] = deque()
        self._answer = cache(Answered)
        self._next_sweep = 0.0

    def __len__(self) -> int:
        self._sweep()
        return len(self._states) + sum(len(generation.tokens) for generation in self._answered)

    @property
    def open(self) -> int:
        """How many tokens are in use or still owed a final answer."""
        self._sweep()
        return sum(state.users > 0 or not state.final_started for state in self._states.values())

    def of(self, token: str) -> TokenState | None:
        """Return what is known of a token, if anything is; only to be looked at."""
        if (state := self._states.get(token)) is not None:
            return state
        known = (generation.tokens.get(token) for generation in self._answered)
        return next((answered.state(token) for answered in known if answered is not None), None)

    def enter(self, token: str, deadline: float) -> TokenState:
        """Return the token's state, which stays until as many `leave` have followed and its time is over."""
        if self._clock.monotonic() >= self._next_sweep:
            self._sweep()
        else:
            self._tidy()
        state = self._states.get(token)
        if state is None:
            state = self._states[token] = self._taken_back(token) or TokenState(token)
        state.users += 1
        state.forget_at = max(state.forget_at, deadline)
        return state

    def leave(self, state: TokenState) -> None:
        """Say that one call for the token is over."""
        state.users -= 1
        if state.users == 0 and state.final_started:
            state.forget_at = min(state.forget_at, self._clock.monotonic() + CLOSED_TOKEN_MEMORY_S)
            self._left.append(state)

    def _tidy(self) -> None:
        now = self._clock.monotonic()
        while self._left and (self._left[0].users > 0 or self._left[0].unlimited_at() <= now):
            self._put_away(self._left.popleft(), now)
        while self._answered and self._answered[0].takes_until + CLOSED_TOKEN_MEMORY_S <= now:
            self._answered.popleft()

    def _sweep(self) -> None:
        """Forget also those whose answer this instance never gave: another may have."""
        self._tidy()
        now = self._clock.monotonic()
        self._next_sweep = now + _SWEEP_EVERY_S
        for token in [t for t, s in self._states.items() if s.users == 0 and s.forget_at <= now]:
            del self._states[token]

    def _put_away(self, state: TokenState, now: float) -> None:
        """Keep of a finished one what has to be known for a while. One in use comes again when it is left."""
        if state.users > 0 or self._states.get(state.token) is not state:
            return
        del self._states[state.token]
        if state.forget_at <= now:
            return
        if not self._answered or self._answered[-1].takes_until <= now:
            self._answered.append(_Generation(now + GENERATION_S))
        self._answered[-1].tokens[state.token] = self._answer(state.gone, state.ephemeral, state.unanswered)

    def _taken_back(self, token: str) -> TokenState | None:
        for generation in self._answered:
            if (answered := generation.tokens.pop(token, None)) is not None:
                return answered.state(token)
        return None
