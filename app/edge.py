"""From a request's bytes to the answer's bytes, without a server: verify, parse, dispatch.

Two steps, as in hikari: the HTTP file hands over body and headers, and this decides. Nothing here raises; what can't be
answered properly has a status of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from app.balancing.assignment import home_of
from app.balancing.overview import Overview
from app.clock import Clock
from app.commands import again
from app.commands.base import Command, InstantCommand, InstantContext, JobCommand, Limits
from app.commands.registry import JOB_COMMANDS
from app.discord import replies
from app.discord.models import Interaction, MalformedInteraction, interaction_type, parse, read_json
from app.discord.replies import Message
from app.discord.signature import SignatureVerifier
from app.discord.wire import InteractionType
from app.errors import QuartetError
from app.intake import GONE, RECORD_WITHIN_S, Intake
from app.jobs.store import JobStore
from app.metrics import Metrics
from app.texts import Locale, Text, locale_of


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status and a JSON body; `label` names for the metrics what this was."""

    status: int
    body: bytes
    label: str


UNAUTHORIZED: Final = Reply(401, b'{"error":"unauthorized"}', "unauthorized")
DRAINING: Final = Reply(503, b'{"error":"draining"}', "draining")
PONG: Final = Reply(200, replies.PONG, "pong")
DEFERRED: Final = Reply(200, replies.DEFERRED, "deferred")
NO_CHOICES: Final = Reply(200, replies.autocomplete([]), "autocomplete")

_UNKNOWN_COMMAND = Text(
    ko="모르는 명령이에요. 봇이 업데이트 중일 수 있으니 Discord를 새로고침한 뒤 다시 시도해 주세요.",
    en="That command is unknown here. The bot may have just been updated: reload Discord and try again.",
)
_UNKNOWN_COMPONENT = Text(
    ko="이 버튼이나 양식은 더 이상 쓸 수 없어요. 명령을 다시 실행해 주세요.",
    en="This button or form no longer works. Please run the command again.",
)
_NOT_YOURS = Text(
    ko="이 버튼은 명령을 실행한 사람만 쓸 수 있어요.", en="Only the person who ran the command can use this button."
)
_UNKNOWN_TYPE = Text(
    ko="아직 지원하지 않는 종류의 요청이에요.",
    en="This kind of interaction is not supported here yet.",
)
_TOO_SLOW = Text(
    ko="지금은 상태를 읽을 수 없어요. 잠시 뒤 다시 시도해 주세요.",
    en="The system's state can't be read right now. Please try again in a moment.",
)

READ_WITHIN_S: Final = 0.5
"""What is looked up before a job is recorded has to leave intake its own time within Discord's three seconds."""

log = structlog.get_logger("edge")


class Edge:
    """Answers one application's interactions on one instance."""

    def __init__(
        self,
        *,
        instance: int,
        verifier: SignatureVerifier,
        commands: Mapping[str, Command],
        intake: Intake,
        store: JobStore,
        overview: Overview,
        limits: Limits,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._instance = instance
        self._verifier = verifier
        self._commands = commands
        self._intake = intake
        self._store = store
        self._overview = overview
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self.draining = False

    async def on_interaction(self, body: bytes, signature: bytes | None, timestamp: bytes | None) -> Reply:
        """Answer a request given its raw body and the bytes of its two signature headers, None where absent."""
        started = self._clock.monotonic()
        if self._verifier.verify(body, signature, timestamp):
            reply = DRAINING if self.draining else await self._answer(body, started)
        else:
            reply = UNAUTHORIZED
        self._metrics.acked(reply.label, self._clock.monotonic() - started)
        return reply

    async def _answer(self, body: bytes, started: float) -> Reply:
        try:
            payload = read_json(body)
            kind = interaction_type(payload)
            if kind == InteractionType.PING:
                return PONG
            if kind not in _KNOWN_TYPES:
                return _private(_UNKNOWN_TYPE, _locale(payload), "unknown")
            interaction = parse(payload)
        except MalformedInteraction as error:
            return Reply(400, replies.encode({"error": f"not an interaction: {error}"}), "malformed")
        try:
            if kind == InteractionType.MESSAGE_COMPONENT:
                return await self._press(interaction, payload)
            return await self._dispatch(interaction, body, started)
        except QuartetError as error:
            log.error("answering failed", interaction=interaction.id, error=str(error))
            return _private(error.sentence, interaction.locale, "failed")
        except Exception:
            log.exception("answering broke", interaction=interaction.id)
            return _private(QuartetError.sentence, interaction.locale, "failed")

    async def _press(self, interaction: Interaction, payload: object) -> Reply:
        """Serve a button: the one there is asks for a job of one's own to be done again."""
        job_id = again.job_named(interaction.custom_id)
        if job_id is None:
            return _private(_UNKNOWN_COMPONENT, interaction.locale, "unknown")
        if (asker := _asker(payload)) is not None and asker != interaction.user_id:
            return _private(_NOT_YOURS, interaction.locale, "refused")
        async with asyncio.timeout(READ_WITHIN_S):
            original = await self._store.repeatable(job_id, user_id=interaction.user_id)
            accepted = original is None and await self._store.knows(interaction.id)
        if accepted:
            return DEFERRED  # another copy of this very press was first
        if original is None:
            return _private(GONE, interaction.locale, "gone")
        command, body = again.as_command(payload, original.payload)
        asked = parse(command)
        return await self._accept(asked, JOB_COMMANDS[original.kind], body, repeats=job_id)

    async def _dispatch(self, interaction: Interaction, body: bytes, started: float) -> Reply:
        if interaction.type == InteractionType.APPLICATION_COMMAND_AUTOCOMPLETE:
            return NO_CHOICES
        if interaction.type != InteractionType.APPLICATION_COMMAND:
            return _private(_UNKNOWN_COMPONENT, interaction.locale, "unknown")
        command = self._commands.get(interaction.command)
        if command is None:
            return _private(_UNKNOWN_COMMAND, interaction.locale, "unknown")
        if isinstance(command, JobCommand):
            return await self._accept(interaction, command, body)
        return await self._answer_now(interaction, command, started)

    async def _accept(self, interaction: Interaction, command: JobCommand, body: bytes, *, repeats: str = "") -> Reply:
        wrong = command.check(interaction)
        if wrong is not None:
            return _private(wrong, interaction.locale, "refused")
        refusal = await self._intake.accept(interaction, command, body, self._clock.now(), repeats=repeats)
        if refusal is not None:
            return _private(refusal.text, interaction.locale, refusal.reason)
        return DEFERRED

    async def _answer_now(self, interaction: Interaction, command: InstantCommand, started: float) -> Reply:
        # An instant command reads shared state; whoever asks must hear something even while the store hangs.
        try:
            async with asyncio.timeout(RECORD_WITHIN_S):
                message = await command.answer(self._instant_context(interaction, started))
        except TimeoutError:
            log.error("an instant command was too slow", interaction=interaction.id, command=interaction.command)
            return _private(_TOO_SLOW, interaction.locale, "failed")
        return Reply(200, replies.immediate(message, command.private), "instant")

    def _instant_context(self, interaction: Interaction, started: float) -> InstantContext:
        return InstantContext(
            interaction=interaction,
            received_at=self._clock.wall() - (self._clock.monotonic() - started),
            started=started,
            instance=self._instance,
            home=home_of(interaction.user_id, self._limits.instance_count),
            limits=self._limits,
            overview=self._overview,
            store=self._store,
            clock=self._clock,
        )


_KNOWN_TYPES = frozenset(InteractionType)


def _private(text: Text, locale: Locale, label: str) -> Reply:
    return Reply(200, replies.immediate(Message(text.to(locale)), ephemeral=True), label)


def _asker(payload: object) -> str | None:
    """Return the id of the user whose command made the message with the button; None if Discord does not say."""
    for name in ("message", "interaction_metadata", "user", "id"):
        if not isinstance(payload, dict):
            return None
        payload = payload.get(name)
    return payload if isinstance(payload, str) else None


def _locale(payload: object) -> Locale:
    """The language of an interaction that is not known well enough to be parsed."""
    codes = [payload.get(name) for name in ("locale", "guild_locale")] if isinstance(payload, dict) else []
    return locale_of(*(code for code in codes if isinstance(code, str)))
