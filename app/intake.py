"""Accepting a job: recorded first, deferred after.

*Accepted* means on disk. Whatever can't be recorded in time is not accepted, and the user hears so at once.
"""

from __future__ import annotations

import itertools
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from app.balancing.assignment import job_home
from app.balancing.budget import DAY_S, next_day
from app.balancing.cooldowns import Cooldowns
from app.clock import Clock
from app.commands.base import JobCommand
from app.discord.models import Interaction
from app.discord.wire import TOKEN_LIFE_S
from app.errors import StoreUnavailable
from app.jobs.job import NewJob
from app.jobs.store import JobStore, PutLimits, PutResult
from app.journal import Journal, named
from app.recording import Recorder
from app.texts import Text

ANSWER_MARGIN_S = 15.0
"""The last moment for a visible act lies this long before the token's end: clocks and networks are not exact."""

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


Told = Callable[[Refusal | Exception | None], None]
"""Hears None once a job is on disk (or was already), else why it is not accepted, or what broke."""


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
        self._recorder = Recorder(store, clock)
        self._rules = rules
        self._cooldowns = cooldowns
        self._day_exhausted = day_exhausted
        self._notify = notify
        self._journal = journal
        self._quota = quota
        self.store_silent = store_silent
        self._puts_of = secrets.token_hex(8)  # this life's; asking the system for each put costs more than counting
        self._puts = itertools.count()
        self._day_start = -math.inf

    def accept(
        self,
        interaction: Interaction,
        command: JobCommand,
        body: bytes,
        received_at: float,
        told: Told,
        *,
        repeats: str = "",
    ) -> Refusal | None:
        """Record the interaction. Return why it is not accepted, if that is clear at once; else None, and `told` hears.

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
        limits = self._limits(job, self._quota(interaction))
        self._recorder.record(job, limits, partial(self._recorded, job, limits, told))
        return None

    def _recorded(self, job: NewJob, limits: PutLimits, told: Told, result: PutResult | Exception) -> None:
        if result is PutResult.ACCEPTED:
            self._notify()
            told(None)
            self._journal.accepted(job)
            return
        try:
            outcome = self._outcome(job, limits, result)
        except Exception as error:  # nobody above would hear of it, and somebody waits for an answer
            outcome = error
        told(outcome)

    def _outcome(self, job: NewJob, limits: PutLimits, result: PutResult | Exception) -> Refusal | Exception | None:
        if result is PutResult.DUPLICATE:
            self._journal.known(job)
            return None
        self._cooldowns.undo(job.user_id, job.kind, job.id)
        if isinstance(result, Exception) and not isinstance(result, StoreUnavailable):
            return result
        refusal = self._refusal(result, job, limits)
        self._journal.refused(job.id, job.kind, job.home, refusal.reason)
        return refusal

    def _limits(self, job: NewJob, quota: int) -> PutLimits:
        if not 0 <= job.received_at - self._day_start < DAY_S:
            self._day_start = next_day(job.received_at, self._rules.day_starts_at) - DAY_S
        return PutLimits(self._rules.max_waiting, quota, self._day_start, self._day_exhausted(job.kind))

    def _refusal(self, result: PutResult | StoreUnavailable, job: NewJob, limits: PutLimits) -> Refusal:
        """Say why a job was not accepted. Discord shows `<t:…:R>` in the reader's own time."""
        reset = int(limits.day_start + DAY_S)
        match result:
            case PutResult.FULL:
                return Refusal("queue_full", _FULL.format(limit=limits.max_waiting))
            case PutResult.QUOTA:
                return Refusal("user_quota", _QUOTA.format(limit=limits.user_quota, reset=reset))
            case PutResult.CLOSED:
                return Refusal("day_exhausted", _DAY_EXHAUSTED.format(reset=reset))
            case PutResult.GONE:
                return Refusal("gone", GONE)
            case _:
                log.error("could not record an interaction", **named(job), error=str(result))
                return Refusal("store_unavailable", StoreUnavailable.sentence)

    async def close(self) -> None:
        """Stop trying to withdraw."""
        await self._recorder.close()
