"""Small things several commands write the same way."""

from __future__ import annotations

import re

from app.texts import Locale, Text

_MARKDOWN = re.compile(r"[\\`*_~|<>\[\]]")
_DURATIONS = (
    (86_400, Text(ko="{whole}일 {part}시간", en="{whole}d {part}h"), 3600),
    (3600, Text(ko="{whole}시간 {part}분", en="{whole}h {part}m"), 60),
    (60, Text(ko="{whole}분 {part}초", en="{whole}m {part}s"), 1),
)
_SECONDS = Text(ko="{whole}초", en="{whole}s")

KIND_NAMES = {
    "chat": Text(ko="채팅", en="chat"),
    "image": Text(ko="이미지", en="image"),
    "video": Text(ko="비디오", en="video"),
}


def duration(seconds: float, locale: Locale) -> str:
    """Return a duration in its two largest units, like `3분 12초` or `2h 5m`."""
    whole_seconds = max(0, round(seconds))
    for unit, text, part in _DURATIONS:
        if whole_seconds >= unit:
            return text.format(whole=whole_seconds // unit, part=whole_seconds % unit // part).to(locale)
    return _SECONDS.format(whole=whole_seconds).to(locale)


def quote(text: str, limit: int = 300) -> str:
    """Return the user's own words as a Markdown quote, cut at `limit` characters."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return "\n".join(f"> {line}" for line in shown.splitlines() or [""])


def shortened(text: str, limit: int) -> str:
    """Return the start of a text in one line of at most `limit` characters, its Markdown shown as it was typed."""
    line = " ".join(text.split())
    cut = line if len(line) <= limit else line[: limit - 1] + "…"
    return _MARKDOWN.sub(r"\\\g<0>", cut)
