"""The follow-up client: one edit, what Discord answers, what comes of it."""

from __future__ import annotations

import asyncio
import logging
import traceback

import httpx2
import pytest

from app.discord.replies import Attachment, Message
from app.discord.token_states import RESET_MARGIN_S
from app.errors import AnswerGone, AnswerRejected, DiscordError, DiscordUnavailable
from tests.unit.discord.conftest import MakeBench
from tests.unit.discord.scripted import APPLICATION, TOKEN, error, limited, ok


async def test_an_answer_is_one_patch_of_the_original_that_replaces_every_part(bench: MakeBench) -> None:
    """Content, embeds, components and files are all set, mentions are off, and the caller names itself."""
    b = await bench()
    assert await b.final("안녕 🌊")
    (call,) = b.discord.calls
    assert call.request.method == "PATCH"
    assert call.request.url.path == f"/api/v10/webhooks/{APPLICATION}/{TOKEN}/messages/@original"
    assert call.request.headers["User-Agent"].startswith("DiscordBot (https://")
    assert call.request.headers["Content-Type"] == "application/json"
    assert "authorization" not in call.request.headers
    assert "안녕 🌊".encode() in call.request.content
    assert call.json == {
        "content": "안녕 🌊",
        "embeds": [],
        "components": [],
        "attachments": [],
        "allowed_mentions": {"parse": []},
    }
    assert b.outcomes == ["ok"]


async def test_files_go_as_multipart_with_the_message_beside_them(bench: MakeBench) -> None:
    """`payload_json` is typed as JSON, each file is `files[n]`, and its id in the message is n."""
    b = await bench()
    picture = Attachment("그림.png", b"\x89PNG", "image/png", "a wave")
    assert await b.edit(Message("done", attachments=(picture, Attachment("a.md", b"# a", "text/markdown"))))
    (call,) = b.discord.calls
    body = call.request.content
    assert call.request.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    head, _, rest = body.partition(b'name="payload_json"\r\n')
    assert head.count(b"--") == 1
    assert rest.startswith(b"Content-Type: application/json\r\n\r\n{")
    assert '"attachments":[{"id":"0","filename":"그림.png","description":"a wave"}'.encode() in rest
    assert b'name="files[0]"; filename="' in rest
    assert b"Content-Type: image/png\r\n\r\n\x89PNG\r\n" in rest
    assert b'name="files[1]"; filename="a.md"\r\nContent-Type: text/markdown\r\n\r\n# a\r\n' in rest


@pytest.mark.parametrize("early", [error(404, 10015), error(404, 10062), error(404), httpx2.Response(404)])
async def test_an_early_404_passes(bench: MakeBench, early: httpx2.Response) -> None:
    """Symptom: "Unknown Webhook" right after the deferral. Cause: Discord has not processed it yet.
    Rule: try again, less and less often, while the interaction is younger than 15 s."""
    b = await bench(*[early] * 4)
    assert await b.final()
    assert b.discord.times == [0, 0.25, 0.75, 1.75, 3.75]
    assert b.client.invalid_responses == 0


async def test_a_404_that_stays_means_the_answer_is_gone(bench: MakeBench) -> None:
    """Fifteen seconds after receipt it is final; no more than a dozen calls were made."""
    b = await bench(*[error(404, 10015) for _ in range(40)])
    with pytest.raises(AnswerGone):
        await b.final()
    assert b.clock.elapsed == pytest.approx(15.0)
    assert len(b.discord.calls) <= 12


async def test_a_404_long_after_receipt_is_final_at_once(bench: MakeBench) -> None:
    """A video's answer after three minutes is tried once."""
    b = await bench(error(404, 10015), error(404, 10015))
    with pytest.raises(AnswerGone):
        await b.final(received_at=b.received_at - 180)
    assert len(b.discord.calls) == 1


async def test_a_receipt_in_the_future_does_not_stretch_the_early_404(bench: MakeBench) -> None:
    """Symptom: a dead message asked for over an hour. Cause: the receiving instance's clock was ahead of this one's.
    Rule: never longer than 15 s from now."""
    b = await bench(*[error(404, 10015) for _ in range(40)])
    with pytest.raises(AnswerGone):
        await b.final(received_at=b.received_at + 3600)
    assert b.clock.elapsed == pytest.approx(15.0)


@pytest.mark.parametrize(
    "settled",
    [error(404, 10008), error(401, 50027), error(401, 50014), httpx2.Response(401), error(404, 10003)],
)
async def test_a_deleted_message_or_dead_token_is_tried_once(bench: MakeBench, settled: httpx2.Response) -> None:
    """Not even a later edit for the same token makes another call."""
    b = await bench(settled)
    for _ in range(2):
        with pytest.raises(AnswerGone):
            await b.final()
    with pytest.raises(AnswerGone):
        await b.progress()
    assert len(b.discord.calls) == 1


@pytest.mark.parametrize(
    ("refusal", "too_large"),
    [
        (error(400, 50035), False),
        (error(400, 50006), False),
        (error(400, 200000), False),
        (error(403, 50013), False),
        (error(413, 40005), True),
        (error(400, 50045), True),
        (httpx2.Response(413, text="<html>too big</html>"), True),
    ],
)
async def test_refused_content_is_told_apart_by_size(
    bench: MakeBench, refusal: httpx2.Response, too_large: bool
) -> None:
    """The caller learns whether a smaller answer may pass, after one call, and may then send one."""
    b = await bench(refusal)
    with pytest.raises(AnswerRejected) as caught:
        await b.final()
    assert caught.value.too_large is too_large
    assert len(b.discord.calls) == 1
    assert await b.final("something simpler")


async def test_a_refusal_names_the_fields(bench: MakeBench) -> None:
    """The operator's log says which part of the message Discord did not like."""
    tree = {"embeds": {"0": {"title": {"_errors": [{"code": "X", "message": "Must be 256 or fewer in length."}]}}}}
    b = await bench(error(400, 50035, "Invalid Form Body", errors=tree))
    with pytest.raises(AnswerRejected, match=r"code 50035.*embeds\[0\]\.title: Must be 256 or fewer"):
        await b.final()


async def test_an_edge_that_blocks_the_caller_is_not_hammered(bench: MakeBench) -> None:
    """Cloudflare's 403 ends the try at once."""
    for blocked in (error(403, 40333), httpx2.Response(403, text="<html>blocked</html>")):
        b = await bench(blocked)
        with pytest.raises(DiscordUnavailable):
            await b.final()
        assert len(b.discord.calls) == 1


@pytest.mark.parametrize(
    "failure",
    [
        httpx2.Response(500),
        httpx2.Response(502, text="<html>"),
        error(503, 130000),
        httpx2.Response(408),
        httpx2.ConnectError("refused"),
        httpx2.ReadError("reset"),
        httpx2.RemoteProtocolError("cut"),
        httpx2.ReadTimeout("slow"),
    ],
)
async def test_failures_are_tried_again_with_growing_pauses(
    bench: MakeBench, failure: httpx2.Response | Exception
) -> None:
    """Half a second, doubled each time; the answer arrives."""
    b = await bench(*[failure] * 3)
    assert await b.final()
    assert b.discord.times == [0, 0.5, 1.5, 3.5]


async def test_pauses_are_jittered_by_the_injected_random(bench: MakeBench) -> None:
    """With the random source at zero each pause is half as long: instances don't retry in step."""
    b = await bench(httpx2.Response(500), httpx2.Response(500), random=lambda: 0.0)
    assert await b.final()
    assert b.discord.times == [0, 0.25, 0.75]


async def test_nothing_is_sent_after_the_deadline(bench: MakeBench) -> None:
    """With Discord down for good the last call is before `expires_at`, and the error says what was wrong."""
    b = await bench(*[httpx2.Response(500) for _ in range(500)])
    with pytest.raises(DiscordUnavailable, match="HTTP 500"):
        await b.final()
    assert 14 * 60 - 8 <= b.discord.times[-1] < 14 * 60


async def test_an_expired_answer_is_not_sent_at_all(bench: MakeBench) -> None:
    """A job that comes back after its token's life makes no call."""
    b = await bench()
    with pytest.raises(DiscordUnavailable):
        await b.final(expires_at=b.received_at)
    assert not await b.progress(expires_at=b.received_at - 1)
    assert b.discord.calls == []
    assert b.client.remembered_tokens == 0


async def test_a_call_that_hangs_is_cut_at_the_deadline(bench: MakeBench) -> None:
    """A response that never comes holds nobody longer than `expires_at`."""

    async def never() -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    b = await bench(never)
    b.clock.auto_advance = False
    with pytest.raises(DiscordUnavailable):
        await asyncio.wait_for(b.final(expires_at=b.received_at + 0.05), timeout=5)
    assert b.outcomes == ["timed_out"]


async def test_a_wall_clock_set_forward_changes_nothing_in_mid_call(bench: MakeBench) -> None:
    """An hour's jump while Discord is down neither ends the retries nor stretches them."""
    b = await bench(httpx2.Response(500), httpx2.Response(500))

    async def fail_and_jump() -> httpx2.Response:
        b.clock.jump(3600)
        return httpx2.Response(500)

    b.discord.answers[0] = fail_and_jump
    assert await b.final()
    assert b.discord.times == [0, 0.5, 1.5]


async def test_a_429_is_waited_out_to_the_fraction(bench: MakeBench) -> None:
    """The body's `retry_after` counts, not the header's whole seconds; nothing is sent before it ends."""
    b = await bench(limited(1.337), limited(0.25))
    assert await b.final()
    assert b.discord.times == [0, 1.337, 1.587]
    assert b.client.invalid_responses == 2


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({"Retry-After": "7"}, [0, 7, 14]), ({}, [0, 5, 15]), ({"Retry-After": "nan"}, [0, 5, 15])],
)
async def test_a_429_without_json_is_waited_out_too(
    bench: MakeBench, headers: dict[str, str], expected: list[float]
) -> None:
    """Cloudflare's own 429: its header if it has one, else five seconds and then ten."""
    b = await bench(*[httpx2.Response(429, text="<html>1015</html>", headers=headers) for _ in range(2)])
    assert await b.final()
    assert b.discord.times == expected


async def test_a_success_ends_the_growth_of_blind_waits(bench: MakeBench) -> None:
    """The next 429 without a wait costs five seconds again."""
    b = await bench(httpx2.Response(429), httpx2.Response(429), ok(), httpx2.Response(429))
    assert await b.final(token="one")
    assert await b.final(token="two")
    assert b.discord.times == [0, 5, 15, 15, 20]


async def test_a_wait_longer_than_the_token_lives_is_not_begun(bench: MakeBench) -> None:
    """Waiting would not help, so the caller is told at once."""
    b = await bench(limited(3600))
    with pytest.raises(DiscordUnavailable, match="HTTP 429"):
        await b.final()
    assert b.clock.elapsed == 0


async def test_a_429_stops_one_token_and_a_global_one_all(bench: MakeBench) -> None:
    """Another token goes on during the first, and waits during the second."""
    b = await bench(limited(10), ok(), limited(20, everywhere=True))
    first = asyncio.create_task(b.final("one", "token-1"))
    await asyncio.sleep(0)
    assert await b.final("two", "token-2")
    assert b.clock.elapsed < 10
    assert await first
    assert await b.final("three", "token-3")
    assert [call.token for call in b.discord.calls] == ["token-1", "token-2", "token-1", "token-1", "token-3"]
    assert b.discord.times == [0, 0, 10, 30, 30]


async def test_headers_are_obeyed_before_a_429_has_to_say_it(bench: MakeBench) -> None:
    """After the last permitted call the next waits for the reset."""
    b = await bench(ok(remaining=2, reset_after=2), ok(remaining=1, reset_after=1.75), ok(remaining=0, reset_after=1.5))
    assert await b.progress("1")
    assert await b.progress("2")
    assert await b.final("3")
    assert await b.final("4")
    assert b.discord.times == pytest.approx([0, 0, 0, 1.5 + RESET_MARGIN_S])


async def test_no_exception_or_log_line_shows_the_token(bench: MakeBench, caplog: pytest.LogCaptureFixture) -> None:
    """Not the HTTP client's log of each request, not a chained exception, not an error body that echoes it."""
    caplog.set_level(logging.DEBUG)
    echo = error(400, 50035, f"bad request to /webhooks/{APPLICATION}/{TOKEN}")
    for answer in (echo, error(401, 50027, TOKEN), httpx2.ConnectError(f"https://x/webhooks/1/{TOKEN}")):
        b = await bench(answer)
        with pytest.raises(DiscordError) as caught:
            await b.final(expires_at=b.received_at + 0.2)
        text = "".join(traceback.format_exception(caught.value))
        assert TOKEN not in text
        assert "secret-Part_1" not in text
        assert caught.value.__context__ is None
    assert any("HTTP Request: PATCH" in record.getMessage() for record in caplog.records)
    assert TOKEN not in caplog.text
    assert "secret-Part_1" not in caplog.text
