"""Accepting a job: recorded first, deferred after.

*Accepted* means on disk. Whatever can't be recorded in time is not accepted, and the user hears so at once; a write
that was too slow to wait for is withdrawn behind our back, so that a request we apologised for is not answered after
all.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from app.balancing.assignment import job_home
from app.balancing.cooldowns import Cooldowns
from app.clock import Clock
from app.commands.base import JobCommand
from app.discord.models import Interaction
from app.discord.wire import TOKEN_LIFE_S
from app.errors import StoreUnavailable
from app.jobs.job import NewJob
from app.jobs.store import JobStore, PutResult
from app.texts import Text

ANSWER_MARGIN_S = 15.0
"""The last moment for a visible act lies this long before the token's end: clocks and networks are not exact."""

RECORD_WITHIN_S = 2.2
"""Discord waits 3 s for the answer; the rest is for the way there and back."""

WITHDRAW_EVERY_S = 1.0
WITHDRAW_FOR_S = 60.0

_FULL = Text(
    ko="지금 대기열이 가득 찼어요({limit:,}건). 받지 못했고 비용은 들지 않았어요. 1분쯤 뒤 다시 시도해 주세요.",
    en="The queue is full ({limit:,} waiting). This was not accepted and cost nothing; please try again in a minute.",
)

_COOLDOWN = Text(
    ko="조금만 천천히요! {seconds}초 뒤에 다시 쓸 수 있어요.",
    en="Not so fast! You can use this again in {seconds} s.",
)
_DAY_EXHAUSTED = Text(
    ko="이 기능은 오늘 쓸 수 있는 만큼 모두 썼어요. <t:{reset}:R>에 다시 열려요. 비용은 들지 않았어요.",
    en="This feature is used up for today and opens again <t:{reset}:R>. This cost nothing.",
)
_DAY_S = 86_400

log = structlog.get_logger("intake")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The interaction is not accepted; `text` says why."""

    reason: str
    text: Text


class Intake:
    """Records jobs for the worker. `notify` is called for each new one.

    `day_exhausted` says whether every instance has done its day's limit of a kind.
    """

    def __init__(
        self,
        store: JobStore,
        clock: Clock,
        *,
        instance_count: int,
        routing: str,
        max_waiting: int,
        cooldowns: Cooldowns,
        day_exhausted: Callable[[str], bool],
        notify: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._instance_count = instance_count
        self._routing = routing
        self._max_waiting = max_waiting
        self._cooldowns = cooldowns
        self._day_exhausted = day_exhausted
        self._notify = notify
        self._withdrawals: set[asyncio.Task[None]] = set()

    async def accept(
        self, interaction: Interaction, command: JobCommand, body: bytes, received_at: float
    ) -> Refusal | None:
        """Record the interaction; None once it is on disk (or was already), else why it is not accepted."""
        user, kind = interaction.user_id, command.kind
        if self._day_exhausted(kind):
            return Refusal("day_exhausted", _DAY_EXHAUSTED.format(reset=_next_day(received_at)))
        wait = self._cooldowns.begin(user, kind, interaction.id)
        if wait > 0:
            return Refusal("cooldown", _COOLDOWN.format(seconds=math.ceil(wait)))
        refusal = await self._record(interaction, command, body, received_at)
        if refusal is not None:
            self._cooldowns.undo(user, kind, interaction.id)
        return refusal

    async def _record(
        self, interaction: Interaction, command: JobCommand, body: bytes, received_at: float
    ) -> Refusal | None:
        job = NewJob(
            id=interaction.id,
            kind=command.kind,
            user_id=interaction.user_id,
            home=job_home(interaction.user_id, command.kind, self._instance_count, self._routing),
            received_at=received_at,
            expires_at=received_at + TOKEN_LIFE_S - ANSWER_MARGIN_S,
            payload=body,
        )
        try:
            async with asyncio.timeout(RECORD_WITHIN_S):
                result = await self._store.put(job, max_waiting=self._max_waiting)
        except (StoreUnavailable, TimeoutError) as error:
            log.error("could not record an interaction", interaction=job.id, error=str(error) or "too slow")
            self._withdraw_later(job.id)
            return Refusal("store_unavailable", StoreUnavailable.sentence)
        except Exception:  # the edge will apologise, and nobody knows how far this came
            self._withdraw_later(job.id)
            self._cooldowns.undo(job.user_id, job.kind, job.id)
            raise
        if result is PutResult.FULL:
            return Refusal("queue_full", _FULL.format(limit=self._max_waiting))
        if result is PutResult.ACCEPTED:
            self._notify()
        return None

    async def close(self) -> None:
        """Stop trying to withdraw."""
        for task in list(self._withdrawals):
            task.cancel()
        await asyncio.gather(*self._withdrawals, return_exceptions=True)

    def _withdraw_later(self, job_id: str) -> None:
        task = asyncio.create_task(self._withdraw(job_id), name="withdraw")
        self._withdrawals.add(task)
        task.add_done_callback(self._withdrawals.discard)

    async def _withdraw(self, job_id: str) -> None:
        give_up = self._clock.monotonic() + WITHDRAW_FOR_S
        while self._clock.monotonic() < give_up:
            try:
                if not await self._store.withdraw(job_id):
                    log.warning("a refused interaction was recorded and is being answered", interaction=job_id)
            except StoreUnavailable:
                await self._clock.sleep(WITHDRAW_EVERY_S)
            else:
                return


def _next_day(now: float) -> int:
    """Return when the next UTC day begins, seconds since the epoch: Discord shows it in the reader's own time."""
    return (int(now) // _DAY_S + 1) * _DAY_S
