"""The visible end of a job: the final edit, and what to do when Discord does not take it."""

from __future__ import annotations

from collections.abc import Callable

from app.discord.models import Interaction
from app.discord.replies import Message
from app.discord.splitting import first_part
from app.discord.webhook import FollowUpClient
from app.discord.wire import CONTENT_MAX
from app.errors import AnswerRejected, DiscordError
from app.jobs.job import Job, Outcome
from app.texts import Text

_TOO_LARGE = Text(
    ko="\n-# 첨부 파일이 이곳의 크기 제한을 넘어 보낼 수 없었어요.",
    en="\n-# The attached file exceeds the size limit here and could not be sent.",
)
_REFUSED_BY_DISCORD = Text(
    ko="답은 만들었지만 Discord가 그 내용을 받아 주지 않았어요. 표현을 바꿔 다시 시도해 주세요.",
    en="There is an answer, but Discord did not accept its content. Please rephrase and try again.",
)


class Delivery:
    """Edits through the follow-up client. `sure` says whether this instance's leases are beyond doubt."""

    def __init__(self, follow_up: FollowUpClient, sure: Callable[[], bool] = lambda: True) -> None:
        self._follow_up = follow_up
        self._sure = sure

    async def deliver(
        self, job: Job, interaction: Interaction, message: Message, outcome: Outcome
    ) -> tuple[Outcome, str]:
        """Send the final message; return the outcome as the user saw it, and the error's class name if it changed.

        A message Discord refuses is followed by a simpler one, so that nobody is left with "thinking…".
        """
        try:
            await self._send(job, interaction, message)
        except AnswerRejected as error:
            return await self._deliver_simpler(job, interaction, message, error)
        except DiscordError as error:
            return Outcome.UNDELIVERABLE, type(error).__name__
        return outcome, ""

    async def progress(self, job: Job, interaction: Interaction, message: Message) -> bool:
        """Show progress, best effort; raises only `AnswerGone`.

        Nothing is shown while others may take this instance for dead: somebody else's answer may be there already.
        """
        if not self._sure():
            return False
        return await self._follow_up.edit_original(
            interaction.token, message, received_at=job.received_at, expires_at=job.expires_at, final=False
        )

    def pace(self, job: Job, interaction: Interaction) -> float:
        """Return the seconds until the job's next progress edit can go without harm (`FollowUpClient.pace`)."""
        return self._follow_up.pace(interaction.token)

    async def _send(self, job: Job, interaction: Interaction, message: Message) -> None:
        await self._follow_up.edit_original(
            interaction.token, message, received_at=job.received_at, expires_at=job.expires_at
        )

    async def _deliver_simpler(
        self, job: Job, interaction: Interaction, message: Message, error: AnswerRejected
    ) -> tuple[Outcome, str]:
        locale = interaction.locale
        if error.too_large and message.attachments:
            note = _TOO_LARGE.to(locale)
            simpler = Message((first_part(message.content, CONTENT_MAX - len(note)) + note).lstrip())
        else:
            simpler = Message(_REFUSED_BY_DISCORD.to(locale))
        try:
            await self._send(job, interaction, simpler)
        except DiscordError as second:
            return Outcome.UNDELIVERABLE, type(second).__name__
        return Outcome.FAILED, type(error).__name__
