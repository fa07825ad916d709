"""An image is known by its bytes, and a shape by its nearest neighbour."""

from __future__ import annotations

import pytest

from app.errors import ProviderBadInput
from app.providers.minimax import image
from app.providers.pictures import media_type_of, nearest_ratio
from app.providers.stability import ASPECT_RATIOS


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0....", "image/jpeg"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", None),
        (b"GIF89a", None),
        (b'{"image": ""}', None),
        (b"", None),
    ],
)
def test_the_media_type_follows_the_bytes(data: bytes, media_type: str | None) -> None:
    """Only the three kinds that Discord shows and the providers make are images."""
    assert media_type_of(data) == media_type


@pytest.mark.parametrize(
    ("wanted", "stability", "minimax"),
    [
        ("1:1", "1:1", "1:1"),
        ("16:9", "16:9", "16:9"),
        ("4:3", "5:4", "4:3"),
        ("3:4", "4:5", "3:4"),
        ("4:5", "4:5", "3:4"),
        ("9:21", "9:21", "9:16"),
        ("1024:1024", "1:1", "1:1"),
        ("9999:1", "21:9", "21:9"),
    ],
)
def test_the_nearest_supported_ratio_is_taken(wanted: str, stability: str, minimax: str) -> None:
    """A provider that lacks a ratio takes the one with the closest shape, landscape staying landscape."""
    assert nearest_ratio(wanted, ASPECT_RATIOS) == stability
    assert nearest_ratio(wanted, image.ASPECT_RATIOS) == minimax


@pytest.mark.parametrize("wanted", ["", "16x9", "0:1", "1:0", "-1:1", "1:1:1", "wide"])
def test_a_ratio_that_is_none_is_refused(wanted: str) -> None:
    """Nonsense is bad input, not silently a square."""
    with pytest.raises(ProviderBadInput):
        nearest_ratio(wanted, ASPECT_RATIOS)
