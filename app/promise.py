"""A result that comes later and is told to whoever asked at once, without a turn of the event loop in between.

A future goes through the loop for each of its callbacks, with a handle and a context of its own. Where thousands are
made a second that costs as much as what they tell. Everything here happens on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Promise(Generic[T]):
    """Set `result` or `error`, then call `settle`. Who awaits one and is cancelled cancels it, as with a future."""

    result: T | None = None
    error: BaseException | None = None
    settled = False
    cancelled = False
    """Nobody wants it any more; `error` is then a `CancelledError`. May be read from any thread."""

    _told: tuple[Callable[[Promise[T]], None], ...] = ()

    def when_settled(self, told: Callable[[Promise[T]], None]) -> None:
        """Call `told` once it is settled, at once if it is; in the order in which they were given."""
        if self.settled:
            told(self)
        else:
            self._told = (*self._told, told)

    def settle(self) -> None:
        """Tell everybody. One that was settled, or cancelled, stays as it is."""
        if self.settled:
            return
        self.settled = True
        for told in self._told:
            try:
                told(self)
            except Exception as error:  # whoever else waits must still hear of it
                context = {"message": "telling a result broke", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
        self._told = ()

    def cancel(self) -> None:
        """Give it up."""
        if not self.settled:
            self.cancelled = True
            self.error = asyncio.CancelledError()
            self.settle()

    def __await__(self) -> Generator[Any, None, T]:
        if not self.settled:
            settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.when_settled(lambda _: None if settled.done() else settled.set_result(None))
            try:
                yield from settled
            except asyncio.CancelledError:
                self.cancel()
                raise
        if self.error is not None:
            raise self.error
        return cast(T, self.result)


class _Working(Promise[T]):
    """What a task will return."""

    def __init__(self, work: Awaitable[T]) -> None:
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        self._task.cancel()
        super().cancel()

    def _ended(self, task: asyncio.Future[T]) -> None:
        if task.cancelled():
            super().cancel()
            return
        error = task.exception()
        if not self.settled:
            self.error = error
            self.result = None if error is not None else task.result()
            self.settle()


def promised(work: Awaitable[T]) -> Promise[T]:
    """Return a promise of what may be one already; anything else becomes a task."""
    return work if isinstance(work, Promise) else _Working(work)
