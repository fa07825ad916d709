"""What one key may still do, and when it may do it again.

A provider counts its limits over windows of its own. The budget here is a sliding window: of the calls *started* in any
60 seconds at most `per_minute` are ours, whatever moment the provider starts its window at. A call is reserved before
it is made, in one step on the event loop, so concurrency can't overrun the window. `per_day` counts UTC days, is kept
over restarts by the caller (`used_today`), and starts anew at 00:00 UTC.

A key the provider told to rest (429) *cools*: until the moment it named, never shortened by a later, shorter word. A
key that was rejected (401, 403) is *dead*, one without credit *spent*: both rest long, then one call probes gently.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from app.clock import Clock

WINDOW_S = 60.0
COOL_DEFAULT_S = 20.0
COOL_LEAST_S = 0.25
"""Resting for 0 s would have a job handed back and called again in a circle."""

SPENT_REST_S = 3600.0
DEAD_REST_S = 600.0
PROBE_S = 5.0
"""How long the others wait while one call finds out whether a dead or spent key works again."""

PLENTY = 1_000_000
"""The room of a key without limits."""


class KeyState(StrEnum):
    """What the key is up to."""

    READY = "ready"
    COOLING = "cooling"
    SPENT = "spent"
    DEAD = "dead"


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


def day_of(now: float) -> str:
    """Return the UTC day, like `2026-11-22`, that `now` falls in."""
    return time.strftime("%Y-%m-%d", time.gmtime(now))


class KeyBudget:
    """The limits of one key and what is used of them."""

    def __init__(self, clock: Clock, *, per_minute: int = 0, per_day: int = 0) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._per_day = per_day
        self._started: deque[float] = deque()
        self._day = day_of(clock.now())
        self._used_today = 0
        self._state = KeyState.READY
        self._rest_until = 0.0
        self.in_flight = 0

    def restore(self, day: str, used: int) -> None:
        """Take over what was used on `day` before a restart."""
        if day == self._today():
            self._used_today = max(self._used_today, used)

    def wait_s(self) -> float:
        """Return how many seconds must pass before a call may start; 0 if it may now."""
        self._forget_old()
        now = self._clock.monotonic()
        wait = max(0.0, self._rest_until - now)
        if wait <= 0 and self._probing and self.in_flight:
            wait = PROBE_S
        if self._per_minute and len(self._started) >= self._per_minute:
            wait = max(wait, self._started[0] + WINDOW_S - now)
        if self._per_day and self._used_today >= self._per_day:
            wait = max(wait, 86_400 - self._clock.now() % 86_400)
        return wait

    def room(self) -> int:
        """Return how many calls may start now, at most `PLENTY`."""
        if self.wait_s() > 0:
            return 0
        room = 1 if self._probing else PLENTY
        if self._per_minute:
            room = min(room, self._per_minute - len(self._started))
        if self._per_day:
            room = min(room, self._per_day - self._used_today)
        return room

    def reserve(self) -> bool:
        """Count a call that starts now; False, and nothing counted, if none may."""
        if self.wait_s() > 0:
            return False
        self._started.append(self._clock.monotonic())
        self._used_today += 1
        self.in_flight += 1
        return True

    def done(self) -> None:
        """A reserved call has ended, however."""
        self.in_flight -= 1

    def succeeded(self) -> None:
        """The provider took the key: it is neither dead nor spent."""
        if self._clock.monotonic() >= self._rest_until:
            self._state = KeyState.READY

    def cool(self, seconds: float | None) -> None:
        """Rest for what the provider said, or a default; a longer rest under way stays."""
        self._rest(KeyState.COOLING, COOL_DEFAULT_S if seconds is None else max(COOL_LEAST_S, seconds))

    def spend(self) -> None:
        """Out of credit: rest long."""
        self._rest(KeyState.SPENT, SPENT_REST_S)

    def reject(self) -> None:
        """The key was not accepted: out of use, then probed."""
        self._rest(KeyState.DEAD, DEAD_REST_S)

    def snapshot(self) -> KeySnapshot:
        """Return the state for others to see."""
        rest = self.wait_s()
        state = self._state
        if state is KeyState.COOLING and self._rest_until <= self._clock.monotonic():
            state = KeyState.READY
        return KeySnapshot(
            state=state,
            minute_limit=self._per_minute,
            minute_used=len(self._started),
            day_limit=self._per_day,
            day_used=self._used_today,
            in_flight=self.in_flight,
            rest_s=round(rest, 3),
        )

    def _rest(self, state: KeyState, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        if until >= self._rest_until:
            self._rest_until, self._state = until, state

    @property
    def _probing(self) -> bool:
        return self._state in (KeyState.DEAD, KeyState.SPENT)

    def _today(self) -> str:
        day = day_of(self._clock.now())
        if day != self._day:
            self._day, self._used_today = day, 0
        return day

    def _forget_old(self) -> None:
        self._today()
        horizon = self._clock.monotonic() - WINDOW_S
        while self._started and self._started[0] <= horizon:
            self._started.popleft()
