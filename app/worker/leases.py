"""The leases this instance holds, and their renewal.

A lease is this instance's right to work on a job for `LEASE_S` seconds; it is renewed four times as often as it would
run out, for all jobs in one transaction. A renewal that finds a job gone (taken over while this process was stopped,
say) cancels the work on it: from that moment the job is somebody else's, and the fencing number keeps whatever was
under way from changing anything.

All leasing goes through one lock, because the store is told which jobs this process runs: one that was leased but is
not in the book yet would look like the leftover of an earlier life and be leased a second time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from dataclasses import replace

from app.balancing.state import DEAD_AFTER_S
from app.clock import Clock
from app.jobs.job import SUSPECT_AFTER, Job, LeaseRequest
from app.jobs.store import JobStore

RENEWALS_PER_LEASE = 4

SURE_FOR_S = DEAD_AFTER_S - 0.5
"""So long after a sign of life nobody takes this instance for dead, with something to spare."""

TRUSTED_SHARE = 0.75
"""So much of a lease is beyond doubt: it is renewed three times within that, and clocks don't differ by the rest."""

CONFIRM_EVERY_S = 1.0
"""How often the leases are looked at for what is shown of growing answers, however many grow at once.

Each look writes every lease of this instance, while everybody's acks wait. That no edit leaves under a lease that may
have gone to somebody else between two looks is what `holds` sees to."""


class LeaseBook:
    """Jobs under lease by this instance. `on_lost` hears once of each that went to somebody else.

    `moment` returns seconds that go on while this process stands still, and best also while its machine sleeps; without
    it they are the clock's monotonic ones.
    """

    def __init__(
        self,
        store: JobStore,
        clock: Clock,
        *,
        owner: int,
        lease_s: float,
        on_lost: Callable[[Job], None] = lambda job: None,
        moment: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self.moment = moment or clock.monotonic
        self.owner = owner
        self.lease_s = lease_s
        self._jobs: dict[str, Job] = {}
        self._good_until: dict[str, float] = {}
        self._not_begun: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lock = asyncio.Lock()
        self._on_lost = on_lost
        self._sure_at = -math.inf
        self._confirming = asyncio.Lock()
        self._confirmed_at = -math.inf
        self._since = math.inf

    def __len__(self) -> int:
        return len(self._jobs)

    def sure(self) -> bool:
        """Whether nobody can have taken this instance for dead since its leases were last known to be its own."""
        return self.moment() - self._sure_at < SURE_FOR_S

    def holds(self, job: Job) -> bool:
        """Whether this very lease is beyond doubt now: only then may be shown what is not the job's last word.

        It costs no look at the store, so it can be asked when the first byte is about to leave. That the instance is
        sure is not enough: after a pause it becomes so again with the look that finds this job gone; and a short lease
        runs out sooner than an instance is taken for dead.
        """
        return self._jobs.get(job.id) is job and self.sure() and self.moment() < self._good_until[job.id]

    async def seen(self, at: float) -> None:
        """Others were given a sign of life of this `moment`.

        After a gap they may have taken our jobs: look before going on. Not the moment at which the store has answered
        counts, which may be much later on a starved machine: others count from what the sign says.
        """
        if not self.sure():
            await self.renew()
        self._sure_at = at

    def count(self, kind: str) -> int:
        """Return how many jobs of a kind are under lease."""
        return sum(job.kind == kind for job in self._jobs.values())

    async def take(self, request: LeaseRequest) -> list[Job]:
        """Lease what `request` allows and note it down."""
        async with self._lock:
            suspects = sum(job.attempts > SUSPECT_AFTER for job in self._jobs.values())
            self._since = min(self._since, request.now)
            request = replace(request, held=tuple(self._jobs), suspects=suspects, since=self._since)
            good_until = self._trusted_until() - max(0.0, self._clock.now() - request.now)
            jobs = await self._store.lease(request)
            for job in jobs:
                self._note(job, good_until)
            self._not_begun.update(job.id for job in jobs if not job.checkpoint and job.result is None)
            return jobs

    async def take_one(self, job_id: str) -> Job | None:
        """Lease one job that nobody serves, to tell its user something; None if it is served by now."""
        async with self._lock:
            if job_id in self._jobs:
                return None
            good_until = self._trusted_until()
            job = await self._store.lease_one(job_id, owner=self.owner, now=self._clock.now(), lease_s=self.lease_s)
            if job is not None:
                self._note(job, good_until)
            return job

    async def confirm(self, job: Job) -> bool:
        """Extend one lease now; False if it has gone to somebody else, who alone may be seen from then on."""
        good_until, until = self._trusted_until(), self._clock.now() + self.lease_s
        held = not await self._store.renew(self.owner, {job.id: job.fence}, until=until)
        if held:
            self._extend(job, good_until)
        return held

    async def confirm_lately(self, job: Job) -> bool:
        """Like `confirm`, but as of a moment ago at most: each answer that grows asks this once a second.

        One look is for all of them, since each is a write that others wait for. It is never older than
        `CONFIRM_EVERY_S`, nor from before a gap in which this instance may have been taken for dead.
        """
        async with self._confirming:
            now = self.moment()
            if not self.sure() or now - self._confirmed_at >= CONFIRM_EVERY_S:
                await self.renew()
                self._confirmed_at = now
        return self._jobs.get(job.id) is job

    async def stops(self) -> Collection[str]:
        """Return the ids of jobs under lease here whose users want no more of them."""
        return await self._store.stops(self.owner)

    def work(self, job: Job, task: asyncio.Task[None]) -> None:
        """Note which task works on a job; when it ends, however, the job leaves the book."""
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self.drop(job))

    def delivered(self, job: Job) -> None:
        """The answer is out: to record that is no visible act, so losing the lease cancels nothing any more.

        A renewal finds the job gone also when it is done, and would cut off what is counted with its end.
        """
        self._tasks.pop(job.id, None)

    def begun(self, job: Job) -> None:
        """The job has reserved what it needs of its key's budget."""
        self._not_begun.discard(job.id)

    def not_begun(self, kind: str) -> int:
        """Return how many leased jobs of a kind have reserved nothing yet."""
        return sum(self._jobs[job_id].kind == kind for job_id in self._not_begun)

    def drop(self, job: Job) -> None:
        """Forget a job that is finished, handed back or lost."""
        if self._jobs.get(job.id) is job:
            del self._jobs[job.id], self._good_until[job.id]
            self._not_begun.discard(job.id)
            self._tasks.pop(job.id, None)

    def lost(self, job: Job) -> None:
        """Forget a job that turned out to be somebody else's."""
        if self._jobs.get(job.id) is job:
            self._on_lost(job)
            self.drop(job)

    async def renew(self) -> Collection[str]:
        """Renew every lease; cancel the work on jobs that are lost, and return their ids."""
        held = dict(self._jobs)
        fences = {job.id: job.fence for job in held.values()}
        if not fences:
            return ()
        good_until = self._trusted_until()
        lost = await self._store.renew(self.owner, fences, until=self._clock.now() + self.lease_s)
        for job_id in held.keys() - set(lost):
            self._extend(held[job_id], good_until)
        for job_id in lost:
            job, task = self._jobs.get(job_id), self._tasks.get(job_id)
            if job is not None and job.fence == fences[job_id]:
                if task is not None:
                    task.cancel()
                    self.lost(job)
                self.drop(job)
        return lost

    def _trusted_until(self) -> float:
        """Return until when a lease is beyond doubt that is given or extended now; asked before the store is."""
        return self.moment() + self.lease_s * TRUSTED_SHARE

    def _note(self, job: Job, good_until: float) -> None:
        self._jobs[job.id] = job
        self._good_until[job.id] = good_until

    def _extend(self, job: Job, good_until: float) -> None:
        if self._jobs.get(job.id) is job:  # it may have ended, or been leased anew, while the store was asked
            self._good_until[job.id] = max(good_until, self._good_until[job.id])

    async def keep_renewing(self) -> None:
        """Renew until cancelled. The caller restarts this when the store fails; the leases bridge the gap."""
        while True:
            await self._clock.sleep(self.lease_s / RENEWALS_PER_LEASE)
            await self.renew()
