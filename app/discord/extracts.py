"""Takes out of an answer what Discord can't show well: tables, which it does not know, and very long code.

Each becomes a file, and a short line in the text says which.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.discord.fences import Block, Fences
from app.discord.graphemes import utf16_length
from app.discord.replies import Attachment
from app.texts import Locale, Text

LONG_CODE: Final = 1500
"""Code with more UTF-16 units than this fills a message: it reads better as a file."""

_TABLE_LINE = Text(ko="-# 📎 표는 {name}에 있어요", en="-# 📎 The table is in {name}")
_CODE_LINE = Text(ko="-# 📎 코드는 {name}에 있어요", en="-# 📎 The code is in {name}")

_DELIMITER_CELL = re.compile(r"[ \t]*:?-+:?[ \t]*")
_LINE = re.compile(r"[^\n]+")
_SUFFIXES: Final = {
    "python": "py", "javascript": "js", "typescript": "ts", "bash": "sh", "shell": "sh", "zsh": "sh", "console": "sh",
    "powershell": "ps1", "rust": "rs", "golang": "go", "ruby": "rb", "kotlin": "kt", "c++": "cpp", "csharp": "cs",
    "c#": "cs", "markdown": "md", "yaml": "yml", "haskell": "hs", "perl": "pl", "objective-c": "m", "elixir": "ex",
    "f#": "fs", "plaintext": "txt", "text": "txt", "dockerfile": "dockerfile", "makefile": "mk", "tex": "tex",
    "latex": "tex",
}  # fmt: skip
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class _Found:
    """text[start:end] is to become a file with this content; `kind` is the start of its name."""

    start: int
    end: int
    kind: str
    suffix: str
    content: str


def take_out(
    text: str, locale: Locale, *, code: bool, files: int, size_limit: int
) -> tuple[str, tuple[Attachment, ...]]:
    """Return the text without its tables, and without long code if `code`, and the files that hold them.

    At most `files` files with `size_limit` bytes in all; what does not go into them stays in the text.
    """
    pieces: list[str] = []
    taken: list[Attachment] = []
    at, room = 0, size_limit
    counts = {"table": 0, "code": 0}
    for found in _find(text, code):
        data = found.content.encode()
        if len(taken) == files or len(data) > room:
            continue
        room -= len(data)
        counts[found.kind] += 1
        name = f"{found.kind}-{counts[found.kind]}.{found.suffix}"
        line = (_TABLE_LINE if found.kind == "table" else _CODE_LINE).format(name=name).to(locale)
        pieces += [text[at : found.start], line]
        taken.append(Attachment(name, data, "text/plain; charset=utf-8"))
        at = found.end
    return "".join([*pieces, text[at:]]), tuple(taken)


def _find(text: str, code: bool) -> Iterator[_Found]:
    """Yield what can become a file, in the text's order."""
    at = 0
    for block in [*Fences(text).blocks(), None]:
        yield from _tables(text, at, block.start if block else len(text))
        if block is None:
            return
        if code and utf16_length(text[block.inside : block.inside_end]) > LONG_CODE:
            content = text[block.inside : block.inside_end].removeprefix("\n")
            yield _Found(block.start, block.end, "code", _suffix(block), content + "\n")
        at = block.end


def _suffix(block: Block) -> str:
    language = block.language.lower()
    suffix = _SUFFIXES.get(language, language)
    return suffix if _SUFFIX.fullmatch(suffix) or suffix in _SUFFIXES.values() else "txt"


def _tables(text: str, start: int, end: int) -> Iterator[_Found]:
    """Yield the tables in text[start:end], where there is no code: a row, a delimiter row, further rows."""
    lines = [(match.start(), match.end()) for match in _LINE.finditer(text, start, end)]
    n = 0
    while n + 1 < len(lines):
        (first, first_end), (second, second_end) = lines[n], lines[n + 1]
        n += 1
        if second != first_end + 1 or "|" not in text[first:first_end] or not _delimits(text[second:second_end]):
            continue
        table_end, n = second_end, n + 1
        while n < len(lines) and lines[n][0] == table_end + 1 and "|" in text[slice(*lines[n])]:
            table_end, n = lines[n][1], n + 1
        yield _Found(first, table_end, "table", "md", text[first:table_end] + "\n")


def _delimits(line: str) -> bool:
    """Whether a line parts a table's head from its body: `|---|:-:|`, with a pipe somewhere."""
    cells = line.strip().strip("|").split("|")
    return "|" in line and all(_DELIMITER_CELL.fullmatch(cell) for cell in cells)
