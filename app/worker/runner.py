"""One job, from lease to end: run it, or find out why it can't run, then conclude it (app/worker/concluding.py)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from app.balancing.keyset import concerns_key
from app.balancing.overview import Overview
from app.clock import Clock
from app.commands.base import Answer, JobCommand, JobContext, Services, spoken
from app.commands.buttons import stop_row
from app.commands.moderation import moderated
from app.discord.models import Interaction, parse, read_json
from app.discord.replies import Message
from app.errors import (
    LeaseLost,
    ProviderError,
    ProviderRefused,
    ProviderTimeout,
    QuartetError,
    StoreUnavailable,
)
from app.jobs.job import MAX_ATTEMPTS, Finish, Job, Outcome
from app.jobs.store import JobStore
from app.journal import Journal, facts
from app.worker import endings
from app.worker.concluding import STORE_RETRY_S, Concluder
from app.worker.delivery import Delivery
from app.worker.endings import CRASHED, apology
from app.worker.kept import Ended, unpack
from app.worker.leases import LeaseBook
from app.worker.pressure import Pressure
from app.worker.progress import ProgressReporter
from app.worker.running import CommandStopped, RunningCommand

TIME_TO_DELIVER_S = 20.0
"""A command has to be ready this long before the last moment anything may be sent."""

GIVE_UP_ATTEMPTS = 3 * MAX_ATTEMPTS
"""A job that can't even be told its apology is tried this often."""

AVOID_S = 3.0
"""So long a job that came back for want of a key is left to the other instances."""

LONGEST_REST_S = 60.0
"""A job waits for its own keys if they rest no longer than this; else its user is told."""

log = structlog.get_logger("worker")


@dataclass(frozen=True, slots=True)
class GoesBack:
    """The job goes back to the queue for this reason (`Journal.released`), after this error."""

    reason: str
    error: str


class Runner:
    """Runs leased jobs of this instance. `end` and `run` never raise, but for being cancelled.

    `resolve` returns the command a job was asked for with, where several share a kind.
    """

    def __init__(
        self,
        *,
        instance: int,
        store: JobStore,
        leases: LeaseBook,
        commands: Mapping[str, JobCommand],
        services: Services,
        delivery: Delivery,
        overview: Overview,
        clock: Clock,
        journal: Journal,
        resolve: Callable[[Interaction, str], JobCommand] | None = None,
        pressure: Pressure | None = None,
    ) -> None:
        self._instance = instance
        self._store = store
        self._leases = leases
        self._commands = commands
        self._services = services
        self._delivery = delivery
        self._overview = overview
        self._clock = clock
        self.journal = journal
        self._concluder = Concluder(
            instance=instance,
            store=store,
            leases=leases,
            services=services,
            delivery=delivery,
            overview=overview,
            clock=clock,
            journal=journal,
        )
        self._pressure = pressure or Pressure(clock)
        self._resolve = resolve or (lambda _interaction, kind: commands[kind])
        self._running: dict[str, RunningCommand] = {}

    def stop(self, job_id: str) -> None:
        """The user wants no more of this job: end its command at once, if it runs here."""
        if running := self._running.get(job_id):
            running.stop()

    async def run(self, job: Job) -> None:
        """Bring a leased job to its end, or hand it back."""
        self.journal.leased(job)
        try:
            interaction = self.read(job)
            ended = await self._result(job, interaction)
            if isinstance(ended, GoesBack):
                avoid_until = self._clock.now() + AVOID_S
                back = partial(self._store.release, job, counted=False, avoid_until=avoid_until)
                await self._concluder.persist(job, back)
                self.journal.released(job, ended.reason, error=ended.error)
            else:
                await self._concluder.conclude(job, interaction, ended)
        except asyncio.CancelledError:
            # An orderly end of this process: the attempt does not count, and somebody else goes on at once.
            with contextlib.suppress(LeaseLost, StoreUnavailable):
                await self._store.release(job, counted=False)
                self.journal.released(job, "drain")
            raise
        except LeaseLost:
            self._leases.lost(job)
        except StoreUnavailable as error:
            await self._hand_back(job, error)
        except Exception:
            log.exception("job broke", **facts(job))
            await self._set_aside(job)

    async def end(self, job: Job, error: QuartetError | None) -> None:
        """End a job that can't run: with what an earlier run kept, the error's sentence, or because its time is up."""
        try:
            interaction = self.read(job)
            waits = error is None and job.result is None and not job.stop and RunningCommand().paid(job)
            if waits and await self._goes_on_late(job, interaction):
                await self._concluder.persist(job, lambda: self._store.release(job, counted=False))
                self.journal.released(job, "late")
            else:
                await self._concluder.conclude(
                    job, interaction, endings.unserved(job, interaction, error, self._services.prices)
                )
        except (LeaseLost, StoreUnavailable) as failure:
            log.warning("could not end the job", **facts(job), error=str(failure))
        except Exception:
            log.exception("job broke", **facts(job))
            await self._set_aside(job)

    def read(self, job: Job) -> Interaction:
        """Return the job's interaction, in the language its user has chosen."""
        interaction = parse(read_json(job.payload))
        chosen = self._services.chosen(interaction.user_id, interaction.guild_id)
        return replace(interaction, locale=spoken(interaction, chosen))

    async def _result(self, job: Job, interaction: Interaction) -> Ended | GoesBack:
        """Return how the job ends, or why it goes back to the queue."""
        if job.result is not None:
            return unpack(job.result)
        if job.stop:
            return endings.stopped(job, interaction, RunningCommand(), self._services.prices)
        await self._delivery.tell_late(job, interaction)
        if job.attempts > MAX_ATTEMPTS:
            return apology(job, interaction, CRASHED, Outcome.FAILED, "Crashed")
        running = self._running[job.id] = RunningCommand()
        progress = self._reporter(job, interaction)
        progress.start()
        try:
            answer = await self._run_command(job, interaction, progress, running)
        except CommandStopped:
            return endings.stopped(job, interaction, running, self._services.prices)
        except ProviderRefused as error:
            return apology(job, interaction, error.sentence, Outcome.REFUSED, type(error).__name__, error)
        except ProviderError as error:
            await progress.close()
            reason = await self._goes_on(job, interaction, error, running)
            if reason:
                return GoesBack(reason, type(error).__name__)
            return apology(job, interaction, error.sentence, Outcome.FAILED, type(error).__name__, error)
        except (LeaseLost, StoreUnavailable):
            raise
        except QuartetError as error:
            return apology(job, interaction, error.sentence, Outcome.FAILED, type(error).__name__, error)
        except Exception as error:
            log.exception("command broke", **facts(job))
            return apology(job, interaction, QuartetError.sentence, Outcome.FAILED, type(error).__name__)
        finally:
            if self._running.get(job.id) is running:  # else another lease on it began here meanwhile
                del self._running[job.id]
            await progress.close()
        return endings.answered(answer, self._services.prices)

    async def _goes_on(self, job: Job, interaction: Interaction, error: ProviderError, running: RunningCommand) -> str:
        """Why the job goes back to the queue: for another key, or to be waited for beyond its token's end; or empty."""
        if concerns_key(error) and self._may_go_back(job, error):
            return "another_key"
        out_of_time = isinstance(error, ProviderTimeout) and running.paid(job)
        return "late" if out_of_time and await self._goes_on_late(job, interaction) else ""

    async def _goes_on_late(self, job: Job, interaction: Interaction) -> bool:
        """Whether what was paid for is waited for beyond the token's end, and its user was told so."""
        return await self._concluder.persist(job, lambda: self._delivery.grant_late(job, interaction))

    def _reporter(self, job: Job, interaction: Interaction) -> ProgressReporter:
        return ProgressReporter(
            partial(self._show, job, interaction),
            interaction.locale,
            self._clock,
            pace=partial(self._delivery.pace, job, interaction),
            pressure=self._pressure,
            components=stop_row(job.id, interaction.locale),
        )

    async def _run_command(
        self, job: Job, interaction: Interaction, progress: ProgressReporter, running: RunningCommand
    ) -> Answer:
        def begun() -> None:
            running.begun = True
            self._leases.begun(job)

        async def checkpoint(facts: Mapping[str, Any], pin: bool) -> None:
            await self._checkpoint(job, facts, pin)
            running.ordered = running.ordered or pin

        context = JobContext(
            job=job,
            interaction=interaction,
            instance=self._instance,
            services=self._services,
            progress=progress,
            checkpoint=checkpoint,
            clock=self._clock,
            deadline=job.expires_at - TIME_TO_DELIVER_S,
            begun=begun,
            stopping=lambda: running.stopping,
            preferences=self._services.chosen(interaction.user_id, interaction.guild_id),
            watch=partial(self.journal.call, job),
        )
        seconds = context.seconds_left()
        if seconds <= 0:
            raise ProviderTimeout("no time is left to run this job")
        return await running.run(moderated(self._resolve(interaction, job.kind).run, context), seconds)

    async def _checkpoint(self, job: Job, facts: Mapping[str, Any], pin: bool) -> None:
        await self._concluder.persist(job, lambda: self._store.checkpoint(job, facts, pin=pin))

    async def _show(self, job: Job, interaction: Interaction, message: Message) -> bool:
        """Show progress, but not over the answer of somebody who took this job while this process stood still."""
        try:
            if not await self._leases.confirm_lately(job):
                return False
        except StoreUnavailable:
            return False
        return await self._delivery.progress(job, interaction, message)

    def _may_go_back(self, job: Job, error: ProviderError) -> bool:
        """Whether the queue may still bring this job to a key that works, in time."""
        seconds_left = job.expires_at - TIME_TO_DELIVER_S - self._clock.now()
        able = (error.provider,) if error.irreplaceable else self._commands[job.kind].providers
        if self._overview.view.usable_elsewhere(able, but=self._instance):
            return seconds_left > 0
        return error.retryable and (error.retry_after or 0.0) <= min(LONGEST_REST_S, seconds_left)

    async def _hand_back(self, job: Job, cause: StoreUnavailable) -> None:
        """Hand back once the store works again: that it did not is no crash, and no attempt is counted for it."""
        log.error("store unavailable", **facts(job), error=str(cause))
        try:
            await self._concluder.persist(job, lambda: self._store.release(job, counted=False))
            self.journal.released(job, "store")
        except (LeaseLost, StoreUnavailable) as error:
            log.warning("could not hand the job back", **facts(job), error=str(error))

    async def _set_aside(self, job: Job) -> None:
        """Leave a job that broke outside of its command to the next lease: not at once, and not for ever."""
        await self._clock.sleep(STORE_RETRY_S)
        if job.attempts > GIVE_UP_ATTEMPTS:
            finish = Finish(Outcome.UNDELIVERABLE, self._clock.now(), error="Broken")
            with contextlib.suppress(LeaseLost, StoreUnavailable):
                await self._store.finish(job, finish)
                self.journal.finished(job, finish)
