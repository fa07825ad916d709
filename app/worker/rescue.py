"""Jobs that nobody works on: their users are told where they stand, and told the truth before it is too late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from app.balancing.budget import KeyState
from app.balancing.overview import Overview
from app.clock import Clock
from app.commands.base import PROGRESS_MARK, JobCommand
from app.discord.models import parse, read_json
from app.discord.replies import Message
from app.errors import AnswerGone, DayExhausted, ProviderKeyRejected, ProviderQuotaExhausted, QuartetError
from app.jobs.job import Job
from app.jobs.store import JobStore, WaitingJob
from app.texts import Text
from app.worker.delivery import Delivery
from app.worker.leases import LeaseBook
from app.worker.runner import Runner

LOOK_EVERY_S = 1.0
TELL_AFTER_S = 1.5
TELL_AGAIN_AFTER_S = 8.0
TELL_AT_ONCE = 8
"""How many users are told their place in one look: telling everybody in a long queue would cost more than it gives."""

END_BEFORE_S = 30.0
"""A job that still waits this long before its end is ended with an honest sentence."""

HOUSEKEEPING_S = 60.0
KEPT_S = 24 * 3600.0

_PLACE = Text(
    ko=PROGRESS_MARK + " 대기 중이에요 · 앞에 {ahead}건",
    en=PROGRESS_MARK + " Waiting in the queue · {ahead} ahead of you",
)
_NEXT = Text(
    ko=PROGRESS_MARK + " 대기 중이에요 · 다음 차례예요", en=PROGRESS_MARK + " Waiting in the queue · you are next"
)

log = structlog.get_logger("rescue")


class Rescue:
    """Looks after the waiting jobs. Telling or ending takes a lease, so that it can't come after somebody's answer."""

    def __init__(
        self,
        *,
        store: JobStore,
        leases: LeaseBook,
        runner: Runner,
        delivery: Delivery,
        commands: Mapping[str, JobCommand],
        overview: Overview,
        clock: Clock,
        day_exhausted: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._leases = leases
        self._runner = runner
        self._delivery = delivery
        self._commands = commands
        self._overview = overview
        self._clock = clock
        self._day_exhausted = day_exhausted
        self._told: dict[str, float] = {}

    async def keep_looking(self) -> None:
        """Look after waiting jobs until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self.look()

    async def keep_house(self) -> None:
        """Forget jobs that ended long ago, until cancelled."""
        while True:
            await self._store.forget(finished_before=self._clock.now() - KEPT_S)
            await self._clock.sleep(HOUSEKEEPING_S)

    async def look(self) -> None:
        """One look: end what is too late or hopeless, tell the others their place."""
        now = self._clock.now()
        for job in await self._store.unserved(now=now):
            if job.expires_at - now < END_BEFORE_S:
                await self._end(job, None)
        waiting = await self._store.unserved(now=now, home=self._leases.owner)
        hopeless = {kind: self._hopeless(kind) for kind in {job.kind for job in waiting}}
        for job in waiting:
            error = hopeless[job.kind]
            if error is not None:
                await self._end(job, error)
        await self._tell([job for job in waiting if hopeless[job.kind] is None], now)

    def _hopeless(self, kind: str) -> QuartetError | None:
        """The error to show if nobody can serve `kind` soon: keys rejected or out of credit, the day's limit done."""
        if self._day_exhausted(kind):
            return DayExhausted(f"every instance has done its day's limit of {kind}")
        providers = self._commands[kind].providers
        keys = [
            key
            for member in self._overview.view.alive
            for provider, key in member.snapshot.keys.items()
            if provider in providers
        ]
        if not keys or any(key.usable or key.state not in (KeyState.DEAD, KeyState.SPENT) for key in keys):
            return None
        if any(key.state is KeyState.SPENT for key in keys):
            return ProviderQuotaExhausted(f"every key for {kind} is out of credit or rejected")
        return ProviderKeyRejected(f"every key for {kind} is rejected")

    async def _end(self, waiting: WaitingJob, error: QuartetError | None) -> None:
        job = await self._leases.take_one(waiting.id)
        if job is None:
            return
        try:
            await self._runner.end(job, error)
        finally:
            self._leases.drop(job)

    async def _tell(self, waiting: list[WaitingJob], now: float) -> None:
        """Show their place to those who wait longest without word."""
        known = {job.id for job in waiting}
        self._told = {job_id: at for job_id, at in self._told.items() if job_id in known}
        due = [
            (ahead, job)
            for ahead, job in enumerate(waiting)
            if now - job.received_at >= TELL_AFTER_S and now - self._told.get(job.id, 0.0) >= TELL_AGAIN_AFTER_S
        ]
        due.sort(key=lambda pair: self._told.get(pair[1].id, 0.0))
        chosen = due[:TELL_AT_ONCE]
        self._told.update((job.id, now) for _, job in chosen)
        await asyncio.gather(*(self._tell_place(job, ahead) for ahead, job in chosen))

    async def _tell_place(self, waiting: WaitingJob, ahead: int) -> None:
        job = await self._leases.take_one(waiting.id)
        if job is None:
            return
        try:
            interaction = parse(read_json(job.payload))
            text = _PLACE.format(ahead=ahead) if ahead else _NEXT
            await self._delivery.progress(job, interaction, Message(text.to(interaction.locale)))
        except AnswerGone:
            log.info("the message is gone before its turn", interaction=job.id)
        finally:
            await self._give_back(job)

    async def _give_back(self, job: Job) -> None:
        try:
            await self._store.release(job, counted=False)
        finally:
            self._leases.drop(job)
