"""A job's end: keep the last word, deliver it, record how it ended.

In this order, because each step is undone by nothing that can happen in the next: a last word that is kept, an answer
or an apology, is delivered even if this process dies now; once delivered it stays the last word even if the record of
that is lost, since the next run finds it kept and sends the very same edit again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from app.balancing.overview import Overview
from app.clock import Clock
from app.commands.base import Services
from app.commands.derived import remembered
from app.discord.models import Interaction
from app.errors import LeaseLost, StoreUnavailable
from app.jobs.job import Finish, Job, Outcome, Repeat
from app.jobs.store import JobStore
from app.journal import Journal
from app.userdata.usage import NO_USAGE, Usage
from app.worker.delivery import Delivery
from app.worker.kept import Ended, pack
from app.worker.leases import LeaseBook

STORE_RETRY_S = 0.5

T = TypeVar("T")


class Concluder:
    """Ends the leased jobs of one instance. `conclude` raises `LeaseLost` and `StoreUnavailable`."""

    def __init__(
        self,
        *,
        instance: int,
        store: JobStore,
        leases: LeaseBook,
        services: Services,
        delivery: Delivery,
        overview: Overview,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._instance = instance
        self._store = store
        self._leases = leases
        self._services = services
        self._delivery = delivery
        self._overview = overview
        self._clock = clock
        self._journal = journal

    async def conclude(self, job: Job, interaction: Interaction, ended: Ended) -> None:
        """Keep, deliver, record. Keeping takes the current lease: whoever lost it is not seen any more."""
        packed = pack(ended)
        if packed == job.result:
            # Kept by an earlier run, which took the lease of then.
            if not await self.persist(job, lambda: self._leases.confirm(job)):
                raise LeaseLost(f"job {job.id}: the lease went to somebody else before the answer was sent")
            await self.persist(job, lambda: self._remember(job, ended))
        else:
            await self.persist(job, lambda: self._keep(job, packed, ended))
        started = self._clock.monotonic()
        outcome, error = await self._delivery.deliver(job, interaction, ended)
        self._leases.delivered(job)
        now = self._clock.now()
        self._journal.delivered(job, outcome.value, error, self._clock.monotonic() - started)
        body = remembered(interaction) if ended.repeat is not Repeat.NONE else None
        finish = Finish(outcome, now, ended.provider, error or ended.error, ended.repeat, body)
        await self.persist(job, partial(self._finish, job, interaction, finish, ended.usage))
        self._journal.finished(job, finish)

    async def _keep(self, job: Job, packed: bytes, ended: Ended) -> None:
        # Asked for in one turn, these are one transaction.
        await asyncio.gather(self._store.keep(job, packed), self._remember(job, ended))

    async def _remember(self, job: Job, ended: Ended) -> None:
        """Keep the turn before anybody sees the answer, so that the very next question can lean on it."""
        if ended.turn is not None:
            await self._services.conversations.add(ended.turn, job=job)

    async def _finish(self, job: Job, interaction: Interaction, finish: Finish, usage: Usage) -> None:
        # Asked for in one turn, these are one transaction.
        writes: list[Awaitable[object]] = []
        log_of_use = self._services.usage
        if log_of_use is not None and (finish.outcome is Outcome.ANSWERED or usage != NO_USAGE):
            user, guild = interaction.user_id, interaction.guild_id
            day = self._services.day()
            # First, while the lease can still be looked at: who lost it meanwhile has not to count what another counts.
            writes.append(log_of_use.add(day, user_id=user, guild_id=guild, kind=job.kind, usage=usage, job=job))
        writes += [self._store.finish(job, finish), self._overview.count_done(self._instance, job.kind)]
        await asyncio.gather(*writes)

    async def persist(self, job: Job, write: Callable[[], Awaitable[T]]) -> T:
        """Write, waiting for the store to come back for as long as the job has time."""
        while True:
            try:
                return await write()
            except StoreUnavailable:
                if self._clock.now() > job.expires_at:
                    raise
            await self._clock.sleep(STORE_RETRY_S)
