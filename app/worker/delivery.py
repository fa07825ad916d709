"""The visible end of a job: the final edit, the messages that follow it, and what to do when Discord takes neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from app.clock import Clock
from app.discord.models import Interaction
from app.discord.replies import Message
from app.discord.splitting import first_part, with_whole
from app.discord.webhook import FollowUpClient
from app.discord.wire import CONTENT_MAX
from app.errors import AnswerRejected, DiscordError, StoreUnavailable
from app.jobs.job import Job, Outcome
from app.journal import facts
from app.texts import Text
from app.worker.kept import Ended
from app.worker.late import SENDING, SENT, LateAnswers, PartStore, is_late, token_ends_at
from app.worker.second_look import SecondLook

RECORD_RETRY_S = 0.5

_TOO_LARGE = Text(
    ko="\n-# 첨부 파일이 이곳의 크기 제한을 넘어 보낼 수 없었어요.",
    en="\n-# The attached file exceeds the size limit here and could not be sent.",
)
_REFUSED_BY_DISCORD = Text(
    ko="답을 만드느라 비용은 들었지만 Discord가 그 내용을 받아 주지 않았어요. 표현을 바꿔 다시 시도해 주세요.",
    en="The answer was made and paid for, but Discord did not accept its content. Please rephrase and try again.",
)

log = structlog.get_logger("worker")


class Delivery:
    """Sends through the follow-up client. `holds` says whether a job's lease is beyond doubt (`LeaseBook.holds`).

    A message that follows the answer is recorded before it is posted and after. One of which only the first is recorded
    may stand there or not: it is never posted again, and the answer is edited to hold the whole text as a file instead.
    """

    def __init__(
        self,
        follow_up: FollowUpClient,
        store: PartStore,
        clock: Clock,
        *,
        holds: Callable[[Job], bool] = lambda job: True,
        late: LateAnswers | None = None,
        second_look: SecondLook | None = None,
    ) -> None:
        self._follow_up = follow_up
        self._store = store
        self._clock = clock
        self._holds = holds
        self._late = late
        self._second_look = second_look

    async def deliver(self, job: Job, interaction: Interaction, ended: Ended) -> tuple[Outcome, str]:
        """Send the last word; return the outcome as the user saw it, and the error's class name if it changed.

        A message Discord refuses is followed by a simpler one, so that nobody is left with "thinking…". Raises what
        the store raises when a part can't be recorded: what was sent by then is not sent again.
        """
        if is_late(job) and self._late is not None:
            return await self._deliver_late(job, interaction, ended, self._late)
        unsure = any(part["state"] == SENDING for part in job.parts)
        message = _with_whole(ended, interaction) if unsure else ended.message
        outcome, error = await self._deliver_first(job, interaction, message, ended.outcome)
        if ended.parts and not unsure and outcome is ended.outcome:
            error = await self._deliver_parts(job, interaction, ended)
        return outcome, error

    async def progress(self, job: Job, interaction: Interaction, message: Message) -> bool:
        """Show progress, best effort; raises only `AnswerGone`.

        Nothing is shown once the job may be somebody else's: their answer may be there already. Nor over the word that
        an answer will come late.
        """
        if is_late(job) or not self._holds(job):
            return False
        return await self._follow_up.edit_original(
            interaction.token,
            message,
            received_at=job.received_at,
            expires_at=job.expires_at,
            final=False,
            may_go=partial(self._holds, job),
        )

    def pace(self, job: Job, interaction: Interaction) -> float:
        """Return the seconds until the job's next progress edit can go without harm (`FollowUpClient.pace`)."""
        return self._follow_up.pace(interaction.token)

    async def grant_late(self, job: Job, interaction: Interaction) -> bool:
        """Give a job that was paid for more time than its token has, if its user can be reached then."""
        return self._late is not None and await self._late.grant(job, interaction)

    async def tell_late(self, job: Job, interaction: Interaction) -> None:
        """Say again that the answer will come late, if it will: who said so first may have died over it."""
        if self._late is not None and is_late(job):
            await self._late.tell(job, interaction)

    async def _deliver_first(
        self, job: Job, interaction: Interaction, message: Message, outcome: Outcome
    ) -> tuple[Outcome, str]:
        try:
            await self._send(job, interaction, message)
        except AnswerRejected as error:
            simpler = _simpler(interaction, message, error)
            try:
                await self._send(job, interaction, simpler)
            except DiscordError as second:
                return Outcome.UNDELIVERABLE, type(second).__name__
            return Outcome.FAILED, type(error).__name__
        except DiscordError as error:
            return Outcome.UNDELIVERABLE, type(error).__name__
        return outcome, ""

    async def _deliver_parts(self, job: Job, interaction: Interaction, ended: Ended) -> str:
        """Post what is not there yet; return the error's class name if the whole had to be attached instead."""
        record = [dict(part) for part in job.parts]
        try:
            for n, part in enumerate(ended.parts, 1):
                if not any(entry["n"] == n for entry in record):
                    await self._post_part(job, interaction, record, n, part)
        except DiscordError as error:
            log.warning("a part was not sent", **facts(job), error=str(error))
            await self._deliver_first(job, interaction, _with_whole(ended, interaction), ended.outcome)
            return type(error).__name__
        return ""

    async def _post_part(
        self, job: Job, interaction: Interaction, record: list[dict[str, Any]], n: int, part: Message
    ) -> None:
        entry: dict[str, Any] = {"n": n, "state": SENDING}
        record.append(entry)
        await self._record(job, record)
        # A process that stood still must not post what somebody else has attached as a file meanwhile.
        message_id = await self._follow_up.post(
            interaction.token,
            part,
            received_at=job.received_at,
            expires_at=token_ends_at(job),
            may_go=partial(self._holds, job),
        )
        entry |= {"state": SENT, "id": message_id}
        await self._record(job, record)

    async def _record(self, job: Job, record: list[dict[str, Any]]) -> None:
        """Record, waiting for the store to come back for as long as the job has time."""
        parts: list[Mapping[str, Any]] = [dict(entry) for entry in record]
        while True:
            try:
                return await self._store.record_parts(job, parts)
            except StoreUnavailable:
                if self._clock.now() > job.expires_at:
                    raise
            await self._clock.sleep(RECORD_RETRY_S)

    async def _deliver_late(
        self, job: Job, interaction: Interaction, ended: Ended, late: LateAnswers
    ) -> tuple[Outcome, str]:
        """Post to the channel; what it does not take at all is edited into the original, if that still can be."""
        message = _with_whole(ended, interaction) if ended.parts else ended.message
        try:
            try:
                await late.post(job, interaction, message)
            except AnswerRejected as error:
                await late.post(job, interaction, _simpler(interaction, message, error))
                return Outcome.FAILED, type(error).__name__
        except DiscordError as error:
            log.warning("a late answer was not taken", **facts(job), error=str(error))
            outcome, second = await self._deliver_first(job, interaction, message, ended.outcome)
            return outcome, second or type(error).__name__
        return ended.outcome, ""

    async def _send(self, job: Job, interaction: Interaction, message: Message) -> None:
        if self._second_look is not None:
            self._second_look.end(job)
        await self._follow_up.edit_original(
            interaction.token, message, received_at=job.received_at, expires_at=token_ends_at(job)
        )
        if self._second_look is not None:
            self._second_look.begin(job, interaction, message)


def _with_whole(ended: Ended, interaction: Interaction) -> Message:
    whole = ended.whole or "\n\n".join(message.content for message in (ended.message, *ended.parts))
    return with_whole(ended.message, whole, interaction.locale)


def _simpler(interaction: Interaction, message: Message, error: AnswerRejected) -> Message:
    """Return what may pass where `message` did not: its text without the file that is too large, else a sentence."""
    locale = interaction.locale
    if error.too_large and message.attachments:
        note = _TOO_LARGE.to(locale)
        return Message((first_part(message.content, CONTENT_MAX - len(note)) + note).lstrip())
    return Message(_REFUSED_BY_DISCORD.to(locale))
