"""Reads just enough of uploaded pictures to refuse what the real services refuse."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass

_DATA_URL = re.compile(r"data:([\w/+.-]+);base64,(.*)", re.DOTALL)
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Size:
    """What a picture is and how many pixels it has."""

    kind: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Return the number of pixels."""
        return self.width * self.height

    @property
    def stretch(self) -> float:
        """Return the longer side over the shorter one."""
        return max(self.width, self.height) / max(1, min(self.width, self.height))


def size_in(data: bytes) -> Size | None:
    """Return kind (`png`, `jpeg`, `webp`, `gif`) and pixels of a picture, or None if it is none of these."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return Size("png", *struct.unpack(">II", data[16:24]))
        if data.startswith((b"GIF87a", b"GIF89a")):
            return Size("gif", *struct.unpack("<HH", data[6:10]))
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError):
        return None
    return None


def in_data_url(url: str) -> bytes | None:
    """Return the bytes in a `data:…;base64,…` URL, or None if it is none."""
    match = _DATA_URL.fullmatch(url)
    if match is None:
        return None
    try:
        return base64.b64decode(match[2], validate=True)
    except binascii.Error:
        return None


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if marker in _JPEG_SIZES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return Size("jpeg", width, height)
        at += 2 + length
    return None


def _webp(data: bytes) -> Size | None:
    form = data[12:16]
    if form == b"VP8X":
        wide, high = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return Size("webp", wide, high)
    if form == b"VP8 ":
        wide, high = struct.unpack("<HH", data[26:30])
        return Size("webp", wide & 0x3FFF, high & 0x3FFF)
    if form == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Size("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    return None
