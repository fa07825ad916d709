"""Fits a long text into Discord's messages without breaking its code blocks.

A cut is made after a paragraph, else a line, else a sentence, else a word, else a character. A code block that is cut
is closed at the end of one part and reopened, with its language, at the start of the next.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from app.discord.fences import CLOSE, FENCE_LINE_MAX, REOPEN_MAX, Fences
from app.discord.graphemes import cut_before, utf16_length
from app.discord.replies import Attachment, Message
from app.discord.wire import CONTENT_MAX
from app.texts import Locale, Text

FULL_TEXT_FILENAME: Final = "answer.md"
LIMIT_MIN: Final = 2 * (FENCE_LINE_MAX + REOPEN_MAX)

_ATTACHED = Text(
    ko="-# 답변이 길어 여기까지만 보여요. 전체 답변은 첨부한 answer.md에 있어요.",
    en="-# The answer is too long for one message; the whole of it is attached as answer.md.",
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


def fit(text: str, locale: Locale, limit: int = CONTENT_MAX) -> Message:
    """Return one message: the text if it fits; else its start, a note, and the whole as an attached file."""
    text = sound(text)
    parts = _parts(text, limit)
    only, more = next(parts, ""), next(parts, None)
    if more is None:
        return Message(content=only or _NOTHING.to(locale))
    note = "\n\n" + _ATTACHED.to(locale)
    whole = Attachment(FULL_TEXT_FILENAME, text.encode(), "text/markdown; charset=utf-8")
    return Message(content=first_part(text, limit - utf16_length(note)) + note, attachments=(whole,))


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
