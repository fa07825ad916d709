"""A bound on how long something may take, for what is done thousands of times a second.

`asyncio.timeout` sets a timer of its own each time, which costs more than what it usually guards. Here all that share
a bound share one timer, which looks ten times a second; so a bound is kept to within LOOK_EVERY_S.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol

LOOK_EVERY_S = 0.1


class Bounded(Protocol):
    """What a bound watches. `at` is the moment of its end, which the bound sets, by the loop's clock."""

    at: float

    def expire(self) -> None:
        """It took too long; it is no longer watched."""


class Deadline:
    """For `async with`: `TimeoutError` if the block took longer, `CancelledError` only if somebody else asked."""

    __slots__ = ("_bound", "_cancelling", "_task", "at", "overdue")

    def __init__(self, bound: SharedBound) -> None:
        self._bound = bound
        self.at = 0.0
        self.overdue = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._bound.begin(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._bound.end(self)
        if self.overdue and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """End the block."""
        self.overdue = True
        self._task.cancel()


class SharedBound:
    """Makes deadlines of `seconds` each; they end in the order in which they began, so one timer sees to all."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open: dict[Bounded, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self) -> Deadline:
        """Return a deadline that begins when it is entered."""
        return Deadline(self)

    def begin(self, deadline: Bounded) -> None:
        """Watch it, until `end`."""
        if self._timer is None or self._loop is None:
            self._loop = asyncio.get_running_loop()  # asking for it each time is a system call each time
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look, self._loop)
        deadline.at = self._loop.time() + self._seconds
        self._open[deadline] = None

    def end(self, deadline: Bounded) -> None:
        """Watch it no more."""
        self._open.pop(deadline, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._open:
            deadline = next(iter(self._open))
            if deadline.at > now:
                break
            del self._open[deadline]
            deadline.expire()
        self._timer = loop.call_later(LOOK_EVERY_S, self._look, loop) if self._open else None
