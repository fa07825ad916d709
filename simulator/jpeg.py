"""A JPEG of flat 8×8 blocks (ITU T.81, baseline): enough for pictures made of squares, and small.

Each block is its mean alone, so no cosine transform is needed: with a quantiser of 8 the one coefficient is the colour
itself, less 128.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

Colour = tuple[int, int, int]
DC_CODES = {category: f"{category:04b}" for category in range(12)}
END_OF_BLOCK = "0"


def jpeg(width: int, height: int, colour_at: Callable[[int, int], Colour]) -> bytes:
    """Return a JPEG whose blocks have the colours `colour_at(x, y)` says of a pixel in their middle."""
    across, down = -(-width // 8), -(-height // 8)
    middles = ((min(8 * x + 4, width - 1), min(8 * y + 4, height - 1)) for y in range(down) for x in range(across))
    bits = "".join(_coded(_ycc(colour_at(x, y)) for x, y in middles))
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    selectors = b"".join(bytes([number, 0x00]) for number in (1, 2, 3))
    return b"".join((
        b"\xff\xd8",
        _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
        _segment(0xDB, b"\0" + b"\x08" * 64),
        _segment(0xC0, struct.pack(">BHHB", 8, height, width, 3) + components),
        _segment(0xC4, b"\x00" + _counts({4: len(DC_CODES)}) + bytes(DC_CODES)),
        _segment(0xC4, b"\x10" + _counts({1: 1}) + b"\0"),
        _segment(0xDA, b"\3" + selectors + b"\0\x3f\0"),
        scan,
        b"\xff\xd9",
    ))  # fmt: skip


def _coded(blocks: Iterator[Colour]) -> Iterator[str]:
    last = (0, 0, 0)
    for block in blocks:
        for now, before in zip(block, last, strict=True):
            step = now - before
            category = abs(step).bit_length()
            # A negative number is written as the same many bits of its predecessor (T.81, F.1.2.1).
            number = step if step > 0 else step + (1 << category) - 1
            yield DC_CODES[category] + (f"{number:0{category}b}" if category else "") + END_OF_BLOCK
        last = block


def _ycc(colour: Colour) -> Colour:
    red, green, blue = colour
    bright = 0.299 * red + 0.587 * green + 0.114 * blue
    return round(bright) - 128, round(0.564 * (blue - bright)), round(0.713 * (red - bright))


def _counts(lengths: dict[int, int]) -> bytes:
    return bytes(lengths.get(length, 0) for length in range(1, 17))


def _segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
