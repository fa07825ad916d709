"""What one key may still do, and when it may do it again.

A provider counts its limits over windows of its own. The budget here is a sliding window: of the calls *started* in any
60 seconds (and a margin, since a call started early may arrive late) at most `per_minute` are ours, whatever moment the
provider starts its window at. Nobody says when a call arrived: one whose answer began later than others' may have
arrived that much later, so its window is taken to begin that much later too (`heard`). A call is reserved before it is
made, in one step on the event loop, so concurrency can't overrun a window; and the owner records it in the store before
it is made, so a restart can't either (`restore`).
`per_day` counts days that begin at `day_starts_at` seconds after midnight UTC. `max_in_flight` bounds calls at once.

A key the provider told to rest (429) *cools*: until the moment it named, never shortened by a later, shorter word.
Where it names none, or too little again and again, the rest doubles until a call succeeds. A key that was rejected
(401, 403) is *dead*, one without credit *spent*: both rest long. After any rest one call probes, and only when it
succeeds do the others follow; a little jitter keeps the keys from probing together.

What a provider says of its own window (`x-ratelimit-*`) narrows ours: somebody else may be using the same account.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from app.clock import Clock
from app.providers.base import RateHints

WINDOW_S = 60.0
WINDOW_MARGIN_S = 0.5
LATE_MOST_S = 1.0
"""What a slow answer may add to the margin: part of it is arriving late, more is the provider's own time."""

ANSWERS_COMPARED = 50
COOL_DEFAULT_S = 20.0
COOL_LONGEST_S = 300.0
COOL_AGAIN_S = 1.0
COOL_AGAIN_LONGEST_S = 60.0
COOL_LEAST_S = 0.25
"""Resting for 0 s would have a job handed back and called again in a circle."""

SPENT_REST_S = 3600.0
DEAD_REST_S = 600.0
PROBE_S = 5.0
"""How long the others wait while one call finds out whether a key works again."""

JITTER = 0.1
LONGEST_JITTER_S = 2.0

PLENTY = 1_000_000
"""The room of a key without limits."""

DAY_S = 86_400


class KeyState(StrEnum):
    """What the key is up to."""

    READY = "ready"
    COOLING = "cooling"
    SPENT = "spent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key is configured to do; 0 is no limit. `day_starts_at` is seconds after midnight UTC."""

    per_minute: int = 0
    per_day: int = 0
    max_in_flight: int = 0
    day_starts_at: int = 0


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """A key's budget as other instances and people see it; a limit of 0 means none. `rest_s`: seconds until usable."""

    state: KeyState = KeyState.READY
    minute_limit: int = 0
    minute_used: int = 0
    day_limit: int = 0
    day_used: int = 0
    in_flight: int = 0
    rest_s: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether a call may start now."""
        return self.rest_s <= 0


def day_of(now: float, starts_at: int = 0) -> str:
    """Return the day, like `2026-11-22`, that `now` falls in, if days begin `starts_at` seconds after midnight UTC."""
    return _day_name(int((now - starts_at) // DAY_S))


@lru_cache(maxsize=4)
def _day_name(number: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(number * DAY_S))


def next_day(now: float, starts_at: int = 0) -> float:
    """Return when the next day begins, seconds since the epoch."""
    return ((now - starts_at) // DAY_S + 1) * DAY_S + starts_at


class KeyBudget:
    """The limits of one key and what is used of them. `random` yields [0, 1)."""

    def __init__(self, clock: Clock, allowance: Allowance, *, random: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._allowance = allowance
        self._random = random
        self._window: list[float] = []
        self._began_s: deque[float] = deque(maxlen=ANSWERS_COMPARED)
        self._day = ""
        self._used_today = 0
        self._state = KeyState.READY
        self._rest_until = 0.0
        self._probing = False
        self._rests = 0
        self._said_left: tuple[int, float] = (PLENTY, 0.0)
        self.in_flight = 0

    @property
    def day(self) -> str:
        """The day that is counted now."""
        day = day_of(self._clock.now(), self._allowance.day_starts_at)
        if day != self._day:
            self._day, self._used_today = day, 0
        return day

    def restore(self, *, used_today: int = 0, ages_s: Iterable[float] = ()) -> None:
        """Take over what earlier lives used: calls of this day, and how long ago those of this window started."""
        _ = self.day
        self._used_today = max(self._used_today, used_today)
        now = self._clock.monotonic()
        for age in ages_s:
            insort(self._window, now - max(0.0, age))

    def wait_s(self) -> float:
        """Return how many seconds must pass before a call may start; 0 if it may now."""
        self._forget_old()
        now, allowed = self._clock.monotonic(), self._allowance
        wait = max(0.0, self._rest_until - now)
        if wait <= 0 and self._probing and self.in_flight:
            wait = PROBE_S
        if allowed.max_in_flight and self.in_flight >= allowed.max_in_flight:
            wait = max(wait, COOL_LEAST_S)
        if allowed.per_minute and len(self._window) >= allowed.per_minute:
            frees = self._window[-allowed.per_minute]
            wait = max(wait, frees + WINDOW_S + WINDOW_MARGIN_S - now)
        if self._said_left[0] <= 0:
            wait = max(wait, self._said_left[1] - now)
        _ = self.day
        if allowed.per_day and self._used_today >= allowed.per_day:
            wait = max(wait, next_day(self._clock.now(), allowed.day_starts_at) - self._clock.now())
        return wait

    def room(self) -> int:
        """Return how many calls may start now, at most `PLENTY`."""
        if self.wait_s() > 0:
            return 0
        allowed = self._allowance
        room = min(1 if self._probing else PLENTY, self._said_left[0])
        for limit, used in (
            (allowed.per_minute, len(self._window)),
            (allowed.per_day, self._used_today),
            (allowed.max_in_flight, self.in_flight),
        ):
            if limit:
                room = min(room, limit - used)
        return room

    def reserve(self) -> float | None:
        """Count a call that starts now and return when that is; None, and nothing counted, if none may."""
        if self.wait_s() > 0:
            return None
        now = self._clock.monotonic()
        insort(self._window, now)
        self._used_today += 1
        self._said_left = (self._said_left[0] - 1, self._said_left[1])
        self.in_flight += 1
        return now

    def sent(self, started: float) -> float:
        """The call goes out only now: a provider counts it when it arrives, so its window begins here."""
        return self._move(started, self._clock.monotonic())

    def heard(self, sent: float) -> None:
        """A call's answer begins: what it took longer than the quickest of late, it may have been under way."""
        took = self._clock.monotonic() - sent
        self._began_s.append(took)
        self._move(sent, sent + min(took - min(self._began_s), LATE_MOST_S))

    def _move(self, counted: float, to: float) -> float:
        """Let a call's window begin at another moment; one that is over already stays so."""
        at = bisect_left(self._window, counted)
        if at < len(self._window) and self._window[at] == counted:
            del self._window[at]
            insort(self._window, to)
        return to

    def done(self) -> None:
        """A reserved call has ended, however."""
        self.in_flight -= 1

    def succeeded(self) -> None:
        """The provider took the key: it is neither dead nor spent, and needs no probe."""
        if self._clock.monotonic() >= self._rest_until:
            self._state, self._probing, self._rests = KeyState.READY, False, 0

    def cool(self, seconds: float | None) -> None:
        """Rest for what the provider said, or for our own guess; a longer rest under way stays.

        Told to rest again right after a rest that was kept, we rest longer each time: what was said did not help.
        """
        grown = 2 ** min(self._rests, 10)
        self._rests += self._clock.monotonic() >= self._rest_until
        if seconds is None:
            seconds = min(COOL_DEFAULT_S * grown, COOL_LONGEST_S)
        elif grown > 1:
            seconds = max(seconds, min(COOL_AGAIN_S * grown, COOL_AGAIN_LONGEST_S))
        self._rest(KeyState.COOLING, max(COOL_LEAST_S, seconds))

    def spend(self) -> None:
        """Out of credit: rest long."""
        self._rest(KeyState.SPENT, SPENT_REST_S)

    def reject(self) -> None:
        """The key was not accepted: out of use, then probed."""
        self._rest(KeyState.DEAD, DEAD_REST_S)

    def learn(self, hints: RateHints) -> None:
        """Narrow the window to what the provider says is left of it until its reset."""
        if hints.remaining is not None and hints.reset_s is not None:
            # Calls under way may not be counted there yet.
            left = hints.remaining - max(0, self.in_flight - 1)
            self._said_left = (left, self._clock.monotonic() + hints.reset_s)

    def snapshot(self) -> KeySnapshot:
        """Return the state for others to see."""
        rest = self.wait_s()
        resting = self._rest_until > self._clock.monotonic()
        return KeySnapshot(
            state=self._state if resting or self._state is not KeyState.COOLING else KeyState.READY,
            minute_limit=self._allowance.per_minute,
            minute_used=len(self._window),
            day_limit=self._allowance.per_day,
            day_used=self._used_today,
            in_flight=self.in_flight,
            rest_s=round(rest, 3),
        )

    def _rest(self, state: KeyState, seconds: float) -> None:
        jitter = min(seconds * JITTER, LONGEST_JITTER_S) * self._random()
        until = self._clock.monotonic() + seconds + jitter
        if until >= self._rest_until:
            self._rest_until, self._state = until, state
        self._probing = True

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        horizon = now - WINDOW_S - WINDOW_MARGIN_S
        del self._window[: bisect_right(self._window, horizon)]
        if self._said_left[1] <= now:
            self._said_left = (PLENTY, 0.0)
