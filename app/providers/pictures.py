"""What both picture providers need: to know an image when they see one, and the nearest shape they can make.

Only headers are read, never pixels, so a picture from anywhere costs nothing to look at. Sources: the PNG specification
(5.2 and 11.2.2), ITU-T T.81 (B.2.2), the WebP container specification with RFC 6386 (9.1) and the WebP lossless
specification (section 3), and the GIF89a specification (18).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.errors import ProviderBadInput

_RATIO = re.compile(r"([1-9]\d{0,3}):([1-9]\d{0,3})")

_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of a frame header, which holds the size; DHT, JPG and DAC lie between them."""

_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers that no length follows."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a picture's header says: `image/png`, `image/jpeg`, `image/webp` or `image/gif`, and its size in pixels."""

    media_type: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height

    @property
    def shorter(self) -> int:
        """The length of the shorter side."""
        return min(self.width, self.height)

    @property
    def stretch(self) -> float:
        """How many times as long as the shorter side the longer one is; 1.0 is a square."""
        return max(self.width, self.height) / self.shorter


def measure(data: bytes) -> Measured | None:
    """Return what the header says; None if these are no such picture, or the header is cut or makes no sense."""
    try:
        for media_type, size_in in _READERS.items():
            size = size_in(data)
            if size is not None:
                return Measured(media_type, *size) if min(size) > 0 else None
    except (struct.error, IndexError):
        return None
    return None


def _png_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            at += 2 + max(2, length)
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(_exactly(data, 24, 3), "little"), 1 + int.from_bytes(_exactly(data, 27, 3), "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(_exactly(data, 21, 4), "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _gif_size(data: bytes) -> tuple[int, int] | None:
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        return None
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _exactly(data: bytes, start: int, count: int) -> bytes:
    piece = data[start : start + count]
    if len(piece) < count:
        raise IndexError("the header is cut")
    return piece


_READERS: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "image/png": _png_size,
    "image/jpeg": _jpeg_size,
    "image/webp": _webp_size,
    "image/gif": _gif_size,
}


def media_type_of(data: bytes) -> str | None:
    """Return `image/png`, `image/jpeg` or `image/webp` by the first bytes, whatever a header says; None for others."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def in_style(prompt: str, style: str | None) -> str:
    """Return the prompt with a preset's name (`pixel-art`) in words, for whoever knows no presets."""
    return prompt if style is None else f"{prompt}, {style.replace('-', ' ')} style"


def nearest_ratio(wanted: str, supported: Sequence[str]) -> str:
    """Return the `supported` aspect ratio whose shape is closest to `wanted` (`16:9`), compared as logarithms."""
    target = _shape(wanted)
    return min(supported, key=lambda ratio: abs(_shape(ratio) - target))


def _shape(ratio: str) -> float:
    match = _RATIO.fullmatch(ratio)
    if match is None:
        raise ProviderBadInput("the aspect ratio must look like 16:9")
    return math.log(int(match.group(1)) / int(match.group(2)))
