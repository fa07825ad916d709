"""What is asked for while the server is busy goes together: a flush hardly costs more for many than for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.deadline import SharedBound
from app.errors import StoreUnavailable

Encodable = str | bytes | int | float

LARGEST_BATCH = 256
AT_ONCE = 2
SLOW_S = 0.1
"""A second call goes out only beside one that takes so long: each costs a flush of its own."""

GATHER_S = 0.004
"""How long a batch may grow while every turn of the event loop brings more. Without such a rush nothing waits."""


@dataclass(slots=True)
class _Pending:
    argument: Sequence[Encodable]
    future: asyncio.Future[Any]


@dataclass(slots=True)
class Batcher:
    """Gathers the calls of one script. `run` gets all their arguments in a row and returns a result for each."""

    run: Callable[[Sequence[Encodable]], Awaitable[Sequence[Any]]]
    in_time: SharedBound
    _waiting: list[_Pending] = field(default_factory=list)
    _gathering: bool = False
    _sending: int = 0
    _timer: asyncio.TimerHandle | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def ask(self, argument: Sequence[Encodable]) -> Any:
        """Return this argument's result; raises `TimeoutError`. Whoever gives up before it is sent is left out."""
        loop = asyncio.get_running_loop()
        pending = _Pending(argument, loop.create_future())
        self._waiting.append(pending)
        if self._sending == 0 and not self._gathering:
            self._gathering = True
            loop.call_soon(self._send_when_still, len(self._waiting), loop.time() + GATHER_S)
        elif 0 < self._sending < AT_ONCE and self._timer is None:
            self._timer = loop.call_later(SLOW_S, self._send_beside)
        async with self.in_time():
            return await pending.future

    async def settle(self) -> None:
        """Return when nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _send_when_still(self, seen: int, at_last: float) -> None:
        """Send once a turn of the event loop has brought nothing more, or at last."""
        loop = asyncio.get_running_loop()
        asked = len(self._waiting)
        if seen < asked < LARGEST_BATCH and loop.time() < at_last:
            loop.call_soon(self._send_when_still, asked, at_last)
            return
        self._gathering = False
        self._start()

    def _send_beside(self) -> None:
        self._timer = None
        if self._waiting:
            self._start()

    def _start(self) -> None:
        self._sending += 1
        task = asyncio.get_running_loop().create_task(self._send(), name="store-batch")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self) -> None:
        """Run what waits, and what gathers meanwhile, until nothing is left."""
        try:
            while self._waiting:
                chosen, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
                wanted = [pending for pending in chosen if not pending.future.done()]
                if wanted:
                    await self._send_once(wanted)
        finally:
            self._sending -= 1
            if self._sending == 0 and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    async def _send_once(self, wanted: Sequence[_Pending]) -> None:
        try:
            results = await self.run([value for pending in wanted for value in pending.argument])
        except StoreUnavailable as error:
            for pending in wanted:
                if not pending.future.done():
                    pending.future.set_exception(StoreUnavailable(str(error)))
            return
        for pending, result in zip(wanted, results, strict=True):
            if not pending.future.done():
                pending.future.set_result(result)
