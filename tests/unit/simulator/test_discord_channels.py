"""Messages the bot posts with its token: permissions, nonces, deletions and limits."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.config import SimulatorConfig
from simulator.discord_payloads import CHANNELS
from simulator.server import SimulatorServer
from tests.unit.simulator.bot import Bot, Webhook
from tests.unit.simulator.conftest import FAST

GUILD, DM, GROUP = CHANNELS["guild"], CHANNELS["dm"], CHANNELS["user_install"]


async def test_an_enforced_nonce_makes_a_repeated_post_harmless(
    sim: SimulatorServer, bot: Bot, webhook: Webhook
) -> None:
    """The same nonce brings back the message that is there; it is the interaction's late answer, and final."""
    asked = await sim.discord.interact(bot.url, "비디오", user_id=7)
    body = {"content": "<@7> done", "nonce": asked.id, "enforce_nonce": True, "allowed_mentions": {"users": ["7"]}}
    first, second = [(await webhook.post(GUILD, body)).json() for _ in range(2)]
    assert first["id"] == second["id"] and first["nonce"] == asked.id and first["mentions"][0]["id"] == "7"
    await asked.final(5)
    assert [(message.content, message.pings) for message in asked.late] == [("<@7> done", ["7"])]
    third = (await webhook.post(GUILD, {**body, "enforce_nonce": False})).json()
    assert third["id"] != first["id"]


async def test_a_nonce_is_forgotten_after_a_while(bot: Bot) -> None:
    """Once the minutes are over the same nonce makes a new message."""
    async with SimulatorServer(SimulatorConfig(seed=1, speed=FAST, nonce_s=0.0)) as sim:
        webhook = Webhook(sim)
        async with webhook.http:
            body = {"content": "x", "nonce": "n", "enforce_nonce": True}
            ids = {(await webhook.post(GUILD, body)).json()["id"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("channel", "app_permissions", "status", "code"),
    [
        (GUILD, 0, 403, 50001),
        (GUILD, 1 << 10, 403, 50013),
        (GUILD, 1 << 3, 200, None),
        (DM, 0, 200, None),
        (GROUP, 1 << 3, 403, 50001),
        ("123", None, 404, 10003),
    ],
)
async def test_the_bot_may_post_where_it_is_and_may(
    sim: SimulatorServer, bot: Bot, webhook: Webhook, channel: str, app_permissions: int | None, status: int,
    code: int | None,
) -> None:  # fmt: skip
    """Without seeing the channel 50001, without leave to write 50013; a direct message needs neither."""
    place = {DM: "dm", GROUP: "user_install"}.get(channel, "guild")
    await sim.discord.interact(bot.url, "채팅", place=place, app_permissions=app_permissions)
    posted = await webhook.post(channel, {"content": "x"})
    assert (posted.status_code, posted.json().get("code")) == (status, code)


async def test_files_need_leave_of_their_own(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Writing is allowed, attaching is not: 50013."""
    await sim.discord.interact(bot.url, "채팅", app_permissions=(1 << 10) | (1 << 11))
    headers = {"Authorization": f"Bot {sim.app.world.config.bot_token}"}
    form: dict[str, Any] = {
        "payload_json": (None, '{"content": "x"}', "application/json"),
        "files[0]": ("a.txt", b"text", "text/plain"),
    }
    refused = await webhook.http.post(webhook.channel_url(GUILD), files=form, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, 50013)
    assert (await webhook.post(GUILD, {"content": "x"})).status_code == 200


async def test_bodies_and_callers_that_are_refused(webhook: Webhook) -> None:
    """A wrong token is 401, an empty message 50006, a nonce of the wrong form 50035."""
    assert (await webhook.post(GUILD, {"content": "x"}, token="wrong")).status_code == 401
    assert (await webhook.post(GUILD, {"content": ""})).json()["code"] == 50006
    for nonce in (True, 1.5, "x" * 26):
        refused = await webhook.post(GUILD, {"content": "x", "nonce": nonce})
        assert (refused.status_code, refused.json()["code"]) == (400, 50035)


async def test_the_bot_takes_its_messages_away_and_others_only_with_leave(
    sim: SimulatorServer, bot: Bot, webhook: Webhook
) -> None:
    """204, then 10008; another's message needs Manage Messages; a private answer can't be reached this way."""
    posted = (await webhook.post(GUILD, {"content": "x"})).json()["id"]
    written = sim.discord.say("mine", user_id=7).id
    bot.answer = lambda payload: {"type": 4, "data": {"content": "secret", "flags": 64}}
    private = await sim.discord.interact(bot.url, "채팅")
    assert private.message is not None
    codes = [await webhook.take_away(GUILD, one) for one in (posted, posted, written, private.message.id)]
    assert [code.status_code for code in codes] == [204, 404, 403, 404]
    assert [code.json()["code"] for code in codes[1:]] == [10008, 50013, 10008]
    await sim.discord.interact(bot.url, "채팅", app_permissions=(1 << 10) | (1 << 13))
    assert (await webhook.take_away(GUILD, written)).status_code == 204


async def test_a_channel_has_a_limit_of_its_own(bot: Bot) -> None:
    """The sixth post has to wait and is told how long; another channel is free."""
    async with SimulatorServer(SimulatorConfig(seed=1, speed=FAST)) as sim:
        webhook = Webhook(sim)
        async with webhook.http:
            posts = [await webhook.post(GUILD, {"content": "x"}) for _ in range(6)]
            other = await webhook.post(DM, {"content": "x"})
    assert [post.headers["x-ratelimit-remaining"] for post in posts] == ["4", "3", "2", "1", "0", "0"]
    assert posts[5].status_code == 429 and 0 < posts[5].json()["retry_after"] <= 5 and other.status_code == 200


async def test_headers_tell_of_the_tighter_window(bot: Bot) -> None:
    """First the short window is the tight one, then the long one, whose reset is then told."""
    config = SimulatorConfig(seed=1, speed=FAST, webhook_burst=5, webhook_burst_s=0.001, webhook_minute=8)
    async with SimulatorServer(config) as sim:
        asked = await sim.discord.interact(bot.url, "채팅")
        webhook = Webhook(sim)
        async with webhook.http:
            calls = [await webhook.say(asked, f"⏳ {n}") for n in range(9)]
    limits = [call.headers["x-ratelimit-limit"] for call in calls]
    assert limits[0] == "5" and limits[-1] == "8" and calls[-1].status_code == 429
    assert float(calls[-1].headers["x-ratelimit-reset-after"]) > 50 < calls[-1].json()["retry_after"]


@pytest.mark.parametrize(("kind", "status"), [("50013", 403), ("50001", 403), ("50007", 403), ("10003", 404)])
async def test_channels_fail_on_request(sim: SimulatorServer, webhook: Webhook, kind: str, status: int) -> None:
    """Each code is answered as Discord does, for one call, and the ledger says it was asked for."""
    sim.app.world.faults.add({"target": "discord", "route": "channel", "kind": kind, "count": 1})
    failed = await webhook.post(GUILD, {"content": "x"})
    assert (failed.status_code, failed.json()["code"]) == (status, int(kind))
    assert sim.ledger.events[-1]["fault"] == kind
    assert (await webhook.post(GUILD, {"content": "x"})).status_code == 200
