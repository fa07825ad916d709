"""Answers that can't be there before their token ends: announced in time, and posted to the channel when they are.

A job is late from the moment its end was moved in the store; that comes first, so that whoever goes on with it after a
crash knows. What its user is told then is an edit that may be repeated, and so may the post: the job's id is its nonce,
for which Discord makes one message (within some minutes; after that the record of the post holds). So only if a post's
answer gets lost and nobody gets through to Discord for minutes after it, the answer may be posted a second time: that
is better than to lose what was paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

import structlog

from app.clock import Clock
from app.discord.channels import ChannelClient, reachable
from app.discord.models import Interaction
from app.discord.replies import Message
from app.discord.splitting import first_part
from app.discord.webhook import FollowUpClient
from app.discord.wire import CONTENT_MAX, TOKEN_LIFE_S
from app.errors import DiscordError
from app.jobs.job import Job
from app.journal import facts
from app.texts import Text

LATEST_S: Final = 3600.0
"""So long after it was asked for an answer is still given."""

TOKEN_MARGIN_S: Final = 15.0
"""A token is used no more this long before Discord lets it die."""

SENT: Final = "sent"
SENDING: Final = "sending"

_TOLD = Text(
    ko="🎬 아직 만들고 있어요. 완성되면 이 채널에 올리고 알려 드릴게요.",
    en="🎬 This is still in the making. It will be posted in this channel when it is done, with a word to you.",
)

log = structlog.get_logger("worker")


class PartStore(Protocol):
    """What of the job store this needs."""

    async def record_parts(self, job: Job, parts: Sequence[Mapping[str, Any]]) -> None:
        """As `JobStore`'s."""

    async def extend(self, job: Job, expires_at: float) -> None:
        """As `JobStore`'s."""


def is_late(job: Job) -> bool:
    """Whether the job's end has been moved beyond its token's."""
    return job.expires_at > job.received_at + TOKEN_LIFE_S


def token_ends_at(job: Job) -> float:
    """Return until when the interaction's token may be used, with a margin; seconds since the epoch."""
    return min(job.expires_at, job.received_at + TOKEN_LIFE_S - TOKEN_MARGIN_S)


class LateAnswers:
    """Gives a job more time and its answer another way, where the bot itself can reach the user.

    `holds` says whether a job's lease is beyond doubt (`LeaseBook.holds`).
    """

    def __init__(
        self,
        follow_up: FollowUpClient,
        channels: ChannelClient,
        store: PartStore,
        clock: Clock,
        *,
        holds: Callable[[Job], bool] = lambda job: True,
    ) -> None:
        self._follow_up = follow_up
        self._channels = channels
        self._store = store
        self._clock = clock
        self._holds = holds

    async def grant(self, job: Job, interaction: Interaction) -> bool:
        """Move the job's end and tell its user; False if that can't be, so that they are to be told the truth now.

        A private answer is never moved to a channel. Raises what the store raises.
        """
        if is_late(job) or not self._channels.available or not reachable(interaction):
            return False
        times = {"received_at": job.received_at, "expires_at": job.expires_at}
        try:
            if await self._follow_up.is_private(interaction.token, **times):
                return False
        except DiscordError:
            return False
        await self._store.extend(job, job.received_at + LATEST_S)
        log.info("goes on after its token's end", **facts(job))
        await self.tell(job, interaction)
        return True

    async def tell(self, job: Job, interaction: Interaction) -> None:
        """Make the original say where the answer will be; nothing if the token has ended or Discord doesn't take it.

        It waits while the job may be somebody else's: where the channel takes no answer, theirs stands in the original.
        """
        message = Message(_TOLD.to(interaction.locale))
        try:
            await self._follow_up.edit_original(
                interaction.token,
                message,
                received_at=job.received_at,
                expires_at=token_ends_at(job),
                may_go=partial(self._holds, job),
            )
        except DiscordError as error:
            log.warning("could not announce a late answer", **facts(job), error=str(error))

    async def post(self, job: Job, interaction: Interaction, message: Message) -> None:
        """Post the answer with a word to the asker, once; raises `DiscordError` if the channel does not take it."""
        if any(part["state"] == SENT for part in job.parts):
            return
        mention = f"<@{interaction.user_id}>\n"
        content = mention + first_part(message.content, CONTENT_MAX - len(mention))
        message_id = await self._channels.post(
            str(interaction.channel_id),
            replace(message, content=content),
            nonce=job.id,
            user_id=interaction.user_id,
            within_s=job.expires_at - self._clock.now(),
        )
        await self._store.record_parts(job, [{"n": 0, "state": SENT, "id": message_id}])
