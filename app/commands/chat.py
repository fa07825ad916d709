"""`/채팅`: a question, and the model's answer, shown as it grows and remembered for the next question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import structlog

from app.balancing.keyset import OPENAI
from app.commands import attachments, chat_form
from app.commands.attempts import with_attempts
from app.commands.base import PROGRESS_MARK, Answer, JobCommand, JobContext
from app.commands.definition import attachment, option, slash
from app.commands.heard import BROKEN, CUT, LATE, STOPPED, STOPPED_HERE, Heard, laid_out, usage_of
from app.commands.options import (
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
    model_for,
    system_prompt,
    with_material,
)
from app.commands.recall import continues, conversation, turn_of, unfinished
from app.discord.models import Interaction
from app.discord.wire import OptionType
from app.errors import ProviderBadAnswer, ProviderError, ProviderRefused, ProviderTimeout
from app.journal import facts
from app.providers.base import ChatFinish, ChatRequest
from app.redaction import excerpt
from app.texts import Text

QUESTION = "질문"
LONGEST_QUESTION = 6000

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
    files = attachments.NO_FILES if continues(context) else await attachments.for_chat(context)
    question = str(context.interaction.options.get(QUESTION, "")) or _ABOUT_FILE.to(context.locale)
    return await answer(context, with_material(question, files.text), remember=True, images=files.images)


async def answer(context: JobContext, question: str, *, remember: bool, images: tuple[str, ...] = ()) -> Answer:
    """Ask the model a question; the user sees the answer grow.

    With `remember` the conversation so far goes along, and question and answer become part of it. If the press of ➡️
    made this job, the unfinished answer goes along as well, and the model is asked to go on with it.
    """
    context.progress.show(_THINKING)
    goes_on = continues(context)
    if goes_on:
        asked, history = GO_ON, await unfinished(context, question, remember=remember)
    else:
        asked, history = question, await conversation(context) if remember else NO_HISTORY
    request = _request(context, asked, history, images)
    heard = await with_attempts(context, lambda: _ask(context, request))
    kept = _GO_ON.to(context.locale) if goes_on else as_remembered(question, len(images))
    fitted = laid_out(context, heard, history)
    return Answer(
        fitted.message,
        OPENAI,
        parts=fitted.parts,
        whole=fitted.whole,
        turn=turn_of(context, kept, heard.text) if remember else None,
        usage=usage_of(request, heard),
        error=heard.error,
    )


async def _ask(context: JobContext, request: ChatRequest) -> Heard:
    """Return the answer, or what came of it before it broke off or was stopped; raise if that is nothing.

    Nothing of an answer that the provider withholds is kept: its own policy says so.
    """
    heard = Heard()
    try:
        await _listen(context, request, heard)
    except ProviderRefused:
        raise
    except ProviderError as error:
        if not heard.text.strip():
            raise
        log.warning(
            "answer broke off",
            **facts(context.job),
            error=type(error).__name__,
            cause=excerpt(str(error)),
            characters=len(heard.text),
        )
        late = isinstance(error, ProviderTimeout)
        heard.cut_by(type(error).__name__, (LATE if late else BROKEN).format(reference=context.job.id[-8:]))
    except asyncio.CancelledError:
        if not (context.stopping() and heard.text.strip()):
            raise
        heard.cut_by(STOPPED, STOPPED_HERE)
    heard.text = heard.text.strip()
    if not heard.text:
        raise ProviderBadAnswer("the model's answer is empty", provider=OPENAI)
    if heard.finish is ChatFinish.LENGTH:
        heard.note = CUT
    return heard


async def _listen(context: JobContext, request: ChatRequest, heard: Heard) -> None:
    services = context.services
    async with context.use(OPENAI) as call:
        timeout = max(SHORTEST_S, min(services.chat_timeout_s, context.seconds_left() - SPARE_S))
        async with aclosing(services.chat.stream(request, timeout_s=timeout)) as chunks:
            async for chunk in chunks:
                call.heard()
                heard.take(chunk)
                if chunk.text:
                    call.spoke()
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
