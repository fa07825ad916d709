"""From a request's bytes to the answer's bytes, without a server: verify, parse, dispatch.

Two steps, as in hikari: the HTTP file hands over body and headers, and this decides. Nothing here raises; what can't be
answered properly has a status of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from app.balancing.assignment import home_of
from app.balancing.overview import Overview
from app.clock import Clock
from app.commands.base import Command, InstantCommand, InstantContext, JobCommand, Limits, People, spoken
from app.commands.derived import said_private
from app.discord import replies
from app.discord.answers import DRAINING, NO_CHOICES, PONG, SILENT, UNAUTHORIZED, Reply, deferred, private
from app.discord.models import Interaction, MalformedInteraction, interaction_type, parse, read_json
from app.discord.signature import SignatureVerifier
from app.discord.wire import CHOICES_MAX, InteractionType
from app.errors import QuartetError
from app.intake import Intake, Refusal
from app.jobs.store import JobStore
from app.metrics import Metrics
from app.presses import TOO_SLOW, Presses, Remover
from app.recording import RECORD_WITHIN_S
from app.texts import Locale, Text, locale_of
from app.userdata.preferences import NO_PREFERENCES, Preferences

_UNKNOWN_COMMAND = Text(
    ko="모르는 명령이라 아무것도 하지 않았고, 비용은 들지 않았어요. 봇이 업데이트됐을 수 있으니 Discord를 새로고침한 "
    "뒤 다시 시도해 주세요.",
    en="That command is unknown here, so nothing was done and it cost nothing. The bot may have just been updated: "
    "reload Discord and try again.",
)
_UNKNOWN_TYPE = Text(
    ko="아직 지원하지 않는 종류의 요청이라 아무것도 하지 않았고, 비용은 들지 않았어요. 명령을 직접 입력해 주세요.",
    en="This kind of interaction is not supported here yet; this cost nothing. Please enter a command instead.",
)

Told = Callable[[Reply], None]

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
        remover: Remover,
        people: People | None = None,
        refuse: Callable[[Interaction], Text | None] = lambda interaction: None,
        on_stop: Callable[[str], None] = lambda job_id: None,
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
        self._people = people
        self._refuse = refuse
        self._presses = Presses(
            commands=commands,
            store=store,
            remover=remover,
            accept=self._accepted,
            context=self._instant_context,
            chosen=self._chosen,
            on_stop=on_stop,
            clock=clock,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining = False

    def on_interaction(self, body: bytes, signature: bytes | None, timestamp: bytes | None, told: Told) -> None:
        """Answer a request given its raw body and the bytes of its two signature headers, None where absent.

        `told` is called once with the answer, before this returns or later.

        From here to the store and back a job passes through callbacks only: a task would cost a tenth of it all.
        """
        started = self._clock.monotonic()

        def answered(reply: Reply) -> None:
            told(reply)
            self._metrics.acked(reply.label, self._clock.monotonic() - started)

        if not self._verifier.verify(body, signature, timestamp):
            reply: Reply | None = UNAUTHORIZED
        elif self.draining:
            reply = DRAINING
        else:
            reply = self._answer(body, started, answered)
        if reply is not None:
            answered(reply)

    def _answer(self, body: bytes, started: float, told: Told) -> Reply | None:
        """Return the answer, here and below, or None if `told` will hear it."""
        try:
            payload = read_json(body)
            kind = interaction_type(payload)
            if kind == InteractionType.PING:
                return PONG
            if kind not in _KNOWN_TYPES:
                return private(_UNKNOWN_TYPE, _locale(payload), "unknown")
            interaction = parse(payload)
        except MalformedInteraction as error:
            return Reply(400, replies.encode({"error": f"not an interaction: {error}"}), "malformed")
        try:
            return self._serve(self._in_chosen_language(interaction), body, started, told)
        except Exception as error:
            return _broken(interaction, error)

    def _serve(self, interaction: Interaction, body: bytes, started: float, told: Told) -> Reply | None:
        unwelcome = self._refuse(interaction)
        if unwelcome is not None:
            return _told(unwelcome, interaction, "refused")
        match interaction.type:
            case InteractionType.APPLICATION_COMMAND:
                return self._command(interaction, body, started, told)
            case InteractionType.APPLICATION_COMMAND_AUTOCOMPLETE:
                return self._complete(interaction, started)
            case InteractionType.MESSAGE_COMPONENT:
                self._later(self._presses.press(interaction, started), interaction, told)
            case _:
                self._later(self._presses.submit(interaction), interaction, told)
        return None

    def _command(self, interaction: Interaction, body: bytes, started: float, told: Told) -> Reply | None:
        command = self._commands.get(interaction.command)
        if command is None:
            return private(_UNKNOWN_COMMAND, interaction.locale, "unknown")
        if isinstance(command, InstantCommand):
            self._later(self._answer_now(interaction, command, started), interaction, told)
            return None
        form = command.form(interaction)
        if form is not None:
            return Reply(200, form, "form")
        return self._accept(interaction, command, body, told)

    def _later(self, answering: Coroutine[Any, Any, Reply], interaction: Interaction, told: Told) -> None:
        async def answer() -> None:
            try:
                reply = await answering
            except Exception as error:
                reply = _broken(interaction, error)
            told(reply)

        task = asyncio.create_task(answer(), name="answer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _complete(self, interaction: Interaction, started: float) -> Reply:
        command = self._commands.get(interaction.command)
        choices = command.autocomplete(self._instant_context(interaction, started)) if command is not None else ()
        return Reply(200, replies.autocomplete(choices[:CHOICES_MAX]), NO_CHOICES.label) if choices else NO_CHOICES

    def _accept(
        self, interaction: Interaction, command: JobCommand, body: bytes, told: Told, repeats: str = ""
    ) -> Reply | None:
        wrong = command.check(interaction)
        if wrong is not None:
            return private(wrong, interaction.locale, "refused")
        if self._intake.store_silent():
            # Not a sentence: a slower instance may have recorded this very interaction, and will answer it.
            return SILENT
        hidden = command.private(interaction, self._chosen(interaction))
        if hidden:
            body = said_private(interaction, body)
        # Not the interaction: while many wait for the disk, their parsed bodies would fill the processor's cache.
        id_, locale = interaction.id, interaction.locale

        def recorded(refusal: Refusal | Exception | None) -> None:
            if refusal is None:
                told(deferred(hidden))
            elif isinstance(refusal, Exception):
                told(private(_apology(id_, refusal), locale, "failed"))
            else:
                told(private(refusal.text, locale, refusal.reason))

        refusal = self._intake.accept(interaction, command, body, self._clock.now(), recorded, repeats=repeats)
        return None if refusal is None else private(refusal.text, locale, refusal.reason)

    async def _accepted(self, interaction: Interaction, command: JobCommand, body: bytes, repeats: str) -> Reply:
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        reply = self._accept(interaction, command, body, partial(settle, answered), repeats)
        return await answered if reply is None else reply

    async def _answer_now(self, interaction: Interaction, command: InstantCommand, started: float) -> Reply:
        # An instant command reads shared state; whoever asks must hear something even while the store hangs.
        try:
            async with asyncio.timeout(RECORD_WITHIN_S):
                message = await command.answer(self._instant_context(interaction, started))
        except TimeoutError:
            log.error("an instant command was too slow", interaction=interaction.id, command=interaction.command)
            return private(TOO_SLOW, interaction.locale, "failed")
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
            people=self._people,
        )

    def _chosen(self, interaction: Interaction) -> Preferences:
        return self._people.chosen(interaction.user_id, interaction.guild_id) if self._people else NO_PREFERENCES

    def _in_chosen_language(self, interaction: Interaction) -> Interaction:
        chosen = self._chosen(interaction)
        if not chosen.language:
            return interaction
        locale = spoken(interaction, chosen)
        return interaction if locale is interaction.locale else replace(interaction, locale=locale)


_KNOWN_TYPES = frozenset(InteractionType)


def settle(answered: asyncio.Future[Reply], reply: Reply) -> None:
    """Tell who waits for an answer, if they still do."""
    if not answered.done():
        answered.set_result(reply)


def _broken(interaction: Interaction, error: Exception) -> Reply:
    """Log what happened and apologise."""
    return _told(_apology(interaction.id, error), interaction, "failed")


def _apology(interaction_id: str, error: Exception) -> Text:
    """Log what happened; return what its user is told."""
    if isinstance(error, QuartetError):
        log.error("answering failed", interaction=interaction_id, error=str(error))
        return error.sentence
    log.error("answering broke", interaction=interaction_id, exc_info=error)
    return QuartetError.sentence


def _told(text: Text, interaction: Interaction, label: str) -> Reply:
    """Return a private sentence; an empty list where Discord takes no message: while somebody types an option."""
    if interaction.type == InteractionType.APPLICATION_COMMAND_AUTOCOMPLETE:
        return NO_CHOICES
    return private(text, interaction.locale, label)


def _locale(payload: object) -> Locale:
    """The language of an interaction that is not known well enough to be parsed."""
    codes = [payload.get(name) for name in ("locale", "guild_locale")] if isinstance(payload, dict) else []
    return locale_of(*(code for code in codes if isinstance(code, str)))
