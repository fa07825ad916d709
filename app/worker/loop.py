"""The worker of one instance: leases what it can serve, runs it, and hands everything back when it stops."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from app.balancing.keyset import KeySet
from app.balancing.overview import Overview
from app.balancing.state import DEAD_AFTER_S
from app.clock import Clock
from app.commands.base import JobCommand
from app.errors import StoreError
from app.jobs.job import Job, LeaseRequest
from app.worker.leases import LeaseBook
from app.worker.runner import Runner

POLL_S = 0.25
"""How often the queue is looked at unasked; a job that this instance accepted wakes the loop at once."""

SHORTEST_POLL_S = 0.01

STEAL_AFTER_S = 1.0
"""How long a live home may leave a job waiting before a free instance takes it."""

STEAL_KNOWN_S = 0.25
"""The same if the home is known to be full, or its key for this kind to be resting."""

STOP_POLL_S = 0.25
"""How often it is asked which running jobs are to stop; a press that came to this instance is heard at once."""

BEAT_S = 1.0
HEALTHY_WITHIN_S = 3.5
RETRY_S = 0.5

log = structlog.get_logger("worker")


async def _always() -> None:
    return None


class Worker:
    """Leases, heartbeats and running jobs of this instance.

    `chores` are other things done all the time; each is a coroutine function that never returns and is started again if
    the store fails it. `takes_new` raises `StoreUnavailable` while the store can take no new job.
    """

    def __init__(
        self,
        *,
        leases: LeaseBook,
        runner: Runner,
        commands: Mapping[str, JobCommand],
        keys: KeySet,
        overview: Overview,
        clock: Clock,
        slots: int,
        day_limits: Mapping[str, int],
        user_limit: int = 0,
        steal: bool = True,
        ready: Callable[[], bool] = lambda: True,
        takes_new: Callable[[], Awaitable[None]] = _always,
        chores: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
    ) -> None:
        self._leases = leases
        self._runner = runner
        self._commands = commands
        self.keys = keys
        self._overview = overview
        self._clock = clock
        self._slots = slots
        self._day_limits = day_limits
        self._user_limit = user_limit
        self._steal = steal
        self._ready = ready
        self._takes_new = takes_new
        self._chores = {
            "lease": self._lease_loop,
            "renew": leases.keep_renewing,
            "beat": self._beat_loop,
            "look": self._look_loop,
            "stop": self._stop_loop,
            **(chores or {}),
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._jobs: set[asyncio.Task[None]] = set()
        self._leasing = asyncio.Lock()
        self._looked_at = -math.inf
        self._beat_at = -math.inf
        self.draining = False

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return len(self._jobs)

    @property
    def free(self) -> int:
        """How many more jobs may start."""
        return max(0, self._slots - len(self._jobs))

    def healthy(self) -> dict[str, bool]:
        """Whether the store took our last sign of life and takes new jobs, and whether we look at the queue."""
        horizon = self._clock.monotonic() - HEALTHY_WITHIN_S
        return {"store": self._beat_at >= horizon, "worker": self._looked_at >= horizon}

    def notify(self) -> None:
        """A job was recorded here: look at the queue now."""
        if self.free:  # else the next job that ends wakes the loop
            self._wake.set()

    def stop_job(self, job_id: str) -> None:
        """The user wants no more of this job: end what it is doing, if it runs here."""
        self._runner.stop(job_id)

    async def start(self) -> None:
        """Give the first sign of life and begin."""
        await self._beat()
        self._beat_at = self._clock.monotonic()
        await self._overview.refresh()
        self._tasks = [
            asyncio.create_task(self._supervise(name, chore), name=name) for name, chore in self._chores.items()
        ]

    async def stop(self, grace_s: float) -> None:
        """Lease nothing more, give running jobs `grace_s` to finish, hand the rest back uncounted."""
        self.draining = True
        async with self._leasing:
            pass  # what is being leased at this moment must be among the jobs that are waited for
        try:
            await self._overview.beat()
        except StoreError as error:
            log.warning("could not announce the drain", error=str(error))
        if self._jobs:
            log.info("draining", jobs=len(self._jobs), grace_s=grace_s)
            _, late = await asyncio.wait(self._jobs, timeout=grace_s)
            await _cancelled(late)
        await _cancelled(self._tasks)

    async def _supervise(self, name: str, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await chore()
            except StoreError as error:
                log.error("store unavailable", chore=name, error=str(error))
            except Exception:
                log.exception("chore broke", chore=name)
            await self._clock.sleep(RETRY_S)

    async def _beat_loop(self) -> None:
        """Beat once in each period, from start to start: a slow write must not delay the next sign of life as well."""
        while True:
            due = self._clock.monotonic() + BEAT_S
            await self._beat()
            await self._takes_new()
            self._beat_at = self._clock.monotonic()
            await self._clock.sleep(due - self._clock.monotonic())

    async def _look_loop(self) -> None:
        while True:
            await self._clock.sleep(BEAT_S)
            await self._overview.refresh()

    async def _stop_loop(self) -> None:
        while True:
            await self._clock.sleep(STOP_POLL_S)
            if self._jobs:
                for job_id in await self._leases.stops():
                    self._runner.stop(job_id)

    async def _beat(self) -> None:
        given_at = self._leases.moment()
        await self._overview.beat()
        await self._leases.seen(given_at)

    async def _lease_loop(self) -> None:
        while True:
            self._wake.clear()
            if not await self._lease_once():
                await self._woken(max(SHORTEST_POLL_S, min(POLL_S, self.keys.next_free_s())))

    async def _lease_once(self) -> bool:
        """Lease what fits and start it; whether there was any."""
        async with self._leasing:
            may_lease = self.free and not self.draining and self._ready()
            jobs = await self._leases.take(self._request()) if may_lease else []
            self._looked_at = self._clock.monotonic()
            for job in jobs:
                self._start_job(job)
        return bool(jobs)

    def _request(self) -> LeaseRequest:
        return LeaseRequest(
            owner=self._leases.owner,
            limit=self.free,
            now=self._clock.now(),
            lease_s=self._leases.lease_s,
            kinds={kind: self._room(kind) for kind in self._commands},
            user_limit=self._user_limit,
            **self._stealing(),
        )

    def _stealing(self) -> dict[str, Any]:
        """What a lease request says of the others' jobs."""
        if not self._steal:
            return {"steal_after_s": math.inf, "steal_known_s": math.inf}
        view = self._overview.view
        return {
            "dead": self._overview.dead(),
            "dead_before": self._clock.now() - DEAD_AFTER_S,
            "lives": view.lives(),
            "full": view.full(),
            "spent": view.spent({kind: command.providers for kind, command in self._commands.items()}),
            "steal_after_s": STEAL_AFTER_S,
            "steal_known_s": STEAL_KNOWN_S,
        }

    def _room(self, kind: str) -> int:
        """How many more jobs of a kind this instance may take: its keys' budget, and its own day's limit."""
        room = self.keys.room(self._commands[kind].providers) - self._leases.not_begun(kind)
        limit = self._day_limits.get(kind, 0)
        if limit:
            done = self._overview.done_today(self._leases.owner, kind)
            room = min(room, limit - done - self._leases.count(kind))
        return room

    def _start_job(self, job: Job) -> None:
        task = asyncio.create_task(self._runner.run(job), name=f"job-{job.id}")
        self._leases.work(job, task)
        self._jobs.add(task)
        task.add_done_callback(self._job_done)

    def _job_done(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        self._wake.set()

    async def _woken(self, seconds: float) -> None:
        """Wait for a job to be recorded or to end here, or for the next unasked look."""
        waiter = asyncio.ensure_future(self._wake.wait())
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((waiter, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancelled((waiter, timer))


async def _cancelled(tasks: object) -> None:
    """Cancel tasks and wait until they have ended."""
    pending = [task for task in tasks if not task.done()]  # type: ignore[attr-defined]
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
