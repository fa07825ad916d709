"""What both picture providers need: to know an image when they see one, and the nearest shape they can make."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from app.errors import ProviderBadInput

_RATIO = re.compile(r"([1-9]\d{0,3}):([1-9]\d{0,3})")


def media_type_of(data: bytes) -> str | None:
    """Return `image/png`, `image/jpeg` or `image/webp` by the first bytes, whatever a header says; None for others."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def nearest_ratio(wanted: str, supported: Sequence[str]) -> str:
    """Return the `supported` aspect ratio whose shape is closest to `wanted` (`16:9`), compared as logarithms."""
    target = _shape(wanted)
    return min(supported, key=lambda ratio: abs(_shape(ratio) - target))


def _shape(ratio: str) -> float:
    match = _RATIO.fullmatch(ratio)
    if match is None:
        raise ProviderBadInput("the aspect ratio must look like 16:9")
    return math.log(int(match.group(1)) / int(match.group(2)))
