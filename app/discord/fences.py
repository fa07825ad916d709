"""Code blocks in a text: where their fences stand, and what is open at any position."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

FENCE: Final = "```"
CLOSE: Final = "\n```"
FENCE_LINE_MAX: Final = 48
"""A longer line is no fence: no language's name is that long, and a fence must fit into any part whole."""

REOPEN_MAX: Final = 24
_FENCE_LINE = re.compile(r"^[ \t]{0,8}(`{3,})([^`\n]*)$", re.MULTILINE)
_LANGUAGE = re.compile(r"[A-Za-z0-9_+.#-]{1,20}")
_VISIBLE = re.compile(r"\S")


@dataclass(frozen=True, slots=True)
class _FenceLine:
    """One fence at text[start:end]; `opened` is the fence to reopen its block with, None if it closes one.

    A cut inside (start, no_cut_until) would tear the fence or leave an empty block behind.
    """

    start: int
    end: int
    opened: str | None
    no_cut_until: int


@dataclass(frozen=True, slots=True)
class Block:
    """A code block at text[start:end], its fences included; what it shows is text[inside:inside_end]."""

    start: int
    end: int
    inside: int
    inside_end: int
    language: str


class Fences:
    """The fences of one text, read the way Discord shows them: inside a block the next bare fence closes it."""

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._lines: list[_FenceLine] = []
        inside = False
        for match in _FENCE_LINE.finditer(text):
            info = match[2].strip()
            if match.end() - match.start() > FENCE_LINE_MAX or (inside and info):
                continue
            inside = not inside
            self._lines.append(_read(text, match.start(), match.end(), info if inside else None))
        self._starts = [line.start for line in self._lines]

    def blocks(self) -> Iterator[Block]:
        """Yield the code blocks, in order; one that is never closed ends with the text."""
        for n in range(0, len(self._lines), 2):
            opening = self._lines[n]
            closing = self._lines[n + 1] if n + 1 < len(self._lines) else None
            inside_end, end = (closing.start - 1, closing.end) if closing else (self._length, self._length)
            language = (opening.opened or "").removeprefix(FENCE)
            yield Block(opening.start, end, opening.end, max(opening.end, inside_end), language)

    def open_at(self, index: int) -> str | None:
        """Return the fence, with its language, of the block that is open after text[:index]; None outside of blocks."""
        line = self._last_before(index)
        return line.opened if line else None

    def torn_at(self, index: int) -> int | None:
        """Return None where the text may be cut, else the start of the fence that a cut at `index` would spoil."""
        line = self._last_before(index)
        return line.start if line and index < line.no_cut_until else None

    def closing_at(self, index: int) -> int | None:
        """Return the end of the closing fence whose line `index` is in, at or before its backticks; else None."""
        at = bisect_right(self._starts, index) - 1
        if at >= 0 and self._lines[at].opened is None and index < self._lines[at].end:
            return self._lines[at].end
        return None

    def _last_before(self, index: int) -> _FenceLine | None:
        """Return the last fence that starts before `index`."""
        at = bisect_right(self._starts, index - 1) - 1
        return self._lines[at] if at >= 0 else None


def _read(text: str, start: int, end: int, info: str | None) -> _FenceLine:
    if info is None:
        return _FenceLine(start, end, None, end)
    content = _VISIBLE.search(text, end)
    reopened = FENCE + (info if _LANGUAGE.fullmatch(info) else "")
    return _FenceLine(start, end, reopened, (content.start() if content else len(text)) + 1)
