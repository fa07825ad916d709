"""Putting jobs on record in time, or not at all.

A write that was too slow to wait for is withdrawn behind our back, so that a request we apologised for is not answered
after all. This is done for every interaction, so it is callbacks and no coroutine: a task costs more than all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from app.clock import Clock
from app.deadline import SharedBound
from app.errors import StoreUnavailable
from app.jobs.job import NewJob
from app.jobs.store import JobStore, PutLimits, PutResult
from app.journal import named
from app.promise import Promise, promised

RECORD_WITHIN_S = 2.2
"""Discord waits 3 s for the answer; the rest is for the way there and back."""

PUT_AGAIN_AFTER_S = 0.1
PUT_AGAIN_FOR_S = 0.5
"""A full disk stays full: who is refused should hear so within a second."""

WITHDRAW_EVERY_S = 1.0
WITHDRAW_FOR_S = 60.0

Told = Callable[[PutResult | Exception], None]
"""Hears once what the store said. After an error (`StoreUnavailable`: it can't, or not in time) a job is withdrawn."""

log = structlog.get_logger("intake")


class Recorder:
    """Puts jobs into the store."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.bound = SharedBound(RECORD_WITHIN_S)
        self._tasks: set[asyncio.Task[None]] = set()

    def record(self, job: NewJob, limits: PutLimits, told: Told) -> None:
        """Put a job, and again for a moment if the store fails: it may have been recorded though we heard an error."""
        recording = _Recording(self, job, limits, told)
        self.bound.begin(recording)
        recording.put()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """See to something that nobody waits for."""
        task = asyncio.create_task(work, name="record")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def withdraw(self, job: NewJob) -> None:
        """Take a job back, as soon as the store answers."""
        give_up = self.clock.monotonic() + WITHDRAW_FOR_S
        while self.clock.monotonic() < give_up:
            try:
                if not await self.store.withdraw(job):
                    log.warning("a refused interaction was recorded and is being answered", **named(job))
            except StoreUnavailable:
                await self.clock.sleep(WITHDRAW_EVERY_S)
            else:
                return

    async def close(self) -> None:
        """Stop trying to withdraw."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Recording:
    """One job on its way into the store, bounded by `Recorder.bound`."""

    __slots__ = ("_began", "_job", "_limits", "_over", "_put", "_recorder", "_told", "at")

    def __init__(self, recorder: Recorder, job: NewJob, limits: PutLimits, told: Told) -> None:
        self._recorder = recorder
        self._job = job
        self._limits = limits
        self._told = told
        self._put: Promise[PutResult] | None = None
        self._over = False
        self._began = recorder.clock.monotonic()
        self.at = 0.0

    def put(self) -> None:
        """Ask the store."""
        self._put = promised(self._recorder.store.put(self._job, self._limits))
        self._put.when_settled(self._answered)

    def expire(self) -> None:
        """The store was too slow."""
        self._end(StoreUnavailable("too slow"))
        if self._put is not None:
            self._put.cancel()

    def _answered(self, put: Promise[PutResult]) -> None:
        if self._over:
            return
        error = put.error
        if put.result is not None:
            self._end(put.result)
        elif isinstance(error, StoreUnavailable) and self._may_again():
            self._recorder.later(self._again())
        else:
            self._end(error if isinstance(error, Exception) else StoreUnavailable(repr(error)))

    def _may_again(self) -> bool:
        return self._recorder.clock.monotonic() < self._began + PUT_AGAIN_FOR_S

    async def _again(self) -> None:
        await self._recorder.clock.sleep(PUT_AGAIN_AFTER_S)
        if not self._over:
            self.put()

    def _end(self, result: PutResult | Exception) -> None:
        self._over = True
        self._recorder.bound.end(self)
        if isinstance(result, Exception):
            self._recorder.later(self._recorder.withdraw(self._job))
        self._told(result)
