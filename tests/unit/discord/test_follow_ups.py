"""Further messages and deletions: posted at most once, deleted at least once, within the limits of the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from app.discord.token_states import RESET_MARGIN_S
from app.errors import AnswerGone, AnswerRejected, DeliveryUnknown, DiscordUnavailable
from tests.unit.discord.conftest import Bench, MakeBench
from tests.unit.discord.scripted import API_URL, APPLICATION, TOKEN, error, limited, ok

POST_URL = f"{API_URL}/webhooks/{APPLICATION}/{TOKEN}"


def asked(b: Bench) -> list[tuple[str, str]]:
    """Return what Discord was asked: method and the path below the token."""
    return [(call.request.method, str(call.request.url).removeprefix(POST_URL).lstrip("/")) for call in b.discord.calls]


async def test_a_part_is_posted_and_its_id_returned(bench: MakeBench) -> None:
    """It can ping nobody, and replaces nothing."""
    b = await bench(httpx2.Response(200, json={"id": "77"}))
    assert await b.post("@everyone") == "77"
    assert asked(b) == [("POST", "")]
    assert b.discord.calls[0].json == {"content": "@everyone", "allowed_mentions": {"parse": []}}


@pytest.mark.parametrize(("flags", "posted"), [(64, 64), (0, None)])
async def test_a_part_is_as_private_as_the_answer(bench: MakeBench, flags: int, posted: int | None) -> None:
    """What Discord says of the original decides; preferences may have changed since."""
    b = await bench(httpx2.Response(200, json={"id": "1", "flags": flags}))
    assert await b.final()
    await b.post()
    assert b.discord.calls[1].json.get("flags") == posted


@pytest.mark.parametrize(
    "refusal", [limited(2.0), error(404, 10015), httpx2.ConnectError("refused"), httpx2.ConnectTimeout("slow")]
)
async def test_a_part_that_can_not_have_been_made_is_posted_again(
    bench: MakeBench, refusal: httpx2.Response | Exception
) -> None:
    """A limit, a webhook that is not there yet, no connection: Discord has made nothing."""
    b = await bench(refusal)
    assert await b.post() == "1"
    assert len(b.discord.calls) == 2


@pytest.mark.parametrize(
    "loss", [httpx2.ReadTimeout("slow"), httpx2.ReadError("cut"), httpx2.Response(500), httpx2.Response(503)]
)
async def test_a_part_that_may_have_been_made_is_never_posted_again(
    bench: MakeBench, loss: httpx2.Response | Exception
) -> None:
    """Symptom to prevent: the same part twice. Whoever asked is told that nobody knows."""
    b = await bench(loss)
    with pytest.raises(DeliveryUnknown):
        await b.post()
    assert len(b.discord.calls) == 1


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (error(400, 50035), AnswerRejected),
        (error(400, 40094), AnswerRejected),
        (error(401, 50027), AnswerGone),
        (httpx2.Response(403), DiscordUnavailable),
    ],
)
async def test_a_part_discord_refuses_is_not_repeated(
    bench: MakeBench, refusal: httpx2.Response, expected: type[Exception]
) -> None:
    """Content, the number of follow-ups, a dead token, a blocked address: each is said once."""
    b = await bench(refusal)
    with pytest.raises(expected):
        await b.post()
    assert len(b.discord.calls) == 1


async def test_a_part_waits_for_the_limit_of_the_answer(bench: MakeBench) -> None:
    """Posts and edits share the token's limit."""
    b = await bench(ok(remaining=0, reset_after=3))
    assert await b.final()
    await b.post()
    assert b.discord.times == pytest.approx([0, 3 + RESET_MARGIN_S])


async def test_whether_an_answer_is_private_is_asked_each_time(bench: MakeBench) -> None:
    """A deleted original is heard of, too."""
    b = await bench(
        httpx2.Response(200, json={"flags": 64}), httpx2.Response(200, json={"flags": 0}), error(404, 10008)
    )
    times = {"received_at": b.received_at, "expires_at": b.expires_at}
    assert await b.client.is_private(TOKEN, **times)
    assert not await b.client.is_private(TOKEN, **times)
    with pytest.raises(AnswerGone):
        await b.client.is_private(TOKEN, **times)
    assert asked(b) == [("GET", "messages/@original")] * 3


Delete = Callable[[Bench], Awaitable[None]]
DELETIONS: list[tuple[Delete, str]] = [
    (lambda b: b.client.delete_original(TOKEN), "messages/@original"),
    (lambda b: b.client.delete_message(TOKEN, "77"), "messages/77"),
]


@pytest.mark.parametrize(("delete", "path"), DELETIONS)
async def test_a_deletion_is_repeated_until_it_is_done(bench: MakeBench, delete: Delete, path: str) -> None:
    """A webhook not there yet, a limit, a failure: it goes on, and an empty 204 is the end."""
    failures = [error(404, 10015), limited(1.0), httpx2.Response(502), httpx2.ReadError("cut")]
    b = await bench(*failures, httpx2.Response(204))
    await delete(b)
    assert asked(b) == [("DELETE", path)] * 5
    assert b.client.open_tokens == 0


@pytest.mark.parametrize(("delete", "path"), DELETIONS)
async def test_what_is_gone_already_counts_as_deleted(bench: MakeBench, delete: Delete, path: str) -> None:
    """10008 after a repeated deletion, or because a moderator was faster; other messages can still be deleted."""
    b = await bench(error(404, 10008))
    await delete(b)
    await b.client.delete_message(TOKEN, "78")
    assert asked(b) == [("DELETE", path), ("DELETE", "messages/78")]


async def test_a_dead_token_deletes_nothing(bench: MakeBench) -> None:
    """The caller hears of it and tells the user."""
    b = await bench(error(401, 50027))
    with pytest.raises(AnswerGone):
        await b.client.delete_original(TOKEN)


async def test_a_deletion_is_given_up_in_time(bench: MakeBench) -> None:
    """Discord is down: after `within_s` seconds the caller hears of it, and no secret stands in what it hears."""
    b = await bench(*[httpx2.Response(503)] * 100)
    with pytest.raises(DiscordUnavailable) as caught:
        await b.client.delete_message(TOKEN, "77", within_s=20)
    assert b.clock.elapsed <= 20
    assert TOKEN not in str(caught.value)


async def test_an_id_can_not_lead_elsewhere(bench: MakeBench) -> None:
    """An id that came from outside stays one path segment."""
    b = await bench()
    await b.client.delete_message(TOKEN, "../../x")
    assert b.discord.calls[0].request.url.raw_path.endswith(b"/messages/..%2F..%2Fx")
