"""Stability's request, its picture, and its errors in both envelopes."""

from __future__ import annotations

from email.parser import BytesParser
from typing import Any

import httpx2
import pytest

from app.errors import (
    ProviderBadAnswer,
    ProviderBadInput,
    ProviderError,
    ProviderKeyRejected,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnavailable,
)
from app.providers.base import GeneratedImage, ImageRequest, RateHints
from app.providers.stability import StabilityImage
from tests.kit.clock import FakeClock
from tests.unit.providers.conftest import Wired
from tests.unit.providers.subjects import KEY, png_head

_PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
_JSON = "application/json"


def stability(wired: Wired, told: list[RateHints] | None = None) -> StabilityImage:
    """Return the provider on the fake."""
    on_rate = None if told is None else told.append
    return StabilityImage(KEY, "http://stability.test/", wired.client, clock=FakeClock(), on_rate=on_rate)


def picture(body: bytes = _PNG, reason: str | None = "SUCCESS") -> httpx2.Response:
    """Return an answer with a picture."""
    headers = {"content-type": "image/png", "seed": "343940597"}
    return httpx2.Response(200, headers=headers | ({"finish-reason": reason} if reason else {}), content=body)


def sent(wired: Wired) -> dict[str, tuple[str | None, bytes]]:
    """Return the fields of the only request: file name, if it is a file, and content."""
    (request,) = wired.requests
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    parts: Any = BytesParser().parsebytes(head + request.content).get_payload()
    return {
        part.get_param("name", header="content-disposition"): (part.get_filename(), part.get_payload(decode=True))
        for part in parts
    }


async def failure(wired: Wired, answer: httpx2.Response) -> ProviderError:
    """Return the error that `answer` ends in."""
    wired.answer = answer
    with pytest.raises(ProviderError) as caught:
        await stability(wired).generate(ImageRequest("a fox"), timeout_s=5)
    assert len(wired.requests) == 1
    return caught.value


async def test_a_picture_comes_with_the_type_its_bytes_have(wired: Wired) -> None:
    """A WebP that calls itself a PNG is a WebP."""
    wired.answer = picture()
    made = await stability(wired).generate(ImageRequest("a fox"), timeout_s=5)
    assert made == GeneratedImage(_PNG, "image/png", "stability")
    webp = b"RIFF\x10\x00\x00\x00WEBPVP8 "
    wired.answer = picture(webp, reason=None)
    assert (await stability(wired).generate(ImageRequest("a fox"), timeout_s=5)).media_type == "image/webp"


async def test_the_request_is_multipart_without_any_file(wired: Wired) -> None:
    """Fields travel as plain multipart fields: with a file name Stability would take them for uploads."""
    wired.answer = picture()
    await stability(wired).generate(ImageRequest("눈 속의 여우", "4:3"), timeout_s=5)
    (request,) = wired.requests
    assert (request.method, request.url.path) == ("POST", "/v2beta/stable-image/generate/core")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept"] == "image/*"
    fields = {name: data.decode() for name, (_, data) in sent(wired).items()}
    assert fields == {"prompt": "눈 속의 여우", "aspect_ratio": "5:4", "output_format": "png"}
    assert b"filename" not in request.content


async def test_style_and_seed_go_along_as_stability_names_them(wired: Wired) -> None:
    """A preset stays a preset, so the prompt is the user's own."""
    wired.answer = picture()
    await stability(wired).generate(ImageRequest("a fox", style="pixel-art", seed=7), timeout_s=5)
    fields = {name: data for name, (_, data) in sent(wired).items()}
    assert (fields["prompt"], fields["style_preset"], fields["seed"]) == (b"a fox", b"pixel-art", b"7")


async def test_a_source_is_drawn_anew_at_another_endpoint(wired: Wired) -> None:
    """Mode, strength and the picture as a file are what makes it image to image; a ratio would be refused there."""
    wired.answer = picture()
    source = png_head(640, 480)
    request = ImageRequest("a fox", "16:9", style="line-art", seed=9, source=source, strength=0.65)
    await stability(wired).generate(request, timeout_s=5)
    assert wired.requests[0].url.path == "/v2beta/stable-image/generate/sd3"
    fields = sent(wired)
    assert fields.pop("image") == ("image.png", source)
    assert {name: data.decode() for name, (_, data) in fields.items()} == {
        "prompt": "a fox, line art style", "mode": "image-to-image", "strength": "0.65", "output_format": "png",
        "seed": "9",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("width", "height", "endpoint"),
    [
        (1024, 1024, "fast"),
        (32, 1536, "fast"),
        (1025, 1024, "conservative"),
        (640, 1600, "conservative"),
        (3072, 3072, "conservative"),
    ],
)
async def test_a_picture_is_made_larger_where_it_fits(width: int, height: int, endpoint: str, wired: Wired) -> None:
    """Up to a megapixel and 1,536 a side the fast way, which needs no words; larger ones the other way, with them."""
    wired.answer = picture(b"\xff\xd8\xff\xe0pixels")
    made = await stability(wired).upscale(png_head(width, height), "a fox", timeout_s=5)
    assert made == GeneratedImage(b"\xff\xd8\xff\xe0pixels", "image/jpeg", "stability")
    assert wired.requests[0].url.path == f"/v2beta/stable-image/upscale/{endpoint}"
    fields = sent(wired)
    assert fields.pop("image") == ("image.png", png_head(width, height))
    words = {"prompt": (None, b"a fox")} if endpoint == "conservative" else {}
    assert fields == {"output_format": (None, b"jpeg"), **words}


_NO_PICTURES = [b"GIF89a\x40\x01\x40\x01", b"no picture", b""]


@pytest.mark.parametrize("source", [png_head(3073, 3072), png_head(4000, 1000), png_head(20, 20), *_NO_PICTURES])
async def test_what_can_not_be_made_larger_costs_no_call(source: bytes, wired: Wired) -> None:
    """Too large, too long, too small, or no picture: nothing is sent."""
    with pytest.raises(ProviderBadInput):
        await stability(wired).upscale(source, "a fox", timeout_s=5)
    assert wired.requests == []


@pytest.mark.parametrize("source", [png_head(63, 640), *_NO_PICTURES])
async def test_what_can_not_be_drawn_anew_costs_no_call(source: bytes, wired: Wired) -> None:
    """A side below 64 pixels, or no picture at all."""
    with pytest.raises(ProviderBadInput):
        await stability(wired).generate(ImageRequest("a fox", source=source), timeout_s=5)
    assert wired.requests == []


@pytest.mark.parametrize("prompt", ["", "x" * 10_001])
async def test_a_prompt_that_would_be_refused_is_not_sent(prompt: str, wired: Wired) -> None:
    """Empty and over-long prompts cost no call."""
    with pytest.raises(ProviderBadInput):
        await stability(wired).generate(ImageRequest(prompt), timeout_s=5)
    assert wired.requests == []


async def test_a_blurred_result_is_a_refusal(wired: Wired) -> None:
    """`CONTENT_FILTERED` is a 200 with an image: it must not be shown as the answer."""
    assert type(await failure(wired, picture(reason="CONTENT_FILTERED"))) is ProviderRefused


@pytest.mark.parametrize("answer", [picture(b"<html>"), picture(b""), picture(b"GIF89a..."), picture(reason="ERROR")])
async def test_what_is_no_picture_is_a_bad_answer(answer: httpx2.Response, wired: Wired) -> None:
    """A 200 whose bytes are no image, or whose finish reason is unknown, is no answer."""
    assert type(await failure(wired, answer)) is ProviderBadAnswer


@pytest.mark.parametrize(
    ("status", "body", "expected", "said"),
    [
        (400, {"id": "a", "name": "bad_request", "errors": ["prompt: is required"]}, ProviderBadInput, "is required"),
        (
            401,
            {"id": "a", "name": "unauthorized", "errors": ["authorization: invalid or missing header value"]},
            ProviderKeyRejected,
            "authorization: invalid or missing header value",
        ),
        (
            401,
            {"id": "a", "name": "unauthorized", "message": f"Incorrect API key provided: {KEY[:7]}******{KEY[-4:]}."},
            ProviderKeyRejected,
            "Incorrect API key provided",
        ),
        (402, {"name": "payment_required", "errors": ["You lack sufficient credits"]}, ProviderQuotaExhausted, "lack"),
        (403, {"name": "content_moderation", "errors": ["Your request was flagged"]}, ProviderRefused, "flagged"),
        (400, {"name": "content_moderation", "errors": ["Your request was flagged"]}, ProviderRefused, "flagged"),
        (403, {"name": "forbidden", "errors": ["no access"]}, ProviderKeyRejected, "no access"),
        (413, {"name": "payload_too_large", "errors": ["too large"]}, ProviderBadInput, "too large"),
        (422, {"name": "unprocessable", "errors": ["English only"]}, ProviderBadInput, "English only"),
        (500, {"name": "internal_error", "errors": ["oops"]}, ProviderUnavailable, "oops"),
        (500, {"name": ["x"], "errors": {"a": 1}}, ProviderUnavailable, "HTTP 500"),
    ],
)
async def test_an_error_is_understood_by_name_then_status(
    status: int, body: dict[str, Any], expected: type[ProviderError], said: str, wired: Wired
) -> None:
    """Both envelopes are read: `errors` of v2beta and `message` of v1; the echoed ends of the key are masked."""
    error = await failure(wired, httpx2.Response(status, json=body))
    assert type(error) is expected
    assert said in str(error)
    assert KEY[:7] not in str(error)
    assert KEY[-4:] not in str(error)


@pytest.mark.parametrize("content", [b'{"name": "rate_limit_exceeded", "errors": ["slow down"]}', b"<html>429</html>"])
async def test_a_rate_limit_means_a_minute_unless_it_says_otherwise(content: bytes, wired: Wired) -> None:
    """The documentation times a key out for 60 seconds; a `Retry-After` is believed when there is one."""
    error = await failure(wired, httpx2.Response(429, content=content))
    assert type(error) is ProviderRateLimited
    assert error.retry_after == 60
    wired.requests.clear()
    error = await failure(wired, httpx2.Response(429, content=content, headers={"retry-after": "5"}))
    assert error.retry_after == 5


async def test_only_a_rate_limit_asks_to_wait(wired: Wired) -> None:
    """The default minute belongs to 429 alone: a server error says nothing of waiting."""
    assert (await failure(wired, httpx2.Response(500, content=b"oops"))).retry_after is None


async def test_rate_headers_are_told(wired: Wired) -> None:
    """A gateway that sends rate headers is listened to."""
    told: list[RateHints] = []
    wired.answer = picture()
    wired.answer.headers["x-ratelimit-remaining-requests"] = "41"
    await stability(wired, told).generate(ImageRequest("a fox"), timeout_s=5)
    assert told == [RateHints(None, 41, None)]
