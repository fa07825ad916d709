"""Accepting a job: recorded first, deferred after.

*Accepted* means on disk. Whatever can't be recorded in time is not accepted, and the user hears so at once; a write
that was too slow to wait for is withdrawn behind our back, so that a request we apologised for is not answered after
all.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from app.balancing.assignment import job_home
from app.balancing.budget import DAY_S, next_day
from app.balancing.cooldowns import Cooldowns
from app.clock import Clock
from app.commands.base import JobCommand
from app.deadline import SharedBound
from app.discord.models import Interaction
from app.discord.wire import TOKEN_LIFE_S
from app.errors import StoreUnavailable
from app.jobs.job import NewJob
from app.jobs.store import JobStore, PutLimits, PutResult
from app.journal import Journal, named
from app.texts import Text

ANSWER_MARGIN_S = 15.0
"""The last moment for a visible act lies this long before the token's end: clocks and networks are not exact."""

RECORD_WITHIN_S = 2.2
"""Discord waits 3 s for the answer; the rest is for the way there and back."""

PUT_AGAIN_AFTER_S = 0.1
PUT_AGAIN_FOR_S = 0.5
"""A full disk stays full: who is refused should hear so within a second."""

WITHDRAW_EVERY_S = 1.0
WITHDRAW_FOR_S = 60.0

_FULL = Text(
    ko="지금 대기열이 가득 차서({limit:,}건) 받지 못했고, 비용은 들지 않았어요. 1분쯤 뒤 다시 시도해 주세요.",
    en="The queue is full ({limit:,} waiting). This was not accepted and cost nothing; please try again in a minute.",
)

_COOLDOWN = Text(
    ko="조금만 천천히요! 이번 것은 받지 않아 비용이 들지 않았고, {seconds}초 뒤에 다시 쓸 수 있어요.",
    en="Not so fast! This was not accepted and cost nothing; you can use this again in {seconds} s.",
)
_DAY_EXHAUSTED = Text(
    ko="이 기능은 오늘 쓸 수 있는 만큼 모두 써서 받지 못했고, 비용은 들지 않았어요. <t:{reset}:R>에 다시 열려요.",
    en="This feature is used up for today; this was not accepted and cost nothing. Please try again <t:{reset}:R>.",
)
_QUOTA = Text(
    ko="오늘 쓸 수 있는 {limit:,}번을 모두 써서 받지 못했고, 비용은 들지 않았어요. <t:{reset}:R>에 다시 열려요.",
    en="You have used all {limit:,} of today; this was not accepted and cost nothing. You can go on <t:{reset}:R>.",
)
GONE = Text(
    ko="이 요청은 이미 다시 실행했거나 너무 오래되어 받지 않았고, 비용은 들지 않았어요. 명령을 새로 입력해 주세요.",
    en="This was run again already, or is too old; this press cost nothing. Please enter the command anew.",
)

log = structlog.get_logger("intake")


def _no_quota(interaction: Interaction) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """The interaction is not accepted; `text` says why."""

    reason: str
    text: Text


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """What the operator configured; 0 is no limit. `day_starts_at` is seconds after midnight UTC."""

    instance_count: int
    routing: str = "user"
    max_waiting: int = 0
    day_starts_at: int = 0


class Intake:
    """Records jobs for the worker. `notify` is called for each new one.

    `day_exhausted` says whether every instance has done its day's limit of a kind, `quota` how many jobs the user may
    have a day (0: no limit), `store_silent` whether the store answers nobody.
    """

    def __init__(
        self,
        store: JobStore,
        clock: Clock,
        *,
        rules: IntakeRules,
        cooldowns: Cooldowns,
        day_exhausted: Callable[[str], bool],
        notify: Callable[[], None],
        journal: Journal,
        quota: Callable[[Interaction], int] = _no_quota,
        store_silent: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._cooldowns = cooldowns
        self._day_exhausted = day_exhausted
        self._notify = notify
        self._journal = journal
        self._quota = quota
        self.store_silent = store_silent
        self._puts_of = secrets.token_hex(8)  # this life's; asking the system for each put costs more than counting
        self._puts = itertools.count()
        self._withdrawals: set[asyncio.Task[None]] = set()
        self._in_time = SharedBound(RECORD_WITHIN_S)

    async def accept(
        self, interaction: Interaction, command: JobCommand, body: bytes, received_at: float, *, repeats: str = ""
    ) -> Refusal | None:
        """Record the interaction; None once it is on disk (or was already), else why it is not accepted.

        `repeats` names a finished job of the user's that this interaction asks to be done again.
        """
        user, kind = interaction.user_id, command.kind
        home = job_home(user, kind, self._rules.instance_count, self._rules.routing)
        wait = self._cooldowns.begin(user, kind, interaction.id)
        if wait > 0:
            self._journal.refused(interaction.id, kind, home, "cooldown")
            return Refusal("cooldown", _COOLDOWN.format(seconds=math.ceil(wait)))
        job = NewJob(
            id=interaction.id,
            kind=kind,
            user_id=user,
            home=home,
            received_at=received_at,
            expires_at=received_at + TOKEN_LIFE_S - ANSWER_MARGIN_S,
            payload=body,
            put_by=f"{self._puts_of}-{next(self._puts)}",
            repeats=repeats,
            guild_id=interaction.guild_id,
            channel_id=interaction.channel_id,
        )
        try:
            refusal = await self._record(job, self._quota(interaction))
        except Exception:  # the edge will apologise, and nobody knows how far this came
            self._withdraw_later(job)
            self._cooldowns.undo(user, kind, job.id)
            raise
        if refusal is not None:
            self._cooldowns.undo(user, kind, job.id)
            self._journal.refused(job.id, kind, home, refusal.reason)
        return refusal

    async def _record(self, job: NewJob, quota: int) -> Refusal | None:
        limits = self._limits(job, quota)
        try:
            async with self._in_time():
                result = await self._put(job, limits)
        except (StoreUnavailable, TimeoutError) as error:
            log.error("could not record an interaction", **named(job), error=str(error) or "too slow")
            self._withdraw_later(job)
            return Refusal("store_unavailable", StoreUnavailable.sentence)
        if result is PutResult.ACCEPTED:
            self._notify()
            self._journal.accepted(job)
            return None
        if result is PutResult.DUPLICATE:
            self._journal.known(job)
        return self._refusal(result, job, limits)

    async def _put(self, job: NewJob, limits: PutLimits) -> PutResult:
        """Put, and again for a moment if the store fails: it may have been recorded although we heard only an error."""
        give_up = self._clock.monotonic() + PUT_AGAIN_FOR_S
        while True:
            try:
                return await self._store.put(job, limits)
            except StoreUnavailable:
                if self._clock.monotonic() >= give_up:
                    raise
            await self._clock.sleep(PUT_AGAIN_AFTER_S)

    def _limits(self, job: NewJob, quota: int) -> PutLimits:
        rules = self._rules
        day_start = next_day(job.received_at, rules.day_starts_at) - DAY_S
        return PutLimits(rules.max_waiting, quota, day_start, self._day_exhausted(job.kind))

    def _refusal(self, result: PutResult, job: NewJob, limits: PutLimits) -> Refusal | None:
        """Say why a job was not accepted; None if it was. Discord shows `<t:…:R>` in the reader's own time."""
        reset = int(next_day(job.received_at, self._rules.day_starts_at))
        match result:
            case PutResult.ACCEPTED | PutResult.DUPLICATE:
                return None
            case PutResult.FULL:
                return Refusal("queue_full", _FULL.format(limit=limits.max_waiting))
            case PutResult.QUOTA:
                return Refusal("user_quota", _QUOTA.format(limit=limits.user_quota, reset=reset))
            case PutResult.CLOSED:
                return Refusal("day_exhausted", _DAY_EXHAUSTED.format(reset=reset))
            case PutResult.GONE:
                return Refusal("gone", GONE)

    async def close(self) -> None:
        """Stop trying to withdraw."""
        for task in list(self._withdrawals):
            task.cancel()
        await asyncio.gather(*self._withdrawals, return_exceptions=True)

    def _withdraw_later(self, job: NewJob) -> None:
        task = asyncio.create_task(self._withdraw(job), name="withdraw")
        self._withdrawals.add(task)
        task.add_done_callback(self._withdrawals.discard)

    async def _withdraw(self, job: NewJob) -> None:
        give_up = self._clock.monotonic() + WITHDRAW_FOR_S
        while self._clock.monotonic() < give_up:
            try:
                if not await self._store.withdraw(job):
                    log.warning("a refused interaction was recorded and is being answered", **named(job))
            except StoreUnavailable:
                await self._clock.sleep(WITHDRAW_EVERY_S)
            else:
                return
