"""Deletes answers their users want gone: the message with the button, and the further messages of a long answer.

A press has been answered by then, so this works in the background, for as long as Discord may need. What could not be
deleted is told to who pressed: a private word is the only honest end of a button that seemed to do nothing. The press
is not recorded: if this process ends in between, the message still stands there, with its button.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog

from app.clock import Clock
from app.discord.models import Interaction, made_at, parse, read_json
from app.discord.replies import Message
from app.discord.wire import TOKEN_LIFE_S
from app.errors import AnswerGone, DiscordError, StoreUnavailable
from app.jobs.store import JobStore
from app.texts import Text

WITHIN_S: Final = 60.0
"""So long it is tried: a button pressed again does the rest."""

STORE_RETRY_S: Final = 0.5
STORE_WITHIN_S: Final = 5.0
CLOSE_WITHIN_S: Final = 5.0

END_WITHIN_S: Final = 20.0
"""So long a job may take to post what follows its answer."""

LOOK_EVERY_S: Final = 0.25
CLOCKS_APART_S: Final = 60.0
"""Ids are made by Discord's clock, ends recorded by ours."""

_NOT_DELETED = Text(
    ko="지금은 메시지를 지우지 못했어요. 잠시 뒤 🗑를 다시 눌러 주세요.",
    en="The message could not be deleted right now. Please press 🗑 again in a moment.",
)
_PARTS_LEFT = Text(
    ko="이어진 메시지 {count}개는 봇이 더 이상 지울 수 없어요. 메시지 관리 권한이 있는 사람은 지울 수 있어요.",
    en="The bot can't delete what followed any more (messages: {count}). Whoever may manage messages here can.",
)

T = TypeVar("T")

log = structlog.get_logger("removal")


class FollowUps(Protocol):
    """What is asked of Discord, see `FollowUpClient`."""

    async def delete_original(self, token: str, *, within_s: float = ...) -> None:
        """Delete the message whose component was used."""

    async def delete_message(self, token: str, message_id: str, *, within_s: float = ...) -> None:
        """Delete a message that was posted with this token."""

    async def tell(self, token: str, message: Message, *, within_s: float = ...) -> None:
        """Post a message that only the user sees."""


class Channels(Protocol):
    """What the bot itself may do, see `ChannelClient`."""

    async def delete(self, channel_id: str, message_id: str, *, within_s: float = ...) -> None:
        """Delete a message of the bot's."""


class Removal:
    """Deletes answers in tasks of its own; `close` ends them. One message is deleted by one task at a time."""

    def __init__(self, follow_ups: FollowUps, channels: Channels | None, store: JobStore, clock: Clock) -> None:
        self._follow_ups = follow_ups
        self._channels = channels
        self._store = store
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def under_way(self) -> int:
        """How many answers are being deleted."""
        return len(self._tasks)

    def begin(self, press: Interaction, job_id: str, asker_id: str) -> None:
        """Delete the message whose component was used, and what else belongs to the answer to this user's job."""
        key = str(press.message.get("id") or job_id)
        if key not in self._tasks:
            task = asyncio.create_task(self._remove(press, job_id, asker_id), name="remove")
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def close(self) -> None:
        """Let what is under way come to its end for a few seconds, then give it up."""
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_WITHIN_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _remove(self, press: Interaction, job_id: str, asker_id: str) -> None:
        try:
            problem = await self._try_to(press, job_id, asker_id)
            if problem is not None:
                await self._follow_ups.tell(press.token, Message(problem.to(press.locale)), within_s=WITHIN_S)
        except DiscordError as error:
            log.warning("could not say that an answer was not deleted", interaction=press.id, error=str(error))
        except Exception:
            log.exception("deleting an answer broke", interaction=press.id)

    async def _try_to(self, press: Interaction, job_id: str, asker_id: str) -> Text | None:
        """Delete everything; return what is to be told of what was left."""
        try:
            await self._wait_for_end(job_id, asker_id)
            # The parts first: once the original is gone, so is the button to try again with.
            left = await self._remove_parts(press, job_id, asker_id)
            await self._follow_ups.delete_original(press.token, within_s=WITHIN_S)
        except (DiscordError, StoreUnavailable) as error:
            log.warning("an answer was not deleted", interaction=press.id, job=job_id, error=str(error))
            return _NOT_DELETED
        log.info("answer deleted", interaction=press.id, job=job_id, left=left)
        return _PARTS_LEFT.format(count=left) if left else None

    async def _wait_for_end(self, job_id: str, asker_id: str) -> None:
        """Wait until the answer is out: what follows it is still being posted while it can be deleted already."""
        made, give_up = made_at(job_id), self._clock.monotonic() + END_WITHIN_S
        while self._clock.wall() < made + TOKEN_LIFE_S and self._clock.monotonic() < give_up:
            done = await self._read(
                lambda: self._store.history(user_id=asker_id, since=made - CLOCKS_APART_S, limit=100)
            )
            if any(job.id == job_id for job in done):
                return
            await self._clock.sleep(LOOK_EVERY_S)

    async def _remove_parts(self, press: Interaction, job_id: str, asker_id: str) -> int:
        """Delete the messages that follow the answer; returns how many could not be.

        They were posted with the original's token, which alone can delete them while it lives; later only the bot can,
        where it is.
        """
        parts = await self._read(lambda: self._store.parts(job_id))
        ids = [part["id"] for part in parts if isinstance(part.get("id"), str)]
        token = await self._token(job_id, asker_id) if ids else None
        left = 0
        for message_id in ids:
            try:
                await self._remove_part(press, token, message_id)
            except DiscordError as error:
                log.warning("a part was not deleted", interaction=press.id, job=job_id, error=str(error))
                left += 1
        return left

    async def _remove_part(self, press: Interaction, token: str | None, message_id: str) -> None:
        if token is not None:
            return await self._follow_ups.delete_message(token, message_id, within_s=WITHIN_S)
        if self._channels is None or not press.bot_present or press.channel_id is None:
            raise AnswerGone("the token it was posted with is over, and the bot is not there")
        return await self._channels.delete(press.channel_id, message_id, within_s=WITHIN_S)

    async def _token(self, job_id: str, asker_id: str) -> str | None:
        """Return the token the answer was made with; None if it is over, or not known any more."""
        kept = await self._read(lambda: self._store.repeatable(job_id, user_id=asker_id))
        if kept is None:
            return None
        asked = parse(read_json(kept.payload))
        return asked.token if self._clock.wall() < asked.created_at + TOKEN_LIFE_S else None

    async def _read(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read from the store, waiting for it for a moment; then raises `StoreUnavailable`."""
        give_up = self._clock.monotonic() + STORE_WITHIN_S
        while True:
            try:
                return await read()
            except StoreUnavailable:
                if self._clock.monotonic() > give_up:
                    raise
            await self._clock.sleep(STORE_RETRY_S)
