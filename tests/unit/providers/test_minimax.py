"""MiniMax's pictures and videos: business errors inside 200s, ids of two types, links and their bytes."""

from __future__ import annotations

import base64
import json
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
    VideoTaskFailed,
)
from app.providers.base import GeneratedImage, ImageRequest, VideoFile, VideoRequest, VideoStage, VideoStatus
from app.providers.minimax import MiniMaxImage, MiniMaxVideo
from tests.kit.clock import FakeClock
from tests.unit.providers.conftest import Wired
from tests.unit.providers.subjects import KEY

_URL = "http://minimax.test"
_JPEG = b"\xff\xd8\xff\xe0" + b"pixels"
_GOOD = {"base_resp": {"status_code": 0, "status_msg": "success"}}


def images(wired: Wired) -> MiniMaxImage:
    """Return the picture provider on the fake."""
    return MiniMaxImage(KEY, _URL, wired.client, clock=FakeClock())


def videos(wired: Wired) -> MiniMaxVideo:
    """Return the video provider on the fake."""
    return MiniMaxVideo(KEY, _URL, wired.client, clock=FakeClock())


def business(code: object, message: str = "it failed", **more: Any) -> httpx2.Response:
    """Return a V1 answer with a business code."""
    return httpx2.Response(200, json={**more, "base_resp": {"status_code": code, "status_msg": message}})


def encoded(*pictures: bytes) -> dict[str, Any]:
    """Return a V1 picture answer's body."""
    return {"data": {"image_base64": [base64.b64encode(p).decode() for p in pictures]}, **_GOOD}


_CODES = [
    *[(code, ProviderRateLimited) for code in (1002, 1039, 1041, 2045)],
    *[(code, ProviderKeyRejected) for code in (1004, 2038, 2049)],
    *[(code, ProviderQuotaExhausted) for code in (1008, 1028, 1030, 2056, 2061)],
    *[(code, ProviderRefused) for code in (1026, 1027)],
    *[(code, ProviderBadInput) for code in (1042, 2013)],
    *[(code, ProviderUnavailable) for code in (1000, 1001, 1013, 1024, 1033)],
    ("1008", ProviderQuotaExhausted),
    (9999, ProviderError),
]


@pytest.mark.parametrize(("code", "expected"), _CODES)
async def test_a_business_code_inside_a_200_is_an_error(
    code: object, expected: type[ProviderError], wired: Wired
) -> None:
    """All calls read the code the same way; it is in the message for the operator, and nothing is tried twice."""
    wired.answer = lambda _: business(code, task_id="1", status="Processing")
    calls = [
        images(wired).generate(ImageRequest("a fox"), timeout_s=5),
        videos(wired).create(VideoRequest("a fox"), timeout_s=5),
        videos(wired).poll("1", timeout_s=5),
        videos(wired).retrieve("1", timeout_s=5),
    ]
    for call in calls:
        with pytest.raises(ProviderError) as caught:
            await call
        assert type(caught.value) is expected
        assert f"{code} it failed" in str(caught.value)
    assert len(wired.requests) == len(calls)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (401, "login fail (1004)", ProviderKeyRejected),
        (402, "insufficient balance (1008)", ProviderQuotaExhausted),
        (422, "input new_sensitive (1026)", ProviderRefused),
        (429, "rate limit (1002)", ProviderRateLimited),
        (400, "invalid params (2013)", ProviderBadInput),
        (529, "overloaded", ProviderUnavailable),
    ],
)
async def test_the_other_envelope_is_read_too(
    status: int, message: str, expected: type[ProviderError], wired: Wired
) -> None:
    """A real status with the code in the message means the same as V1's way."""
    wired.answer = httpx2.Response(status, json={"type": "error", "error": {"type": "x", "message": message}})
    with pytest.raises(ProviderError) as caught:
        await videos(wired).create(VideoRequest("a fox"), timeout_s=5)
    assert type(caught.value) is expected
    assert message in str(caught.value)


async def test_a_picture_is_asked_for_as_bytes(wired: Wired) -> None:
    """One picture, in base64, of the nearest shape; its type follows its bytes."""
    wired.answer = httpx2.Response(200, json=encoded(_JPEG))
    made = await images(wired).generate(ImageRequest("a fox", "5:4"), timeout_s=5)
    assert made == GeneratedImage(_JPEG, "image/jpeg", "minimax")
    (request,) = wired.requests
    assert (request.method, str(request.url)) == ("POST", f"{_URL}/v1/image_generation")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {
        "model": "image-01",
        "prompt": "a fox",
        "aspect_ratio": "4:3",
        "n": 1,
        "response_format": "base64",
    }


async def test_a_style_goes_along_in_words(wired: Wired) -> None:
    """MiniMax has no presets; a seed it has."""
    wired.answer = httpx2.Response(200, json=encoded(_JPEG))
    await images(wired).generate(ImageRequest("a fox", style="pixel-art", seed=7), timeout_s=5)
    body = json.loads(wired.requests[0].content)
    assert (body["prompt"], body["seed"]) == ("a fox, pixel art style", 7)


async def test_nothing_is_drawn_from_a_picture(wired: Wired) -> None:
    """Its references are for characters only, so the request is not sent."""
    assert images(wired).redraws is False
    with pytest.raises(ProviderBadInput):
        await images(wired).generate(ImageRequest("a fox", source=_JPEG), timeout_s=5)
    assert wired.requests == []


async def test_a_large_picture_arrives_whole(wired: Wired) -> None:
    """Several megabytes of base64 are decoded off the event loop and come out the same."""
    large = _JPEG + bytes(3_000_000)
    wired.answer = httpx2.Response(200, json=encoded(large))
    assert (await images(wired).generate(ImageRequest("a fox"), timeout_s=10)).data == large


async def test_a_picture_as_a_data_url_is_read(wired: Wired) -> None:
    """A data URL's prefix is no part of the picture."""
    body = {"data": {"image_base64": ["data:image/jpeg;base64," + base64.b64encode(_JPEG).decode()]}, **_GOOD}
    wired.answer = httpx2.Response(200, json=body)
    assert (await images(wired).generate(ImageRequest("a fox"), timeout_s=5)).data == _JPEG


@pytest.mark.parametrize("data", [None, {}, {"image_base64": []}, {"image_base64": None}])
@pytest.mark.parametrize(
    ("failed", "expected"), [("1", ProviderRefused), (1, ProviderRefused), ("0", ProviderBadAnswer)]
)
async def test_a_missing_picture_is_a_refusal_if_it_was_counted_as_failed(
    data: object, failed: object, expected: type[ProviderError], wired: Wired
) -> None:
    """`failed_count` counts what content safety blocked, as a number or as a string."""
    body = {"data": data, "metadata": {"success_count": "0", "failed_count": failed}, **_GOOD}
    wired.answer = httpx2.Response(200, json=body)
    with pytest.raises(ProviderError) as caught:
        await images(wired).generate(ImageRequest("a fox"), timeout_s=5)
    assert type(caught.value) is expected


@pytest.mark.parametrize("encoded_picture", ["%%%", "", base64.b64encode(b"<html>").decode(), "é"])
async def test_bytes_that_are_no_picture_are_a_bad_answer(encoded_picture: str, wired: Wired) -> None:
    """Broken base64 and other files are not passed on as a picture."""
    wired.answer = httpx2.Response(200, json={"data": {"image_base64": [encoded_picture]}, **_GOOD})
    with pytest.raises(ProviderBadAnswer):
        await images(wired).generate(ImageRequest("a fox"), timeout_s=5)


async def test_prompts_that_would_be_refused_are_not_sent(wired: Wired) -> None:
    """Empty and over-long prompts cost no call and no money."""
    for prompt in ("", "x" * 2001):
        with pytest.raises(ProviderBadInput):
            await images(wired).generate(ImageRequest(prompt), timeout_s=5)
        with pytest.raises(ProviderBadInput):
            await videos(wired).create(VideoRequest(prompt), timeout_s=5)
    assert wired.requests == []


@pytest.mark.parametrize("task_id", ["106916112212032", 106916112212032])
async def test_a_video_task_is_started_once(task_id: object, wired: Wired) -> None:
    """The id is a string however it was sent; model, length and resolution are stated."""
    wired.answer = httpx2.Response(200, json={"task_id": task_id, **_GOOD})
    assert await videos(wired).create(VideoRequest("a fox"), timeout_s=5) == "106916112212032"
    (request,) = wired.requests
    assert str(request.url) == f"{_URL}/v1/video_generation"
    expected = {"model": "MiniMax-Hailuo-2.3", "prompt": "a fox", "duration": 6, "resolution": "768P"}
    assert json.loads(request.content) == expected


async def test_a_video_begins_with_a_picture(wired: Wired) -> None:
    """The first frame goes along as a `data:` URL; nothing else of the request changes."""
    wired.answer = httpx2.Response(200, json={"task_id": "1", **_GOOD})
    await videos(wired).create(VideoRequest("여우", "data:image/png;base64,AAAA"), timeout_s=5)
    (request,) = wired.requests
    assert request.headers["content-type"] == "application/json"
    expected = {"model": "MiniMax-Hailuo-2.3", "prompt": "여우", "duration": 6, "resolution": "768P"}
    assert json.loads(request.content) == {**expected, "first_frame_image": "data:image/png;base64,AAAA"}


@pytest.mark.parametrize("task_id", [None, "", 0, True, []])
async def test_a_start_without_an_id_is_a_bad_answer(task_id: object, wired: Wired) -> None:
    """Success without an id can't be followed up."""
    wired.answer = httpx2.Response(200, json={"task_id": task_id, **_GOOD})
    with pytest.raises(ProviderBadAnswer):
        await videos(wired).create(VideoRequest("a fox"), timeout_s=5)


@pytest.mark.parametrize(
    ("word", "stage"),
    [
        ("Preparing", VideoStage.PREPARING),
        ("Queueing", VideoStage.QUEUED),
        ("Processing", VideoStage.PROCESSING),
        ("processing", VideoStage.PROCESSING),
        ("Success", VideoStage.SUCCEEDED),
        ("success", VideoStage.SUCCEEDED),
    ],
)
@pytest.mark.parametrize("file_id", ["176844028768320", 176844028768320])
async def test_a_poll_tells_the_stage(word: str, stage: VideoStage, file_id: object, wired: Wired) -> None:
    """Words are compared without case; the file id is a string, and only there once the video is."""
    wired.answer = httpx2.Response(200, json={"task_id": "1", "status": word, "file_id": file_id, **_GOOD})
    status = await videos(wired).poll("42", timeout_s=5)
    assert status == VideoStatus(stage, "176844028768320" if stage is VideoStage.SUCCEEDED else None)
    assert str(wired.requests[0].url) == f"{_URL}/v1/query/video_generation?task_id=42"


@pytest.mark.parametrize("word", ["Fail", "Failed", "failed", "Unknown", "unknown"])
@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, VideoTaskFailed), (1000, VideoTaskFailed), (1026, ProviderRefused), (1027, ProviderRefused)],
)
async def test_a_failed_task_is_final(word: str, code: int, expected: type[ProviderError], wired: Wired) -> None:
    """Whatever code stands beside it, a failed task can't be taken for a poll that may be repeated."""
    wired.answer = business(code, status=word, file_id="")
    with pytest.raises(ProviderError) as caught:
        await videos(wired).poll("42", timeout_s=5)
    assert type(caught.value) is expected
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "body", [{"status": "Success"}, {"status": "Success", "file_id": ""}, {"status": "Dancing"}, {"status": None}, {}]
)
async def test_a_poll_that_says_nothing_may_be_repeated(body: dict[str, Any], wired: Wired) -> None:
    """An unknown word or a success without a file is about this poll, not the task."""
    wired.answer = httpx2.Response(200, json={**body, **_GOOD})
    with pytest.raises(ProviderBadAnswer) as caught:
        await videos(wired).poll("42", timeout_s=5)
    assert caught.value.retryable


@pytest.mark.parametrize(("size", "expected"), [(5896337, 5896337), ("5896337", 5896337), (0, None), (None, None)])
async def test_a_file_has_a_link_and_maybe_a_size(size: object, expected: int | None, wired: Wired) -> None:
    """The link is passed on as it is; a size of 0 is unknown."""
    file = {"file_id": 176844028768320, "bytes": size, "download_url": "https://cdn.test/v.mp4?sig=1"}
    wired.answer = httpx2.Response(200, json={"file": file, **_GOOD})
    found = await videos(wired).retrieve("176844028768320", timeout_s=5)
    assert found == VideoFile("https://cdn.test/v.mp4?sig=1", expected)
    assert str(wired.requests[0].url) == f"{_URL}/v1/files/retrieve?file_id=176844028768320"


@pytest.mark.parametrize("link", [None, "", 7, "ftp://cdn.test/v.mp4", "file:///etc/passwd"])
async def test_a_link_that_is_none_is_a_bad_answer(link: object, wired: Wired) -> None:
    """Only web addresses are links."""
    wired.answer = httpx2.Response(200, json={"file": {"file_id": 1, "download_url": link}, **_GOOD})
    with pytest.raises(ProviderBadAnswer):
        await videos(wired).retrieve("1", timeout_s=5)


async def test_a_download_follows_redirects_and_never_carries_the_key(wired: Wired) -> None:
    """Relative and absolute redirects lead to the bytes; no host on the way sees the key."""
    hops = {"/v.mp4": "/next", "/next": "http://other.test/final"}

    def serve(request: httpx2.Request) -> httpx2.Response:
        if target := hops.get(request.url.path):
            return httpx2.Response(302, headers={"location": target})
        return httpx2.Response(200, content=b"video")

    wired.answer = serve
    assert await videos(wired).download("http://cdn.test/v.mp4", max_bytes=5, timeout_s=5) == b"video"
    assert [str(r.url) for r in wired.requests] == [
        "http://cdn.test/v.mp4",
        "http://cdn.test/next",
        "http://other.test/final",
    ]
    assert all(KEY not in str(r.headers.multi_items()) for r in wired.requests)


@pytest.mark.parametrize("location", ["/v.mp4", "file:///etc/passwd", "http://[bad", "http://", "ftp://x/y"])
async def test_a_redirect_to_nowhere_is_a_bad_answer(location: str, wired: Wired) -> None:
    """A circle ends after three hops, and only web addresses are followed."""
    wired.answer = lambda _: httpx2.Response(302, headers={"location": location})
    with pytest.raises(ProviderBadAnswer):
        await videos(wired).download("http://cdn.test/v.mp4", max_bytes=5, timeout_s=5)
    assert len(wired.requests) <= 4


async def test_a_file_that_is_too_large_is_not_downloaded(wired: Wired) -> None:
    """Too many bytes, announced or not, give None; exactly as many as allowed are fine."""

    async def unannounced() -> Any:
        for _ in range(3):
            yield b"xx"

    for answer in (httpx2.Response(200, content=b"x" * 6), httpx2.Response(200, content=unannounced())):
        wired.answer = answer
        assert await videos(wired).download("http://cdn.test/v.mp4", max_bytes=5, timeout_s=5) is None
    wired.answer = httpx2.Response(200, content=b"x" * 5)
    assert await videos(wired).download("http://cdn.test/v.mp4", max_bytes=5, timeout_s=5) == b"xxxxx"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, ProviderBadAnswer),
        (403, ProviderBadAnswer),
        (404, ProviderBadAnswer),
        (410, ProviderBadAnswer),
        (429, ProviderUnavailable),
        (503, ProviderUnavailable),
    ],
)
async def test_a_dead_link_says_nothing_of_the_key(status: int, expected: type[ProviderError], wired: Wired) -> None:
    """A storage host's 401, 403 or 429 must not take the key out of use: it was never shown the key."""
    wired.answer = httpx2.Response(status, headers={"retry-after": "3"})
    with pytest.raises(ProviderError) as caught:
        await videos(wired).download("http://cdn.test/v.mp4", max_bytes=5, timeout_s=5)
    assert type(caught.value) is expected


async def test_an_empty_file_is_a_bad_answer(wired: Wired) -> None:
    """No bytes are no video."""
    wired.answer = httpx2.Response(200, content=b"")
    with pytest.raises(ProviderBadAnswer):
        await videos(wired).download("http://cdn.test/v.mp4", max_bytes=5, timeout_s=5)
