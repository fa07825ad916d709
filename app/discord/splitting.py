"""Fits a long text into Discord's messages without breaking its code blocks.

A cut is made after a paragraph, else a line, else a sentence, else a word, else a character. A code block that is cut
is closed at the end of one part and reopened, with its language, at the start of the next.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from app.discord.extracts import take_out
from app.discord.fences import CLOSE, FENCE_LINE_MAX, REOPEN_MAX, Fences
from app.discord.graphemes import cut_before, utf16_length
from app.discord.replies import Attachment, Message
from app.discord.wire import ATTACHMENT_SIZE_DEFAULT, ATTACHMENTS_MAX, CONTENT_MAX
from app.texts import Locale, Text

FULL_TEXT_FILENAME: Final = "answer.md"
MESSAGES_MAX: Final = 3
"""An answer in more messages than this floods a channel; it becomes its start and a file."""

FILES_MAX: Final = ATTACHMENTS_MAX - 1
"""One place stays free for the whole text."""

LIMIT_MIN: Final = 2 * (FENCE_LINE_MAX + REOPEN_MAX)

_ATTACHED = Text(
    ko="-# 답변이 길어 여기까지만 보여요. 전체 답변은 첨부한 answer.md에 있어요.",
    en="-# The answer is too long for one message; the whole of it is attached as answer.md.",
)
_WHOLE_ATTACHED = Text(
    ko="-# 이어지는 메시지를 다 보내지 못했을 수 있어, 전체 답변을 answer.md로 첨부했어요.",
    en="-# What follows may not have been sent in full; the whole answer is attached as answer.md.",
)
_NOTHING = Text(ko="-# 빈 답변을 받았어요.", en="-# The answer was empty.")

# Better a cut in mid-sentence than many messages that are nearly empty.
_FILL_MIN: Final = 0.4
_INDENT_MAX: Final = 40
_CUTS: Final = (
    re.compile(r"\n[ \t]*(?=\n)"),
    re.compile(r"(?=\n)"),
    re.compile(r"""[.!?…]["'”’)\]]*(?=\s)|[。！？]["'”’」』）]*"""),
    re.compile(r"(?<=\S)(?=\s)"),
)
"""Where a paragraph, a line, a sentence and a word end."""


def split(text: str, limit: int = CONTENT_MAX) -> list[str]:
    """Return `text` in parts of at most `limit` UTF-16 units (at least 144), none of them blank.

    Put together they hold all of the text but the white space at the cuts, plus the fences added there.
    """
    return list(_parts(sound(text), limit))


def first_part(text: str, limit: int = CONTENT_MAX) -> str:
    """Return as much of the start of `text` as one message shows; empty if it is blank."""
    return next(_parts(sound(text), limit), "")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A text as the message that shows it and up to two that follow; `whole` is the text itself where some follow."""

    message: Message
    parts: tuple[Message, ...] = ()
    whole: str = ""


def fit(text: str, locale: Locale, limit: int = CONTENT_MAX, *, size_limit: int = ATTACHMENT_SIZE_DEFAULT) -> Fitted:
    """Return the messages that show a text: one if it fits, up to three, else its start with the whole as a file.

    Tables become files, and so does long code where the text is too long for one message. All files together have at
    most `size_limit` bytes.
    """
    text = sound(text)
    fits = utf16_length(text) <= limit
    shown, files = take_out(text, locale, code=not fits, files=FILES_MAX, size_limit=size_limit)
    contents = list(islice(_parts(shown, limit), MESSAGES_MAX + 1))
    if not contents:
        return Fitted(Message(_NOTHING.to(locale)))
    if len(contents) > MESSAGES_MAX:
        return Fitted(_beginning(text, shown, files, locale, limit, size_limit))
    messages = [
        Message(content, attachments=own) for content, own in zip(contents, _placed(contents, files), strict=True)
    ]
    return Fitted(messages[0], tuple(messages[1:]), text if len(messages) > 1 else "")


def with_whole(message: Message, whole: str, locale: Locale, limit: int = CONTENT_MAX) -> Message:
    """Return `message` with the whole text as a file, and a note that it is there."""
    note = "\n\n" + _WHOLE_ATTACHED.to(locale)
    content = first_part(message.content, limit - utf16_length(note)) + note
    files = (*message.attachments[:FILES_MAX], whole_file(whole))
    return replace(message, content=content, attachments=files)


def whole_file(text: str, size_limit: int = ATTACHMENT_SIZE_DEFAULT) -> Attachment:
    """Return a text as a file."""
    data = text.encode("utf-8", "replace")[:size_limit]
    return Attachment(FULL_TEXT_FILENAME, data.decode("utf-8", "ignore").encode(), "text/markdown; charset=utf-8")


def _beginning(
    text: str, shown: str, files: tuple[Attachment, ...], locale: Locale, limit: int, size_limit: int
) -> Message:
    note = "\n\n" + _ATTACHED.to(locale)
    content = first_part(shown, limit - utf16_length(note)) + note
    whole = whole_file(text, size_limit)
    room = size_limit - len(whole.data)
    named = [file for file in files if file.filename in content]
    fitting = named if sum(len(file.data) for file in named) <= room else []
    return Message(content, attachments=(*fitting, whole))


def _placed(contents: list[str], files: tuple[Attachment, ...]) -> list[tuple[Attachment, ...]]:
    """Return each message's files: those it is the first to name; what none names goes with the last."""
    last = len(contents) - 1
    at = [next((n for n, content in enumerate(contents) if file.filename in content), last) for file in files]
    return [tuple(file for file, where in zip(files, at, strict=True) if where == n) for n in range(len(contents))]


def sound(text: str) -> str:
    """Return `text` as UTF-8 can hold it: surrogate pairs joined, half ones replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _parts(text: str, limit: int) -> Iterator[str]:
    if limit < LIMIT_MIN:
        raise ValueError(f"a part has at least {LIMIT_MIN} units")
    if not any(_visible(char) for char in text):
        return
    fences = Fences(text)
    start = _next_start(text, 0, None)
    fence = None
    while start < len(text):
        prefix = f"{fence}\n" if fence else ""
        end = _best_cut(text, start, limit - len(prefix), fences)
        fence = fences.open_at(end)
        part = prefix + text[start:end].rstrip() + (CLOSE if fence else "")
        if any(_visible(char) for char in part):
            yield part
        start = _next_start(text, end, fence)
        closed = fences.closing_at(start) if fence else None
        if closed is not None:
            # Only the fence is left of the block, and the part before already closed it.
            start, fence = _next_start(text, closed, None), None


def _best_cut(text: str, start: int, units: int, fences: Fences) -> int:
    """Return the end of the part that begins at `start` and has room for `units`, a closing fence included."""
    reach, reach_open = _reach(text, start, units), _reach(text, start, units - len(CLOSE))

    def possible(end: int) -> bool:
        furthest = reach if fences.open_at(end) is None else reach_open
        return start < end <= furthest and fences.torn_at(end) is None

    if reach == len(text) and possible(reach):
        return reach
    shortest = start + int((reach - start) * _FILL_MIN)
    for cuts in _CUTS:
        ends = [match.end() for match in cuts.finditer(text, shortest, min(reach + 1, len(text)))]
        best = next((end for end in reversed(ends) if possible(end)), None)
        if best is not None:
            return best
    end = cut_before(text, start, reach_open)
    torn = fences.torn_at(end)
    return torn if torn is not None and torn > start else end


def _reach(text: str, start: int, units: int) -> int:
    """Return the furthest end such that text[start:end] has at most `units` UTF-16 units."""
    end = min(len(text), start + units)
    excess = utf16_length(text[start:end]) - units
    while excess > 0:
        end -= 1
        excess -= utf16_length(text[end])
    return end


def _next_start(text: str, end: int, fence: str | None) -> int:
    """Skip the white space after a cut; inside a code block the next line keeps its indentation."""
    start = end
    while start < len(text) and text[start].isspace():
        start += 1
    indented = text.rfind("\n", end, start) + 1
    return indented if fence and indented and start - indented <= _INDENT_MAX else start


def _visible(char: str) -> bool:
    """Whether a message of this character alone would show something; Discord refuses it otherwise (50006)."""
    return not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf")
