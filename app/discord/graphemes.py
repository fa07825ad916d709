"""Where a text may be cut without tearing a visible character apart.

An approximation of Unicode's grapheme clusters (UAX #29) from `unicodedata` alone: combining marks, joined emoji,
skin tones, flags and Hangul Jamo stay whole.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_ZERO_WIDTH_JOINER: Final = "\u200d"
_LONGEST_CLUSTER: Final = 64
"""A "character" with more parts than this is an attack on the renderer and is cut anyway."""


def utf16_length(text: str) -> int:
    """Return the length in UTF-16 code units.

    Discord's API counts code points (discord-api-docs#1315), its clients UTF-16 units; what fits the larger count
    fits both.
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_before(text: str, start: int, end: int) -> int:
    """Return the last index in (start, end] at which `text` can be cut; `end` itself if there is none nearby."""
    for index in range(end, max(start, end - _LONGEST_CLUSTER), -1):
        if _may_cut(text, index):
            return index
    return end


def _may_cut(text: str, index: int) -> bool:
    if index <= 0 or index >= len(text):
        return True
    before, after = text[index - 1], text[index]
    if before == _ZERO_WIDTH_JOINER or _extends(after) or (before == "\r" and after == "\n"):
        return False
    if _is_flag_half(before) and _is_flag_half(after):
        return _flag_halves_before(text, index) % 2 == 0
    return not _joins_jamo(before, after)


def _extends(char: str) -> bool:
    """Whether `char` belongs to the one before it."""
    return (
        char == _ZERO_WIDTH_JOINER
        or unicodedata.category(char) in ("Mn", "Mc", "Me")
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
    )


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _flag_halves_before(text: str, index: int) -> int:
    count = 0
    while count < _LONGEST_CLUSTER and index - count > 0 and _is_flag_half(text[index - count - 1]):
        count += 1
    return count


def _joins_jamo(before: str, after: str) -> bool:
    """Whether a vowel or final consonant follows what it completes: conjoining Jamo or a syllable block."""
    if not "\u1160" <= after <= "\u11ff":
        return False
    return "\u1100" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3"
