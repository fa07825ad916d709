"""Pictures are measured by their headers: files as real encoders write them, and whatever else may come."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.pictures import Measured, measure

# Written by Pillow 13.0.0 (libpng, libjpeg-turbo, libwebp): black pictures, the smallest that show each way of writing.
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAcAAAOEAQAAAABF5RaVAAAAFklEQVR42mNgGAWjYBSMglEwCkYuAAAHCAABO09vxAAAAABJRU5ErkJggg=="
_JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////"
    "////////wAALCAB7AUEBAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAAP/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/9oACAEBAAA/AJgAAAAAAAAAAAAA"
)
# With EXIF data that turns it, and a comment that looks like another frame header.
_JPEG_EXIF = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD//gAL/8AAEQgAAQAB/9sAQwD/////////////"
    "/////////////////////////////////////////////////////////////////////////8AACwgAHwAwAQERAP/EAB8AAAEFAQEBAQEBAAAA"
)
_JPEG_PROGRESSIVE = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////"
    "////////wgALCAE3AoABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAAL/2gAIAQEAAAABkAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
_WEBP_LOSSY = (
    "UklGRoIAAABXRUJQVlA4IHYAAAAwDACdASpBAXsAP/3+/3+/uzayIEgD8D+JaW7hdrEbQBPa9FXCDIIaqk122i4QZBDVUmu20XCDIIaqk122i4QZ"
    "BDVUmu20XCDIIaqk122i4QZBDVUmu20XCDIIaqk122i4QZBDVUmu20QgAP7/FDAAAAAAAAAA"
)
_WEBP_LOSSLESS = "UklGRioAAABXRUJQVlA4TB0AAAAvf4JNAAcQEf0PCAkS/6+3EdH/jP/85z//+c//aQA="
_WEBP_ALPHA = (
    "UklGRhQBAABXRUJQVlA4WAoAAAAYAAAATAAA5wMAQUxQSBMAAAABBxARERCQJP3/H0b0P+M//4cIAFZQOCC4AAAAEBQAnQEqTQDoAz/9/v9/v7s2"
)
_GIF = "R0lGODdhQQF7AIAAAAAAAAAAACwAAAAAQQF7AEAI/wABCBxIsKDBgwgTKlzIsKHDhxAjSpxIsaLFixgzatzIsaPHjyBDihxJsqTJkyhTqlzJ"

FILES = {
    "png": (_PNG, Measured("image/png", 7, 900)),
    "jpeg": (_JPEG, Measured("image/jpeg", 321, 123)),
    "jpeg with exif": (_JPEG_EXIF, Measured("image/jpeg", 48, 31)),
    "progressive jpeg": (_JPEG_PROGRESSIVE, Measured("image/jpeg", 640, 311)),
    "webp lossy": (_WEBP_LOSSY, Measured("image/webp", 321, 123)),
    "webp lossless": (_WEBP_LOSSLESS, Measured("image/webp", 640, 311)),
    "webp alpha": (_WEBP_ALPHA, Measured("image/webp", 77, 1000)),
    "gif": (_GIF, Measured("image/gif", 321, 123)),
}
BYTES = {name: base64.b64decode(encoded + "=" * (-len(encoded) % 4)) for name, (encoded, _) in FILES.items()}


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_measured(name: str) -> None:
    """Type, width and height are what the encoder was told."""
    assert measure(BYTES[name]) == FILES[name][1]


@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_cut_header_is_no_picture_or_the_same_picture(name: str, data: st.DataObject) -> None:
    """However much of a file is missing, it is measured rightly or not at all."""
    whole = BYTES[name]
    kept = data.draw(st.integers(0, len(whole)))
    assert measure(whole[:kept]) in (None, FILES[name][1])


@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_damaged_header_never_breaks_the_reader(name: str, data: st.DataObject) -> None:
    """Whatever bytes are changed, there is an answer, and its sides are never nothing."""
    damaged = bytearray(BYTES[name])
    places = st.integers(0, min(len(damaged), 400) - 1)
    for place in data.draw(st.lists(places, max_size=8)):
        damaged[place] = data.draw(st.integers(0, 255))
    measured = measure(bytes(damaged))
    assert measured is None or (measured.width > 0 and measured.height > 0)


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    """What is no picture is None, even behind a JPEG's first bytes."""
    assert measure(b"\xff\xd8" + data) is None or data.startswith(b"\xff")
    assert measure(b"text: " + data) is None


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_png_sides_are_read_as_written(width: int, height: int) -> None:
    """Any size that the format can hold comes back."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    assert measure(data) == Measured("image/png", width, height)


@given(st.integers(1, 65_535), st.integers(1, 65_535), st.lists(st.binary(max_size=300), max_size=5), st.integers(0, 4))
def test_jpeg_segments_and_fill_bytes_are_stepped_over(
    width: int, height: int, comments: list[bytes], fill: int
) -> None:
    """Whatever stands in comments before the frame header, the size is the header's."""
    segments = b"".join(b"\xff" * fill + b"\xff\xfe" + struct.pack(">H", len(c) + 2) + c for c in comments)
    frame = b"\xff\xc2\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    assert measure(b"\xff\xd8" + segments + frame) == Measured("image/jpeg", width, height)


@given(st.integers(1, 1 << 24), st.integers(1, 1 << 24), st.integers(1, 1 << 14), st.integers(1, 1 << 14))
def test_webp_sides_are_read_as_written(canvas_w: int, canvas_h: int, width: int, height: int) -> None:
    """In the extended header as in the lossless one, where the sides are packed into 14 bits each."""
    sides = (canvas_w - 1).to_bytes(3, "little") + (canvas_h - 1).to_bytes(3, "little")
    extended = b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00" + sides
    assert measure(extended) == Measured("image/webp", canvas_w, canvas_h)
    bits = (width - 1) | (height - 1) << 14 | 1 << 28
    lossless = b"RIFF\x00\x00\x00\x00WEBPVP8L\x00\x00\x00\x00\x2f" + bits.to_bytes(4, "little")
    assert measure(lossless) == Measured("image/webp", width, height)


def test_shape_and_area_follow_from_the_sides() -> None:
    """The shorter side, how far the picture is stretched, and its pixels; lying or standing makes no difference."""
    for measured in (Measured("image/png", 500, 200), Measured("image/png", 200, 500)):
        assert (measured.shorter, measured.stretch, measured.pixels) == (200, 2.5, 100_000)


@pytest.mark.parametrize("name", ["png", "jpeg", "webp lossy", "gif"])
def test_a_side_of_nothing_is_no_picture(name: str) -> None:
    """A header that says zero pixels makes no sense."""
    data, measured = BYTES[name], FILES[name][1]
    order = "big" if name in ("png", "jpeg") else "little"
    size = 4 if name == "png" else 2
    side = measured.width.to_bytes(size, order)  # type: ignore[arg-type]
    assert measure(data.replace(side, b"\0" * size, 1)) is None
