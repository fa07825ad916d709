"""Jobs that nobody works on: their users are told where they stand, and told the truth before it is too late."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

import structlog

from app.balancing.budget import KeyState
from app.balancing.overview import Overview
from app.clock import Clock
from app.commands.base import PROGRESS_MARK, JobCommand
from app.commands.buttons import stop_row
from app.commands.formatting import duration
from app.discord.replies import Message
from app.errors import (
    AnswerGone,
    DayExhausted,
    ProviderKeyRejected,
    ProviderQuotaExhausted,
    QuartetError,
    StoreError,
    StoreUnavailable,
)
from app.jobs.job import Finish, Job, Outcome
from app.jobs.store import JobStore, WaitingJob
from app.journal import facts
from app.texts import Locale, Text
from app.worker.delivery import Delivery
from app.worker.leases import LeaseBook
from app.worker.runner import LONGEST_REST_S, Runner

LOOK_EVERY_S = 1.0
TELL_AFTER_S = 1.5
TELL_AGAIN_AFTER_S = 8.0
TOLD_KEPT_S = 60.0
TELL_AT_ONCE = 8
"""How many users are told their place in one look: telling everybody in a long queue would cost more than it gives."""

PACE_WINDOW_S = 60.0
PACE_JOBS = 2000
PACE_SHORTEST_S, PACE_LONGEST_S = 3.0, 900.0

END_BEFORE_S = 30.0
"""A job that still waits this long before its end is ended with an honest sentence."""

HOUSEKEEPING_S = 60.0
KEPT_S = 24 * 3600.0

FORGET_AT_ONCE = 500
FORGET_PAUSE_S = 0.2
"""Jobs dropped in one transaction, and the pause before the next: the others' writes come between."""

_PLACE = Text(
    ko=PROGRESS_MARK + " 대기 중이에요 · 앞에 {ahead}건",
    en=PROGRESS_MARK + " Waiting in the queue · {ahead} ahead of you",
)
_NEXT = Text(
    ko=PROGRESS_MARK + " 대기 중이에요 · 다음 차례예요", en=PROGRESS_MARK + " Waiting in the queue · you are next"
)
_ABOUT = Text(ko=" · 약 {seconds}", en=" · about {seconds}")

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
        self._ending: dict[str, asyncio.Task[None]] = {}

    async def keep_looking(self) -> None:
        """Look after waiting jobs until cancelled."""
        try:
            while True:
                await self._clock.sleep(LOOK_EVERY_S)
                await self.look()
        finally:
            await self._stop_ending()

    async def keep_house(self) -> None:
        """Forget jobs that ended long ago, until cancelled."""
        while True:
            await self._forget_jobs(self._clock.now() - KEPT_S)
            await self._overview.forget()
            await self._clock.sleep(HOUSEKEEPING_S)

    async def _forget_jobs(self, finished_before: float) -> None:
        """All of them, however many end a day: what is left over each time would add up."""
        while await self._store.forget(finished_before=finished_before, limit=FORGET_AT_ONCE) >= FORGET_AT_ONCE:
            await self._clock.sleep(FORGET_PAUSE_S)

    async def look(self) -> None:
        """One look: end what is too late or hopeless, tell the others their place."""
        now = self._clock.now()
        for job in await self._store.unserved(now=now):
            if job.expires_at - now < END_BEFORE_S:
                self._end_soon(job, None)
        for home in self._homes():
            waiting = []
            for job in await self._store.unserved(now=now, home=home):
                error = self._hopeless(job.kind, job.expires_at - END_BEFORE_S - now)
                if error is not None:
                    self._end_soon(job, error)
                elif job.id not in self._ending:
                    waiting.append(job)
            await self._tell(waiting, now)
        self._told = {job_id: at for job_id, at in self._told.items() if now - at < TOLD_KEPT_S}

    def _homes(self) -> Collection[int]:
        """This instance's own home, and for the lowest of those alive also the homes of those that are down."""
        own = self._leases.owner
        alive = [member.instance for member in self._overview.view.alive]
        return {own, *self._overview.dead()} if alive and min(alive) == own else {own}

    def _hopeless(self, kind: str, seconds: float) -> QuartetError | None:
        """The error to show if nobody can serve `kind` within `seconds`: no key will do, or the day's limit is done."""
        if self._day_exhausted(kind):
            return DayExhausted(f"every instance has done its day's limit of {kind}")
        providers = self._commands[kind].providers
        keys = [
            key
            for member in self._overview.view.alive
            for provider, key in member.snapshot.keys.items()
            if provider in providers
        ]
        given_up, soon = (KeyState.DEAD, KeyState.SPENT), max(LONGEST_REST_S, seconds)
        if not keys or any(key.usable or (key.state not in given_up and key.rest_s < soon) for key in keys):
            return None
        if all(key.state is KeyState.DEAD for key in keys):
            return ProviderKeyRejected(f"every key for {kind} is rejected")
        return ProviderQuotaExhausted(f"every key for {kind} is out of credit, rejected or used up for long")

    def _end_soon(self, waiting: WaitingJob, error: QuartetError | None) -> None:
        """End in a task of its own: an edit that Discord keeps waiting must not hold up the next look."""
        if waiting.id not in self._ending:
            self._in_background(waiting.id, self._end(waiting, error))

    def _in_background(self, job_id: str, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending, name=f"end-{job_id}")
        self._ending[job_id] = task
        task.add_done_callback(lambda _: self._ending.pop(job_id, None))

    async def _end(self, waiting: WaitingJob, error: QuartetError | None) -> None:
        try:
            job = await self._leases.take_one(waiting.id)
        except StoreUnavailable:
            return  # the next look finds it again
        if job is not None:
            await self._end_leased(job, error)

    async def _end_leased(self, job: Job, error: QuartetError | None) -> None:
        if (task := asyncio.current_task()) is not None:
            self._leases.work(job, task)  # who loses the lease ends nothing any more
        try:
            if error is not None and job.checkpoint and job.result is None and not job.stop:
                # A task that was made and paid for needs no budget to be followed, only its instance.
                await self._store.release(job, counted=False)
            else:
                await self._runner.end(job, error)
        except StoreError as failure:
            log.warning("could not give a job back", **facts(job), error=str(failure))
        finally:
            self._leases.drop(job)

    async def _stop_ending(self) -> None:
        tasks = list(self._ending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, waiting: list[WaitingJob], now: float) -> None:
        """Show their place to those who wait longest without word."""
        due = [
            (ahead, job)
            for ahead, job in enumerate(waiting)
            if now - job.received_at >= TELL_AFTER_S and now - self._told.get(job.id, 0.0) >= TELL_AGAIN_AFTER_S
        ]
        due.sort(key=lambda pair: self._told.get(pair[1].id, 0.0))
        chosen = due[:TELL_AT_ONCE]
        if chosen:
            pace = await self._pace(now, chosen[0][1].home)
            self._told.update((job.id, now) for _, job in chosen)
            await asyncio.gather(*(self._tell_place(job, ahead, pace * (ahead + 1)) for ahead, job in chosen))

    async def _pace(self, now: float, home: int) -> float:
        """Return the seconds between two ends of a home's jobs, as measured lately; infinite if none has ended."""
        ended = await self._store.history(since=now - PACE_WINDOW_S, limit=PACE_JOBS)
        count = sum(job.home == home for job in ended)
        return PACE_WINDOW_S / count if count else math.inf

    async def _tell_place(self, waiting: WaitingJob, ahead: int, seconds: float) -> None:
        job = await self._leases.take_one(waiting.id)
        if job is None:
            return
        if job.result is not None or job.stop:
            # Its last word is kept, and may stand there already: no place may be told after that.
            self._in_background(job.id, self._end_leased(job, None))
            return
        try:
            interaction = self._runner.read(job)
            text = _place(ahead, seconds, interaction.locale)
            await self._delivery.progress(
                job, interaction, Message(text, components=stop_row(job.id, interaction.locale))
            )
        except AnswerGone:
            # Nobody would see the answer, so nothing is paid for it.
            log.info("the message was deleted before its turn", **facts(job))
            finish = Finish(Outcome.UNDELIVERABLE, self._clock.now(), error="AnswerGone")
            await self._store.finish(job, finish)
            self._runner.journal.finished(job, finish)
        else:
            await self._store.release(job, counted=False)
        finally:
            self._leases.drop(job)


def _place(ahead: int, seconds: float, locale: Locale) -> str:
    """Say where somebody stands, and how long that took lately if it is worth saying."""
    text = (_PLACE.format(ahead=ahead) if ahead else _NEXT).to(locale)
    if PACE_SHORTEST_S <= seconds <= PACE_LONGEST_S:
        text += _ABOUT.format(seconds=duration(seconds, locale)).to(locale)
    return text
