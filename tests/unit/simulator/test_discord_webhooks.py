"""The webhook of an interaction token: what it takes, what it refuses, and when."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from simulator.config import SimulatorConfig
from simulator.discord_state import Interaction
from simulator.server import SimulatorServer
from tests.unit.simulator.bot import Bot, Webhook


@pytest.fixture
def config() -> SimulatorConfig:
    """Without a rate limit, but for the tests that are about it."""
    return SimulatorConfig(seed=1, webhook_burst=1000, webhook_minute=1000, attachment_size_limit=1000)


@pytest.fixture
async def asked(sim: SimulatorServer, bot: Bot) -> Interaction:
    """A deferred interaction."""
    return await sim.discord.interact(bot.url, "채팅", {"질문": "안녕"}, user_id=12345)


async def test_progress_edits_lead_to_one_final_message(webhook: Webhook, asked: Interaction) -> None:
    """The user sees one message, whose history holds every state; the first without the mark is final."""
    assert asked.state == "deferred" and asked.message is not None and asked.message.thinking
    for text in ("⏳ 1번째", "⏳ 쓰는 중", "다 됐어요"):
        assert (await webhook.say(asked, text)).status_code == 200
    await asked.final(5)
    assert [(e.content, e.final) for e in asked.message.history] == [
        ("⏳ 1번째", False),
        ("⏳ 쓰는 중", False),
        ("다 됐어요", True),
    ]
    assert asked.messages == [asked.message]


async def test_final_times_out_with_what_the_user_sees(webhook: Webhook, asked: Interaction) -> None:
    """Waiting for an outcome that never comes names the state and the text."""
    await webhook.say(asked, "⏳ still")
    with pytest.raises(TimeoutError, match="still"):
        await asked.final(0.05)


async def test_a_message_can_be_read_deleted_and_is_then_unknown(webhook: Webhook, asked: Interaction) -> None:
    """After a deletion the message is 404/10008 for good."""
    await webhook.say(asked, "hello")
    assert (await webhook.http.get(webhook.url(asked))).json()["content"] == "hello"
    assert (await webhook.http.delete(webhook.url(asked))).status_code == 204
    gone = await webhook.say(asked, "again")
    assert (gone.status_code, gone.json()["code"]) == (404, 10008)
    assert asked.message is None


async def test_the_first_follow_up_edits_the_deferred_message(webhook: Webhook, asked: Interaction) -> None:
    """Deprecated but real: POST right after a defer is an edit; the next POST is a message of its own."""
    first = (await webhook.follow_up(asked, "one")).json()
    second = (await webhook.follow_up(asked, "two")).json()
    assert asked.message is not None and first["id"] == asked.message.id != second["id"]
    edited = await webhook.http.patch(webhook.url(asked, f"/messages/{second['id']}"), json={"content": "2"})
    assert edited.json()["content"] == "2" and [m.content for m in asked.messages] == ["one", "2"]


async def test_files_arrive_with_their_bytes_and_stay_only_if_listed(webhook: Webhook, asked: Interaction) -> None:
    """`attachments` lists what is new and what stays; an embed may show an uploaded file."""
    body = {
        "content": "picture",
        "attachments": [{"id": "0", "filename": "a.png", "description": "alt"}],
        "embeds": [{"image": {"url": "attachment://a.png"}}],
    }
    files = {"files[0]": ("a.png", b"\x89PNG\r\n\r\n--x", "image/png")}
    sent = (await webhook.upload(asked, body, files)).json()
    assert asked.message is not None and asked.message.attachments[0].data == b"\x89PNG\r\n\r\n--x"
    assert sent["attachments"][0]["description"] == "alt"
    assert sent["embeds"][0]["image"]["url"] == sent["attachments"][0]["url"]
    assert (await webhook.http.get(sent["attachments"][0]["url"])).content == b"\x89PNG\r\n\r\n--x"
    kept = {"attachments": [{"id": sent["attachments"][0]["id"]}, {"id": "0", "filename": "b.txt"}]}
    await webhook.upload(asked, kept, {"files[0]": ("b.txt", b"text", "text/plain")})
    assert [a.filename for a in asked.message.attachments] == ["a.png", "b.txt"]
    await webhook.edit(asked, {"attachments": []})
    assert asked.message.attachments == []


REFUSED: list[tuple[str, dict[str, Any], int]] = [
    ("content too long", {"content": "x" * 2001}, 50035),
    ("content of the wrong type", {"content": 5}, 50035),
    ("eleven embeds", {"embeds": [{"title": "x"}] * 11}, 50035),
    ("embed title too long", {"embeds": [{"title": "x" * 257}]}, 50035),
    ("embed text over all", {"embeds": [{"description": "x" * 3001}, {"description": "x" * 3000}]}, 50035),
    ("embed field without a value", {"embeds": [{"fields": [{"name": "x"}]}]}, 50035),
    ("unknown mention kind", {"content": "x", "allowed_mentions": {"parse": ["all"]}}, 50035),
    ("a file that was not uploaded", {"content": "x", "attachments": [{"id": "0"}]}, 50035),
    ("nothing at all", {"content": ""}, 50006),
    ("a button outside a row", {"content": "x", "components": [{"type": 2, "style": 1, "label": "x"}]}, 50035),
    ("a button without a custom id", {"content": "x", "components": [
        {"type": 1, "components": [{"type": 2, "style": 1, "label": "x"}]}]}, 50035),
    ("the same custom id twice", {"content": "x", "components": [
        {"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "a"}] * 2}]}, 50035),
    ("a flag that can't be edited", {"content": "x", "flags": 1 << 12}, 50035),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "body", "code"), REFUSED, ids=[name for name, *_ in REFUSED])
async def test_what_discord_refuses_is_refused(
    webhook: Webhook, asked: Interaction, _name: str, body: dict[str, Any], code: int
) -> None:
    """The answer is 400 with the real code, a form's faults stand in a tree, and the user sees no change."""
    answer = await webhook.edit(asked, body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (code != 50035) or answer.json()["errors"]
    assert asked.message is not None and asked.message.thinking


async def test_bodies_that_are_no_message(webhook: Webhook, asked: Interaction) -> None:
    """Broken JSON is 50109, an unknown type or form field 50035."""
    url, json_type = webhook.url(asked), {"Content-Type": "application/json"}
    broken = await webhook.http.patch(url, content=b"{", headers=json_type)
    assert (broken.status_code, broken.json()["code"]) == (400, 50109)
    text = await webhook.http.patch(url, content=b"hi", headers={"Content-Type": "text/plain"})
    assert (text.status_code, text.json()["code"]) == (400, 50035)
    odd = await webhook.upload(asked, {"content": "x"}, {"file": ("a", b"a", "text/plain")})
    assert (odd.status_code, odd.json()["code"]) == (400, 50035)


async def test_size_limits(webhook: Webhook, asked: Interaction) -> None:
    """One byte over the interaction's limit is 413/40005; ten files pass, the eleventh is not a known field."""
    limit = webhook.sim.app.world.config.attachment_size_limit
    body = {"content": "x", "attachments": [{"id": "0", "filename": "a"}]}
    big = await webhook.upload(asked, body, {"files[0]": ("a", b"x" * (limit + 1), "text/plain")})
    assert (big.status_code, big.json()["code"]) == (413, 40005)
    fits = await webhook.upload(asked, body, {"files[0]": ("a", b"x" * limit, "text/plain")})
    assert fits.status_code == 200
    ten = {f"files[{n}]": (f"{n}.txt", b"x", "text/plain") for n in range(10)}
    assert (await webhook.upload(asked, {"content": "x", "attachments": []}, ten)).status_code == 200
    eleven = {**ten, "files[10]": ("10.txt", b"x", "text/plain")}
    assert (await webhook.upload(asked, {"content": "x"}, eleven)).status_code == 400


async def test_a_caller_without_a_proper_user_agent_is_blocked(webhook: Webhook, asked: Interaction) -> None:
    """Cloudflare stands before Discord: 403/40333."""
    answer = await webhook.edit(asked, {"content": "x"}, headers={"User-Agent": "python-httpx"})
    assert (answer.status_code, answer.json()["code"]) == (403, 40333)


async def test_unknown_tokens_and_applications(webhook: Webhook, asked: Interaction) -> None:
    """A made-up token is 401/50027, another application's id 404/10015."""
    made_up = await webhook.http.patch(webhook.url(asked).replace(asked.token, "nonsense"), json={"content": "x"})
    assert (made_up.status_code, made_up.json()["code"]) == (401, 50027)
    other = await webhook.http.patch(
        webhook.url(asked).replace(asked.payload["application_id"], "1"), json={"content": "x"}
    )
    assert (other.status_code, other.json()["code"]) == (404, 10015)


async def test_mentions_follow_what_the_message_allows(webhook: Webhook, asked: Interaction) -> None:
    """The default notifies users only; `parse: []` nobody, `everyone` everyone."""
    assert asked.message is not None
    for allowed, expected in ((None, ["7"]), ({"parse": []}, []), ({"parse": ["everyone"]}, ["everyone"])):
        await webhook.edit(asked, {"content": "@everyone <@7>", **({"allowed_mentions": allowed} if allowed else {})})
        assert asked.message.pings == expected


async def test_only_five_follow_ups_where_the_app_is_only_user_installed(sim: SimulatorServer, bot: Bot) -> None:
    """The sixth follow-up is 400/40094."""
    asked = await sim.discord.interact(bot.url, "채팅", place="user_install")
    webhook = Webhook(sim)
    async with webhook.http:
        await webhook.say(asked, "answer")
        statuses = [(await webhook.follow_up(asked, str(n))).status_code for n in range(6)]
        last = await webhook.follow_up(asked, "more")
    assert statuses == [200] * 5 + [400] and last.json()["code"] == 40094


async def test_the_race_after_the_defer_ends_by_itself(bot: Bot, config: SimulatorConfig) -> None:
    """For `race_s` after the defer the webhook is unknown (404/10015), then the same call succeeds."""
    async with SimulatorServer(dataclasses.replace(config, race_s=0.2)) as sim:
        asked = await sim.discord.interact(bot.url, "채팅")
        webhook = Webhook(sim)
        codes: list[int] = []
        async with webhook.http, asyncio.timeout(10):
            while (answer := await webhook.say(asked, "hello")).status_code != 200:
                codes.append(answer.json()["code"])
        assert codes and set(codes) == {10015}
        assert asked.final_t is not None and asked.acked_t is not None and asked.final_t - asked.acked_t >= 0.2


async def test_a_token_dies_at_its_age(bot: Bot, config: SimulatorConfig) -> None:
    """After the lifetime every call is 401/50027, and nothing changes any more."""
    async with SimulatorServer(dataclasses.replace(config, token_lifetime_s=0.2)) as sim:
        asked = await sim.discord.interact(bot.url, "채팅")
        webhook = Webhook(sim)
        async with webhook.http, asyncio.timeout(10):
            while (answer := await webhook.say(asked, "⏳")).status_code == 200:
                pass
        assert (answer.status_code, answer.json()["code"]) == (401, 50027)
        assert asked.message is not None and asked.message.content == "⏳"


async def test_the_sixth_call_in_two_seconds_has_to_wait(bot: Bot) -> None:
    """Headers count down, 429 names the seconds in body and headers, and the limit is the token's own."""
    async with SimulatorServer(SimulatorConfig(seed=1, webhook_burst_s=0.5)) as sim:
        asked, other = [await sim.discord.interact(bot.url, "채팅") for _ in range(2)]
        webhook = Webhook(sim)
        async with webhook.http, asyncio.timeout(10):
            left = [(await webhook.say(asked, f"⏳ {n}")).headers["x-ratelimit-remaining"] for n in range(5)]
            refused = await webhook.say(asked, "⏳ 6")
            assert left == ["4", "3", "2", "1", "0"]
            assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
            assert 0 < refused.json()["retry_after"] <= 0.5 and refused.json()["global"] is False
            assert (await webhook.say(other, "free")).status_code == 200
            while (await webhook.say(asked, "done")).status_code == 429:
                pass
        assert asked.message is not None and asked.message.content == "done"


async def test_too_many_invalid_requests_ban_the_address(bot: Bot) -> None:
    """401, 403 and 429 are counted over all callers; at the limit everything is 429 without JSON."""
    async with SimulatorServer(SimulatorConfig(seed=1, invalid_request_limit=3)) as sim:
        asked = await sim.discord.interact(bot.url, "채팅")
        webhook = Webhook(sim)
        async with webhook.http:
            for _ in range(3):
                await webhook.http.patch(webhook.url(asked).replace(asked.token, "no"), json={"content": "x"})
            banned = await webhook.say(asked, "x")
        assert banned.status_code == 429 and "json" not in banned.headers["content-type"]


async def test_old_interactions_are_forgotten_only_once_their_tokens_are_dead(bot: Bot) -> None:
    """Beyond `keep` a living interaction stays usable; a dead one is gone, and its token still 401/50027."""
    config = SimulatorConfig(seed=1, keep_interactions=2, token_lifetime_s=0.4, webhook_burst=999, webhook_minute=999)
    async with SimulatorServer(config) as sim:
        first = await sim.discord.interact(bot.url, "채팅")
        webhook = Webhook(sim)
        async with webhook.http, asyncio.timeout(10):
            for _ in range(3):
                await sim.discord.interact(bot.url, "채팅")
            assert (await webhook.say(first, "⏳")).status_code == 200
            while (await webhook.say(first, "⏳")).status_code == 200:
                pass
            await sim.discord.interact(bot.url, "채팅")
            assert first.id not in sim.app.discord.memory.interactions
            gone = await webhook.say(first, "late")
        assert (gone.status_code, gone.json()["code"]) == (401, 50027)
        assert sim.ledger.events[-1]["interaction"] == first.id


async def test_a_fault_may_spare_progress(sim: SimulatorServer, webhook: Webhook, asked: Interaction) -> None:
    """With `final` only the call that would bring the outcome suffers it, whatever form it has."""
    sim.app.world.faults.add({"target": "discord", "route": "webhook", "kind": "503", "final": True, "count": 2})
    file = {"files[0]": ("a.txt", b"text", "text/plain")}
    statuses = [
        (await webhook.say(asked, "⏳ …")).status_code,
        (await webhook.say(asked, "the beginning ▌")).status_code,
        (await webhook.say(asked, "the end")).status_code,
        (await webhook.upload(asked, {"content": "the end"}, file)).status_code,
        (await webhook.say(asked, "the end")).status_code,
    ]
    assert statuses == [200, 200, 503, 503, 200]
