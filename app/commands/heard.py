"""What came of a model's answer, and what is made of it: messages with their small print, and what it took."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.commands.base import JobContext
from app.commands.buttons import answer_rows
from app.commands.prompting import History, estimate_tokens, turn_tokens
from app.discord.graphemes import utf16_length
from app.discord.splitting import Fitted, fit
from app.discord.wire import CONTENT_MAX
from app.providers.base import ChatChunk, ChatFinish, ChatRequest
from app.texts import Text
from app.userdata.usage import Usage

STOPPED = "Stopped"
"""Stands for an error's class name where the user has ended the answer."""

CUT = Text(ko="답이 최대 길이에 닿아 여기서 끊겼어요.", en="The answer reached its maximum length and ends here.")
BROKEN = Text(
    ko="⚠️ AI 서비스와의 연결이 끊겨 여기서 멈췄어요. 여기까지는 그대로 두었어요. 참조 번호 {reference}",
    en="⚠️ The AI service broke off here; what had come is kept. Reference {reference}",
)
LATE = Text(
    ko="⚠️ 시간이 다 되어 여기서 멈췄어요. 여기까지는 그대로 두었어요. 참조 번호 {reference}",
    en="⚠️ Time ran out here; what had come is kept. Reference {reference}",
)
STOPPED_HERE = Text(ko="⏹ 여기서 멈췄어요.", en="⏹ Stopped here.")
_DROPPED = Text(
    ko="🧠 앞선 대화 {count}개는 길어서 빼고 답했어요",
    en="🧠 {count} earlier messages were too long to be taken into account",
)


@dataclass(slots=True)
class Heard:
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


def laid_out(context: JobContext, heard: Heard, history: History) -> Fitted:
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


def usage_of(request: ChatRequest, heard: Heard) -> Usage:
    """Return what the answer took: as the provider counted it, else, if it broke off before, by estimate."""
    prompt, completion = heard.prompt_tokens, heard.completion_tokens
    if prompt is None or completion is None:
        prompt = sum(turn_tokens(*turn) for turn in request.history)
        prompt += turn_tokens(request.system_prompt, request.prompt)
        completion = estimate_tokens(heard.text)
    return Usage(prompt_tokens=prompt, completion_tokens=completion)
