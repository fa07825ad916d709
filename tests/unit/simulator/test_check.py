"""The ledger and its judge: a clean run is clean, and every kind of violation turns the checker red."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest

from simulator.check import Report, check
from simulator.check_keys import KeyLimits
from simulator.config import Key, Limits, SimulatorConfig
from simulator.ledger import Ledger, read_ledger
from simulator.server import SimulatorServer
from simulator.wire import tls
from tests.unit.simulator.bot import Bot, Webhook


async def run(
    tmp_path: Path, play: Callable[[SimulatorServer, Bot, Webhook], Any], **config: Any
) -> tuple[Report, Path]:
    """Play a scene, close everything, and check the file that is left."""
    path = tmp_path / "ledger.jsonl"
    async with Bot() as bot, SimulatorServer(SimulatorConfig(seed=1, **config), ledger_path=path) as sim:
        webhook = Webhook(sim)
        async with webhook.http:
            await play(sim, bot, webhook)
    return check(read_ledger(path)), path


async def judge(path: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run the checker's command on a ledger."""
    command = [sys.executable, "-m", "simulator.check", str(path), *options]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)


async def good(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Three interactions answered as they should be; one final edit is repeated, which nobody can see."""
    for n in range(3):
        asked = await sim.discord.interact(bot.url, "채팅", {"질문": f"{n}"}, user_id=n + 1)
        for text in ("⏳ …", f"answer {n}", f"answer {n}"):
            await webhook.say(asked, text)


async def test_a_clean_run_is_clean(tmp_path: Path) -> None:
    """Nothing is found, and the command exits 0."""
    report, path = await run(tmp_path, good)
    assert report.ok and report.figures["answered"] == report.figures["interactions"] == 3
    done = await judge(path, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["ok"] is True


async def lost(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Deferred, and then never more than progress."""
    await webhook.say(await sim.discord.interact(bot.url, "채팅"), "⏳")


async def twice_by_follow_up(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """A second message after the answer."""
    asked = await sim.discord.interact(bot.url, "채팅")
    await webhook.follow_up(asked, "answer")
    await webhook.follow_up(asked, "answer")


async def twice_by_copies(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Two copies of one interaction, each answered at once."""
    bot.answer = lambda payload: {"type": 4, "data": {"content": "hello"}}
    await sim.discord.interact(bot.url, "채팅", copies=2)


LONG = "The beginning of an answer that is long enough to need more than one message, as this one does."


async def twice_by_another_answer(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Two workers answer, each as it should, in different words; the user sees the first change."""
    asked = await sim.discord.interact(bot.url, "채팅")
    await webhook.say(asked, "answer")
    await webhook.say(asked, "another answer")


async def twice_by_a_repeated_part(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """A part is posted again since nobody knows whether it arrived."""
    asked = await sim.discord.interact(bot.url, "채팅")
    await webhook.say(asked, LONG)
    for text in ("part 2", "part 2"):
        await webhook.follow_up(asked, text)


async def twice_by_a_fourth_message(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """An answer in four messages."""
    asked = await sim.discord.interact(bot.url, "채팅")
    await webhook.say(asked, LONG)
    for n in range(3):
        await webhook.follow_up(asked, f"part {n + 2}")


async def twice_by_posts(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Two different answers, both posted: no edit made the original final, so the second is no part of the first."""
    asked = await sim.discord.interact(bot.url, "채팅")
    for text in ("answer", "another answer"):
        await webhook.follow_up(asked, text)


async def twice_in_the_channel(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """A late answer is posted again without the nonce being enforced."""
    asked = await sim.discord.interact(bot.url, "비디오")
    await webhook.say(asked, "the video comes into the channel")
    for _ in range(2):
        await webhook.post(asked.channel_id, {"content": "the video", "nonce": asked.id})


async def foreign_ping(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """A model's mention of somebody that really notifies."""
    asked = await sim.discord.interact(bot.url, "채팅", user_id=5)
    await webhook.edit(asked, {"content": "<@5> <@6>", "allowed_mentions": {"users": ["5", "6"]}})


async def changed(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """A late progress notice over the answer."""
    asked = await sim.discord.interact(bot.url, "채팅")
    await webhook.say(asked, "answer")
    await webhook.say(asked, "⏳ 2번째")


async def deleted(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """The answer is taken away."""
    asked = await sim.discord.interact(bot.url, "채팅")
    await webhook.say(asked, "answer")
    await webhook.http.delete(webhook.url(asked))


async def late(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """No answer within the limit."""
    bot.silent = True
    await sim.discord.interact(bot.url, "채팅")


async def impatient(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """A call before `retry_after` has passed."""
    asked = await sim.discord.interact(bot.url, "채팅")
    sim.app.world.faults.add({"target": "discord", "kind": "429", "retry_after": 5, "count": 1})
    await webhook.say(asked, "answer")
    await webhook.say(asked, "answer")


async def expired(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Calls that go on after the token's end."""
    asked = await sim.discord.interact(bot.url, "채팅")
    await webhook.say(asked, "answer")
    while (await webhook.say(asked, "answer")).status_code != 401:
        pass


async def after_gone(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """A second try after 10008."""
    asked = await sim.discord.interact(bot.url, "채팅")
    sim.app.world.faults.add({"target": "discord", "kind": "10008", "count": 1})
    await webhook.say(asked, "answer")
    await webhook.say(asked, "answer")


async def mass_ping(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """A model's @everyone that really notifies."""
    asked = await sim.discord.interact(bot.url, "채팅")
    await webhook.edit(asked, {"content": "@everyone", "allowed_mentions": {"parse": ["everyone"]}})


async def invalid(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """More than a hundred calls with a token nobody knows."""
    asked = await sim.discord.interact(bot.url, "채팅")
    await webhook.say(asked, "answer")
    for _ in range(101):
        await webhook.http.patch(webhook.url(asked).replace(asked.token, "no"), json={"content": "x"})


async def over_budget(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Three pictures from a key of two a minute."""
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer k"}, verify=tls()) as http:
        for _ in range(3):
            form = {"prompt": (None, "x")}
            await http.post(f"{sim.stability_url}/v2beta/stable-image/generate/core", files=form)


KEY = Key("stability", "k", "set-1", Limits(rpm=2))
SCENES: list[tuple[Any, set[str], dict[str, Any]]] = [
    (lost, {"lost"}, {}),
    (twice_by_follow_up, {"twice"}, {}),
    (twice_by_copies, {"twice"}, {}),
    (twice_by_another_answer, {"twice", "changed_after_final"}, {}),
    (twice_by_a_repeated_part, {"twice"}, {}),
    (twice_by_a_fourth_message, {"twice"}, {}),
    (twice_by_posts, {"twice"}, {}),
    (twice_in_the_channel, {"twice"}, {}),
    (foreign_ping, {"foreign_pings"}, {}),
    (changed, {"changed_after_final"}, {}),
    (deleted, {"changed_after_final"}, {}),
    (late, {"late"}, {"ack_limit_s": 0.1}),
    (impatient, {"impatient"}, {}),
    (expired, {"expired"}, {"token_lifetime_s": 0.2, "webhook_burst": 9999, "webhook_minute": 9999}),
    (after_gone, {"after_gone"}, {}),
    (mass_ping, {"mass_pings"}, {}),
    (invalid, {"invalid_requests"}, {}),
    (over_budget, {"over_budget"}, {"keys": (KEY,)}),
]


@pytest.mark.parametrize(("scene", "expected", "config"), SCENES, ids=[scene.__name__ for scene, *_ in SCENES])
async def test_each_violation_turns_the_checker_red(
    tmp_path: Path, scene: Any, expected: set[str], config: dict[str, Any]
) -> None:
    """Exactly the violation that was played is found, and the command exits 1."""
    report, path = await run(tmp_path, scene, **config)
    assert set(report.violations()) == expected
    done = await judge(path)
    assert done.returncode == 1 and next(iter(expected)).encode() in done.stdout


async def test_the_ways_one_answer_may_take_are_clean(tmp_path: Path) -> None:
    """It may grow, go on in two parts, come whole in a file once a part is in doubt, or come late into the channel."""

    async def play(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
        long, late = [await sim.discord.interact(bot.url, "채팅", user_id=7) for _ in range(2)]
        for text in ("⏳ …", "The beginning ▌", LONG):
            await webhook.say(long, text)
        for n in (2, 3):
            await webhook.follow_up(long, f"part {n}")
        whole = {"content": LONG, "attachments": [{"id": "0", "filename": "answer.md"}]}
        for _ in range(2):
            await webhook.upload(long, whole, {"files[0]": ("answer.md", LONG.encode(), "text/markdown")})
        await webhook.say(late, "it comes into the channel")
        body = {"content": "<@7> here", "nonce": late.id, "enforce_nonce": True, "allowed_mentions": {"users": ["7"]}}
        for _ in range(2):
            await webhook.post(late.channel_id, body)

    report, _ = await run(tmp_path, play, webhook_burst=99)
    assert report.violations() == {}
    assert (report.figures["parts"], report.figures["late_answers"], report.figures["answered"]) == (2, 1, 2)


async def test_who_presses_a_button_may_have_the_answer_deleted(tmp_path: Path) -> None:
    """After a press under it, every message of the answer may go, by the answer's own token; none may change."""
    row = {"type": 1, "components": [{"type": 2, "style": 2, "label": "x", "custom_id": "delete"}]}

    async def play(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
        for last in (webhook.http.delete, partial(webhook.http.patch, json={"content": "changed"})):
            bot.answer = lambda payload: {"type": 5 if payload["type"] == 2 else 6}
            asked = await sim.discord.interact(bot.url, "채팅")
            await webhook.edit(asked, {"content": LONG, "components": [row]})
            part = (await webhook.follow_up(asked, f"part of {asked.id}")).json()["id"]
            pressed = await sim.discord.press(bot.url, asked, "delete")
            await last(webhook.url(asked, f"/messages/{part}"))
            await webhook.http.delete(webhook.url(pressed))

    report, _ = await run(tmp_path, play)
    assert {name: len(found) for name, found in report.violations().items()} == {"twice": 1, "changed_after_final": 1}


async def test_only_the_same_answer_may_be_put_whole_into_a_file(tmp_path: Path) -> None:
    """An edit of a final answer that begins otherwise is a second answer, whatever is attached."""

    async def play(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
        asked = await sim.discord.interact(bot.url, "채팅")
        await webhook.say(asked, LONG)
        whole = {"content": f"Other {LONG}", "attachments": [{"id": "0", "filename": "answer.md"}]}
        await webhook.upload(asked, whole, {"files[0]": ("answer.md", b"other", "text/markdown")})

    report, _ = await run(tmp_path, play)
    assert set(report.violations()) == {"twice", "changed_after_final"}


async def test_limits_given_replace_the_recorded_ones(tmp_path: Path) -> None:
    """A ledger without violations fails under a tighter budget, in flight as well as per minute."""
    _, path = await run(tmp_path, over_budget)
    assert check(read_ledger(path)).ok
    done = await judge(path, "--limit", "stability:rpm=2,rpd=5")
    assert done.returncode == 1 and b'"peak": 3' in done.stdout


async def test_a_refused_delivery_is_not_owed(tmp_path: Path) -> None:
    """What was never accepted can't be lost, but is counted."""

    async def refused(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
        bot.status = 503
        await sim.discord.interact(bot.url, "채팅")

    report, _ = await run(tmp_path, refused)
    assert report.ok and report.figures["counts"] == {"ack_failed: HTTP 503": 1}


async def test_events_are_on_disk_while_the_simulator_runs(tmp_path: Path) -> None:
    """A reader of the file sees each event soon after it happened, in order, with both clocks."""
    path = tmp_path / "ledger.jsonl"
    async with Bot() as bot, SimulatorServer(SimulatorConfig(seed=1), ledger_path=path) as sim:
        await sim.discord.interact(bot.url, "채팅")
        await sim.discord.ping(bot.url)
        events = read_ledger(path)
        assert [event["event"] for event in events][:3] == ["start", "sent", "acked"]
    numbers = [event["n"] for event in read_ledger(path)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(later["t"] >= earlier["t"] for earlier, later in pairwise(events))


def test_a_line_still_being_written_is_left_out(tmp_path: Path) -> None:
    """Reading never fails on a half line, and appending goes on where it was."""
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        ledger = Ledger(path)
        ledger.add("start")
        ledger.close()
    with path.open("a") as file:
        file.write('{"n": 3')
    assert len(read_ledger(path)) == 2


def test_newest_events_by_number() -> None:
    """`since` returns what came after a number, even when older events are forgotten."""
    ledger = Ledger(None, keep=10)
    for n in range(25):
        ledger.add("tick", value=n)
    assert [event["n"] for event in ledger.since(22)] == [23, 24, 25]
    assert [event["n"] for event in ledger.since(0, limit=2)] == [16, 17]
    assert ledger.since(25) == []


def test_a_restarted_simulator_goes_on_in_the_same_file() -> None:
    """Calls that were open when it ended don't count as in flight afterwards; lost interactions stay lost."""

    def call(n: int, t: float) -> dict[str, Any]:
        return {"n": n, "t": t, "event": "provider_call", "provider": "openai", "key": "k", "costly": True}

    events: list[dict[str, Any]] = [
        {"n": 1, "t": 0.0, "event": "start"},
        {"n": 2, "t": 1.0, "event": "sent", "interaction": "7"},
        {"n": 3, "t": 1.1, "event": "acked", "interaction": "7", "type": 5, "ms": 3.0},
        call(4, 2.0),
        {"n": 1, "t": 5.0, "event": "start"},
        call(4, 6.0),
        {"n": 5, "t": 7.0, "event": "provider_done", "provider": "openai", "key": "k", "costly": True, "call": 4},
    ]
    report = check(events, limits={"openai": KeyLimits(in_flight=1)})
    assert report.over_budget == [] and report.lost == ["7"]
    assert check(events, pending_s=60).ok
