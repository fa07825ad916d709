"""`/채팅`: a question, and the model's answer, shown as it grows and remembered for the next question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

import structlog

from app.balancing.keyset import OPENAI
from app.commands import attachments, chat_form
from app.commands.attempts import with_attempts
from app.commands.base import PROGRESS_MARK, Answer, JobCommand, JobContext, Memory, conversation_of
from app.commands.buttons import Action, answer_rows
from app.commands.definition import attachment, option, slash
from app.commands.options import (
    PRIVATE,
    complete_model,
    model_fault,
    model_option,
    private_option,
    private_wanted,
    text_fault,
)
from app.commands.prompting import (
    GO_ON,
    NO_HISTORY,
    History,
    as_remembered,
    estimate_tokens,
    fitting,
    model_for,
    system_prompt,
    turn_tokens,
    with_material,
)
from app.discord.graphemes import utf16_length
from app.discord.models import Interaction
from app.discord.splitting import Fitted, fit
from app.discord.wire import CONTENT_MAX, CommandType, OptionType
from app.errors import ProviderBadAnswer, ProviderError, ProviderRefused, ProviderTimeout
from app.providers.base import ChatChunk, ChatFinish, ChatRequest
from app.redaction import excerpt
from app.texts import Text
from app.userdata.conversations import Turn
from app.userdata.usage import Usage

QUESTION = "질문"
LONGEST_QUESTION = 6000
LONGEST_HISTORY = 200
"""Turns that are looked at; what they may take up is bounded in tokens."""

STOPPED = "Stopped"
"""Stands for an error's class name where the user has ended the answer."""

SHORTEST_S = 0.1
SPARE_S = 1.0
"""The answer has to end this long before the job's own deadline, so that what came of it can still be shown."""

_EMPTY = Text(
    ko="질문이 비어 있어 비용 없이 거절했어요. 질문을 입력해 주세요.",
    en="There was no question, so this cost nothing. Please enter one.",
)
_TOO_LONG = Text(
    ko="질문이 너무 길어 비용 없이 거절했어요. {limit:,}자까지로 줄여 주세요.",
    en="That question is too long, so this cost nothing. Please shorten it to {limit:,} characters.",
).format(limit=LONGEST_QUESTION)
_ABOUT_FILE = Text(ko="첨부한 파일을 설명해 주세요.", en="Please describe the attached file.")
_GO_ON = Text(ko="➡️ 이어서", en="➡️ Continue")
_THINKING = Text(ko=PROGRESS_MARK + " 생각하고 있어요…", en=PROGRESS_MARK + " Thinking…")

_CUT = Text(ko="답이 최대 길이에 닿아 여기서 끊겼어요.", en="The answer reached its maximum length and ends here.")
_BROKEN = Text(
    ko="⚠️ AI 서비스와의 연결이 끊겨 여기서 멈췄어요. 여기까지는 그대로 두었어요. 참조 번호 {reference}",
    en="⚠️ The AI service broke off here; what had come is kept. Reference {reference}",
)
_LATE = Text(
    ko="⚠️ 시간이 다 되어 여기서 멈췄어요. 여기까지는 그대로 두었어요. 참조 번호 {reference}",
    en="⚠️ Time ran out here; what had come is kept. Reference {reference}",
)
_STOPPED = Text(ko="⏹ 여기서 멈췄어요.", en="⏹ Stopped here.")
_DROPPED = Text(
    ko="🧠 앞선 대화 {count}개는 길어서 빼고 답했어요",
    en="🧠 {count} earlier messages were too long to be taken into account",
)

log = structlog.get_logger("chat")


def check(interaction: Interaction) -> Text | None:
    """A question has to be there and short enough, or a file that can be taken, or both."""
    if attachments.CHAT_OPTION in interaction.options:
        fault = attachments.chat_fault(interaction)
        if fault is not None or QUESTION not in interaction.options:
            return fault
    return text_fault(interaction, QUESTION, LONGEST_QUESTION, empty=_EMPTY, too_long=_TOO_LONG)


async def run(context: JobContext) -> Answer:
    """Ask the model what the user asked."""
    context.progress.show(_THINKING)
    files = attachments.NO_FILES if _continues(context) else await attachments.for_chat(context)
    question = str(context.interaction.options.get(QUESTION, "")) or _ABOUT_FILE.to(context.locale)
    return await answer(context, with_material(question, files.text), remember=True, images=files.images)


async def answer(context: JobContext, question: str, *, remember: bool, images: tuple[str, ...] = ()) -> Answer:
    """Ask the model a question; the user sees the answer grow.

    With `remember` the conversation so far goes along, and question and answer become part of it. If the press of ➡️
    made this job, the unfinished answer goes along as well, and the model is asked to go on with it.
    """
    context.progress.show(_THINKING)
    goes_on = _continues(context)
    if goes_on:
        asked, history = GO_ON, await _unfinished(context, question, remember=remember)
    else:
        asked, history = question, await _conversation(context) if remember else NO_HISTORY
    request = _request(context, asked, history, images)
    heard = await with_attempts(context, lambda: _ask(context, request))
    kept = _GO_ON.to(context.locale) if goes_on else as_remembered(question, len(images))
    laid_out = _laid_out(context, heard, history)
    return Answer(
        laid_out.message,
        OPENAI,
        parts=laid_out.parts,
        whole=laid_out.whole,
        turn=_turn(context, kept, heard.text) if remember else None,
        usage=_usage(request, heard),
        error=heard.error,
    )


@dataclass(slots=True)
class _Heard:
    """What came of an answer. `error` is empty if the provider ended it by itself; `note` says what cut it short."""

    text: str = ""
    finish: ChatFinish | None = None
    error: str = ""
    note: Text | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def take(self, chunk: ChatChunk) -> None:
        """Take a piece in."""
        self.text += chunk.text
        self.finish = chunk.finish or self.finish
        self.prompt_tokens = chunk.prompt_tokens if self.prompt_tokens is None else self.prompt_tokens
        self.completion_tokens = chunk.completion_tokens if self.completion_tokens is None else self.completion_tokens

    def cut_by(self, error: str, note: Text) -> None:
        """Make what came the answer."""
        self.error, self.note = error, note


async def _ask(context: JobContext, request: ChatRequest) -> _Heard:
    """Return the answer, or what came of it before it broke off or was stopped; raise if that is nothing.

    Nothing of an answer that the provider withholds is kept: its own policy says so.
    """
    heard = _Heard()
    try:
        await _listen(context, request, heard)
    except ProviderRefused:
        raise
    except ProviderError as error:
        if not heard.text.strip():
            raise
        log.warning(
            "answer broke off",
            interaction=context.job.id,
            error=type(error).__name__,
            cause=excerpt(str(error)),
            characters=len(heard.text),
        )
        late = isinstance(error, ProviderTimeout)
        heard.cut_by(type(error).__name__, (_LATE if late else _BROKEN).format(reference=context.job.id[-8:]))
    except asyncio.CancelledError:
        if not (context.stopping() and heard.text.strip()):
            raise
        heard.cut_by(STOPPED, _STOPPED)
    heard.text = heard.text.strip()
    if not heard.text:
        raise ProviderBadAnswer("the model's answer is empty", provider=OPENAI)
    if heard.finish is ChatFinish.LENGTH:
        heard.note = _CUT
    return heard


async def _listen(context: JobContext, request: ChatRequest, heard: _Heard) -> None:
    services = context.services
    async with context.use(OPENAI) as call:
        timeout = max(SHORTEST_S, min(services.chat_timeout_s, context.seconds_left() - SPARE_S))
        async with aclosing(services.chat.stream(request, timeout_s=timeout)) as chunks:
            async for chunk in chunks:
                call.heard()
                heard.take(chunk)
                if chunk.text:
                    context.progress.grow(heard.text)


def _request(context: JobContext, prompt: str, history: History, images: tuple[str, ...]) -> ChatRequest:
    services, interaction = context.services, context.interaction
    return ChatRequest(
        prompt=prompt,
        system_prompt=system_prompt(services.system_prompt, context.preferences),
        user_ref=services.user_ref(interaction.user_id),
        history=history.turns,
        images=images,
        model=model_for(interaction, context.preferences, services.models),
    )


async def _conversation(context: JobContext) -> History:
    """Return what goes along with a question; what 🔁 asks once more is not what was said before it."""
    of = context.interaction.derived.get("of")
    turns = [turn for turn in await _turns(context) if turn.job_id != of]
    return fitting(turns, context.services.memory.tokens)


async def _unfinished(context: JobContext, question: str, *, remember: bool) -> History:
    """Return the conversation up to the answer that ➡️ goes on with: as remembered, else as its message showed it."""
    of, text = (str(context.interaction.derived.get(name, "")) for name in ("of", "text"))
    turn = await context.services.conversations.turn(of, user_id=context.interaction.user_id) if remember else None
    if turn is None or (turn.private and not _only_for_asker(context)):
        return History(((question, text),))
    room = context.services.memory.tokens - turn_tokens(turn.question, turn.answer)
    before = fitting([each for each in await _turns(context) if each.asked_at < turn.asked_at], room)
    return History((*before.turns, (turn.question, turn.answer)), before.dropped)


async def _turns(context: JobContext) -> Sequence[Turn]:
    memory, interaction = context.services.memory, context.interaction
    if not _remembers(memory):
        return ()
    return await context.services.conversations.turns(
        interaction.user_id,
        conversation_of(interaction),
        since=context.job.received_at - memory.ttl_s,
        private=_only_for_asker(context),
        limit=LONGEST_HISTORY,
    )


def _turn(context: JobContext, question: str, text: str) -> Turn | None:
    """Return what is remembered of this answer, if anything is to be."""
    if not _remembers(context.services.memory):
        return None
    interaction, job = context.interaction, context.job
    whose = (interaction.user_id, conversation_of(interaction))
    return Turn(job.id, *whose, job.received_at, question, text, _private(context))


def _remembers(memory: Memory) -> bool:
    return memory.tokens > 0 and memory.ttl_s > 0


def _only_for_asker(context: JobContext) -> bool:
    """Whether the answer was deferred so that only the user sees it, by what was recorded then; not by a habit of now.

    Message commands are always answered so.
    """
    interaction = context.interaction
    return interaction.command_type == CommandType.MESSAGE or interaction.options.get(PRIVATE) is True


def _private(context: JobContext) -> bool:
    """Whether the answer is remembered as private: it was deferred so, or its user has wished so since."""
    interaction = context.interaction
    return interaction.command_type == CommandType.MESSAGE or private_wanted(interaction, context.preferences)


def _continues(context: JobContext) -> bool:
    return context.interaction.derived.get("action") == Action.CONTINUE


def _laid_out(context: JobContext, heard: _Heard, history: History) -> Fitted:
    """Return the messages: the answer, what there is to say of it in small print at its end, buttons at its start."""
    locale, interaction = context.locale, context.interaction
    dropped = _DROPPED.format(count=history.dropped) if history.dropped else None
    notes = "".join(f"\n-# {note.to(locale)}" for note in (heard.note, dropped) if note is not None)
    small = "\n" + notes if notes else ""
    limit = CONTENT_MAX - utf16_length(small)
    fitted = fit(heard.text, locale, limit, size_limit=interaction.attachment_size_limit)
    *before, last = (fitted.message, *fitted.parts)
    first, *parts = (*before, replace(last, content=last.content + small))
    rows = answer_rows(context.job.id, interaction.user_id, locale, cut=heard.note is not None)
    return replace(fitted, message=replace(first, components=rows), parts=tuple(parts))


def _usage(request: ChatRequest, heard: _Heard) -> Usage:
    """Return what the answer took: as the provider counted it, else, if it broke off before, by estimate."""
    prompt, completion = heard.prompt_tokens, heard.completion_tokens
    if prompt is None or completion is None:
        prompt = sum(turn_tokens(*turn) for turn in request.history)
        prompt += turn_tokens(request.system_prompt, request.prompt)
        completion = estimate_tokens(heard.text)
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


COMMAND = JobCommand(
    slash(
        Text(ko="채팅", en="chat"),
        Text(ko="AI에게 물어봐요", en="Ask the AI"),
        [
            option(
                OptionType.STRING,
                Text(ko=QUESTION, en="question"),
                Text(
                    ko="무엇이 궁금한가요? (비우면 긴 글을 쓸 창이 열려요)",
                    en="Your question (empty: opens a form for long text)",
                ),
                min_length=1,
                max_length=LONGEST_QUESTION,
            ),
            attachment(
                Text(ko=attachments.CHAT_OPTION, en="file"),
                Text(ko="함께 볼 그림이나 글·코드 파일", en="A picture, text or code file to look at"),
            ),
            model_option(),
            private_option(),
        ],
    ),
    kind="chat",
    providers=(OPENAI,),
    check=check,
    run=run,
    form=partial(chat_form.opened, question=QUESTION, file=attachments.CHAT_OPTION),
    private=private_wanted,
    autocomplete=complete_model,
)


def offering(models: Sequence[str]) -> JobCommand:
    """Return the command for an instance that offers these models: one it does not offer is refused at once.

    That comes before the form, so that nobody writes a long text for nothing.
    """

    def checked(interaction: Interaction) -> Text | None:
        return model_fault(interaction, models) or check(interaction)

    def form(interaction: Interaction) -> bytes | None:
        return None if model_fault(interaction, models) else COMMAND.form(interaction)

    return replace(COMMAND, check=checked, form=form)
