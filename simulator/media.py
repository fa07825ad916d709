"""Real media made from nothing: PNG and JPEG pictures coloured by their prompt, and MP4 files that play."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from simulator.jpeg import Colour, jpeg

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PATTERN_KEY = b"Pattern\0"


def size_of(ratio: str, long_side: int) -> tuple[int, int]:
    """Return width and height for a ratio like `16:9`, the longer side `long_side`."""
    wide, high = (int(part) for part in ratio.split(":"))
    if wide >= high:
        return long_side, max(1, round(long_side * high / wide))
    return max(1, round(long_side * wide / high)), long_side


@dataclass(frozen=True, slots=True)
class Pattern:
    """A symmetric pattern of 8×8 squares in a colour of the prompt and seed, over a light ground."""

    ink: Colour
    ground: Colour
    rows: tuple[int, ...]

    @classmethod
    def of(cls, prompt: str, seed: int) -> Pattern:
        """Make the pattern that stands for a prompt and a seed."""
        mark = hashlib.sha256(f"{prompt}\0{seed}".encode("utf-8", "surrogatepass")).digest()
        ink, ground = tuple(40 + b % 160 for b in mark[:3]), tuple(225 + b % 30 for b in mark[3:6])
        return cls((ink[0], ink[1], ink[2]), (ground[0], ground[1], ground[2]), tuple(mark[8:16]))

    @classmethod
    def seen_in(cls, data: bytes) -> Pattern | None:
        """Find the pattern in a PNG made here; None for any other picture."""
        text = data.find(PATTERN_KEY)
        if not data.startswith(PNG_SIGNATURE) or text < 0:
            return None
        values = data[text + len(PATTERN_KEY) : text + len(PATTERN_KEY) + 28].decode("ascii", "replace")
        try:
            raw = bytes.fromhex(values)
        except ValueError:
            return None
        return cls((raw[0], raw[1], raw[2]), (raw[3], raw[4], raw[5]), tuple(raw[6:14])) if len(raw) == 14 else None

    def colour_at(self, x: int, y: int, width: int, height: int) -> Colour:
        """Return the colour of a pixel of a picture of that size."""
        across = x * 8 // width
        return self.ink if self.rows[y * 8 // height] >> min(across, 7 - across) & 1 else self.ground


def png(prompt: str, seed: int, width: int, height: int) -> bytes:
    """Return a PNG that shows the pattern of a prompt and a seed."""
    return as_png(Pattern.of(prompt, seed), width, height)


def as_png(pattern: Pattern, width: int, height: int) -> bytes:
    """Return a PNG of a pattern; a text chunk says what it is, for whoever makes it larger."""
    rows = []
    for cell_y in range(8):
        count = (cell_y + 1) * height // 8 - cell_y * height // 8
        if count:
            y = -(-cell_y * height // 8)
            line = b"".join(bytes(pattern.colour_at(x, y, width, height)) for x in range(width))
            rows.append((b"\0" + line) * count)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(rows), 6)
    said = PATTERN_KEY + bytes([*pattern.ink, *pattern.ground, *pattern.rows]).hex().encode()
    chunks = ((b"IHDR", header), (b"tEXt", said), (b"IDAT", body), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def as_jpeg(pattern: Pattern, width: int, height: int) -> bytes:
    """Return a JPEG of a pattern."""
    return jpeg(width, height, lambda x, y: pattern.colour_at(x, y, width, height))


def png_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, or None for anything else."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < 24:
        return None
    wide, high = struct.unpack(">II", data[16:24])
    return wide, high


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def mp4(prompt: str, *, size: int = 0, width: int = 128, height: int = 72, seconds: int = 6) -> bytes:
    """Return an MP4 with one PNG frame per second; a `free` box brings it to `size` bytes if it is smaller."""
    frames = [png(prompt, number, width, height) for number in range(seconds)]
    ftyp = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2mp41")
    offsets = [0] * len(frames)
    moov_size = len(_moov(frames, offsets, width, height))
    at = len(ftyp) + moov_size + 8
    for number, frame in enumerate(frames):
        offsets[number] = at
        at += len(frame)
    whole = ftyp + _moov(frames, offsets, width, height) + _box(b"mdat", *frames)
    missing = size - len(whole)
    return whole + _box(b"free", b"\0" * (missing - 8)) if missing >= 8 else whole


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind + body


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def _moov(frames: list[bytes], offsets: list[int], width: int, height: int) -> bytes:
    scale, duration = 1000, 1000 * len(frames)
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    mvhd = _full(b"mvhd", struct.pack(">IIIIIH10x", 0, 0, scale, duration, 0x10000, 0x100), matrix,
                 b"\0" * 24, struct.pack(">I", 2))  # fmt: skip
    tkhd = _full(b"tkhd", struct.pack(">IIIII8xHHHH", 0, 0, 1, 0, duration, 0, 0, 0, 0), matrix,
                 struct.pack(">II", width << 16, height << 16), flags=7)  # fmt: skip
    mdhd = _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, scale, duration, 0x55C4, 0))
    hdlr = _full(b"hdlr", struct.pack(">I4s12x", 0, b"vide"), b"simulator\0")
    dinf = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    minf = _box(b"minf", _full(b"vmhd", b"\0" * 8, flags=1), dinf, _stbl(frames, offsets, width, height))
    return _box(b"moov", mvhd, _box(b"trak", tkhd, _box(b"mdia", mdhd, hdlr, minf)))


def _stbl(frames: list[bytes], offsets: list[int], width: int, height: int) -> bytes:
    count = len(frames)
    # Object type 0x6D is PNG (ISO/IEC 14496-1): every sample is a whole picture.
    config = bytes([4, 13, 0x6D, 0x11]) + b"\0" * 11
    esds = _full(b"esds", bytes([3, len(config) + 6, 0, 1, 0]), config, bytes([6, 1, 2]))
    entry = _box(b"mp4v", b"\0" * 6, struct.pack(">H", 1), b"\0" * 16, struct.pack(">HH", width, height),
                 struct.pack(">III", 0x480000, 0x480000, 0), struct.pack(">H", 1), b"\0" * 32,
                 struct.pack(">Hh", 24, -1), esds)  # fmt: skip
    return _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), entry),
        _full(b"stts", struct.pack(">III", 1, count, 1000)),
        _full(b"stsc", struct.pack(">IIII", 1, 1, 1, 1)),
        _full(b"stsz", struct.pack(">II", 0, count), *(struct.pack(">I", len(frame)) for frame in frames)),
        _full(b"stco", struct.pack(">I", count), *(struct.pack(">I", offset) for offset in offsets)),
    )
