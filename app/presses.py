"""What a button, a menu or a form does: one handler for each action a `custom_id` can name.

Whose it is decides who may: what repeats, changes or shows something is for its own user only; stopping and deleting
also for those who may delete others' messages there. Everybody else gets a private word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

import structlog

from app.clock import Clock
from app.commands.base import Command, InstantCommand, InstantContext, JobCommand
from app.commands.buttons import Action, read_custom_id
from app.commands.derived import REPEATING, Derived, form_command, repeated, submitted
from app.discord import replies
from app.discord.answers import NOTED, Reply, deferred, private
from app.discord.models import Interaction, is_snowflake, parse
from app.intake import GONE
from app.jobs.store import JobStore, RepeatableJob
from app.recording import RECORD_WITHIN_S
from app.texts import Text
from app.userdata.preferences import Preferences

READ_WITHIN_S: Final = 0.5
"""What is looked up before a job is recorded has to leave intake its own time within Discord's three seconds."""

UNKNOWN_COMPONENT = Text(
    ko="이 버튼이나 양식은 더 이상 쓸 수 없고, 비용은 들지 않았어요. 명령을 다시 실행해 주세요.",
    en="This button or form no longer works. This cost nothing; please run the command again.",
)
TOO_SLOW = Text(
    ko="지금은 상태를 읽을 수 없고, 비용은 들지 않았어요. 잠시 뒤 다시 시도해 주세요.",
    en="The system's state can't be read right now. This cost nothing; please try again in a moment.",
)
_NOT_YOURS = Text(
    ko="이 버튼은 명령을 실행한 사람만 쓸 수 있어요. 명령을 직접 실행해 주세요.",
    en="Only the person who ran the command can use this button. Please run the command yourself.",
)
_FINISHED = Text(ko="이미 끝난 요청이라 멈출 것이 없어요.", en="This has finished already; there is nothing to stop.")

RECORDED_WITHIN_S: Final = (0.05, 0.1)
"""The pauses before another look for a job whose answer may have been shown but not recorded yet."""

COMMANDS_OF: Final[Mapping[str, str]] = {Action.MEMORY: "기억", Action.SETTINGS: "설정"}
"""The instant commands whose messages have components, by action."""

log = structlog.get_logger("edge")


class Remover(Protocol):
    """Deletes answers behind our back."""

    def begin(self, press: Interaction, job_id: str, asker_id: str) -> None:
        """Delete the message whose component was used, and what else belongs to the answer; returns at once."""


class Presses:
    """Serves components and forms. `accept` takes the command one stands for, its body and the job it repeats;
    `on_stop` is told of a job that is to be stopped, in case this instance runs it.
    """

    def __init__(
        self,
        *,
        commands: Mapping[str, Command],
        store: JobStore,
        remover: Remover,
        accept: Callable[[Interaction, JobCommand, bytes, str], Awaitable[Reply]],
        context: Callable[[Interaction, float], InstantContext],
        chosen: Callable[[Interaction], Preferences],
        on_stop: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._commands = commands
        self._store = store
        self._remover = remover
        self._accept = accept
        self._context = context
        self._chosen = chosen
        self._on_stop = on_stop
        self._clock = clock
        self._handlers: Mapping[str, Callable[[Interaction, str, float], Awaitable[Reply]]] = {
            Action.STOP: self._stop,
            Action.DELETE: self._delete,
            **dict.fromkeys(COMMANDS_OF, self._instant),
            **dict.fromkeys(REPEATING, self._repeat),
        }

    async def press(self, press: Interaction, started: float) -> Reply:
        """Serve a button or a menu; `started` is the monotonic moment the request came in."""
        action, argument = read_custom_id(press.custom_id)
        handler = self._handlers.get(action)
        if handler is None:
            return private(UNKNOWN_COMPONENT, press.locale, "unknown")
        try:
            return await handler(press, argument, started)
        except TimeoutError:
            log.error("a press was too slow", interaction=press.id, action=action)
            return private(TOO_SLOW, press.locale, "failed")

    async def submit(self, form: Interaction) -> Reply:
        """Serve a filled-in form: it is the command that opened it, with what was entered."""
        name = form_command(form.custom_id)
        if not isinstance(self._commands.get(name), JobCommand):
            return private(UNKNOWN_COMPONENT, form.locale, "unknown")
        return await self._start(form, submitted(form))

    async def _start(self, press: Interaction, derived: Derived, repeats: str = "") -> Reply:
        asked = replace(parse(derived.payload), locale=press.locale)
        command = self._commands.get(asked.command)
        if not isinstance(command, JobCommand):
            return private(UNKNOWN_COMPONENT, press.locale, "unknown")
        return await self._accept(asked, command, derived.body, repeats)

    async def _repeat(self, press: Interaction, job_id: str, started: float) -> Reply:
        if press.asker_id not in (None, press.user_id):
            return private(_NOT_YOURS, press.locale, "refused")
        async with asyncio.timeout(READ_WITHIN_S):
            original = await self._store.repeatable(job_id, user_id=press.user_id)
            accepted = original is None and await self._store.knows(press.id)
            if original is None and not accepted:
                original = await self._soon(job_id, press.user_id)
        if accepted:  # another copy of this very press was first, and used up what it repeats
            return deferred(press.message_is_private or bool(self._chosen(press).private))
        if original is None:
            return private(GONE, press.locale, "gone")
        derived = repeated(press, original.payload, Action(read_custom_id(press.custom_id)[0]), job_id)
        if isinstance(derived, Text):
            return private(derived, press.locale, "refused")
        return await self._start(press, derived, job_id)

    async def _soon(self, job_id: str, user_id: str) -> RepeatableJob | None:
        """Look again for a moment: an answer shows its buttons just before its end is on record."""
        original = None
        if await self._store.knows(job_id):
            for pause in RECORDED_WITHIN_S:
                await self._clock.sleep(pause)
                original = await self._store.repeatable(job_id, user_id=user_id)
                if original is not None:
                    break
        return original

    async def _stop(self, press: Interaction, job_id: str, started: float) -> Reply:
        own = press.asker_id == press.user_id
        if not (own or press.asker_id is None or press.moderates):
            return private(_NOT_YOURS, press.locale, "refused")
        anybodys = press.moderates and not own
        async with asyncio.timeout(READ_WITHIN_S):
            stopped = await self._store.stop(job_id, user_id=None if anybodys else press.user_id)
        if not stopped:
            return private(_FINISHED, press.locale, "gone")
        self._on_stop(job_id)
        return NOTED

    async def _delete(self, press: Interaction, argument: str, started: float) -> Reply:
        asker, _, job_id = argument.partition(":")
        if not is_snowflake(asker) or not is_snowflake(job_id):
            return private(UNKNOWN_COMPONENT, press.locale, "unknown")
        if {asker, press.asker_id or asker} != {press.user_id} and not press.moderates:
            return private(_NOT_YOURS, press.locale, "refused")
        self._remover.begin(press, job_id, asker)
        return NOTED

    async def _instant(self, press: Interaction, argument: str, started: float) -> Reply:
        action, _ = read_custom_id(press.custom_id)
        command = self._commands.get(COMMANDS_OF[action])
        if not isinstance(command, InstantCommand) or command.press is None:
            return private(UNKNOWN_COMPONENT, press.locale, "unknown")
        owner = argument.rpartition(":")[2]
        if {owner, press.asker_id or owner} != {press.user_id}:
            return private(_NOT_YOURS, press.locale, "refused")
        async with asyncio.timeout(RECORD_WITHIN_S):
            message = await command.press(self._context(press, started), action, argument)
        return Reply(200, replies.updated(message), "instant")
