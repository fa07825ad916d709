"""What the playground lives on: the stream of events, single faults, and the way to an operator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from simulator.client import ControlClient
from simulator.config import SimulatorConfig
from simulator.control_events import LONGEST_QUEUE, EventFeed
from simulator.server import SimulatorServer
from simulator.wire import tls
from simulator.world import World
from tests.kit.running import serving
from tests.kit.waiting import wait_until
from tests.unit.simulator.bot import Bot, Webhook

HEADERS = {"X-Control-Token": "let-me-in"}


@pytest.fixture
def config(config: SimulatorConfig) -> SimulatorConfig:
    """With a control token."""
    return SimulatorConfig(seed=1, control_token="let-me-in", speed=config.speed)


@asynccontextmanager
async def listening(sim: SimulatorServer) -> AsyncIterator[list[tuple[str, Any]]]:
    """Read `/control/events` meanwhile; yields the list that (name, data) are added to."""
    heard: list[tuple[str, Any]] = []

    async def read() -> None:
        async with (
            httpx2.AsyncClient(headers=HEADERS, verify=tls(), timeout=30) as http,
            http.stream("GET", f"{sim.url}/control/events") as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            name = ""
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    heard.append((name, json.loads(line.removeprefix("data: "))))

    task = asyncio.create_task(read())
    try:
        await wait_until(lambda: bool(heard), 5, "the stream begins")
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def shown(heard: list[tuple[str, Any]]) -> list[Any]:
    """The interactions that were told, in order."""
    return [data for name, data in heard if name == "interaction"]


async def test_a_reader_sees_each_change_and_no_token(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Thinking, progress, answer: each comes with the ledger's line for it, and nothing secret."""
    async with listening(sim) as heard, ControlClient(sim.url, "let-me-in") as control:
        sent = await control.interact(bot.url, "채팅", {"질문": "안녕"}, user_id=7)
        interaction = sim.app.discord.memory.interactions[sent["id"]]
        for text in ("⏳", "hel ▌", "hello"):
            await webhook.say(interaction, text)
            await wait_until(lambda now=text: shown(heard)[-1]["message"]["content"] == now, 5, "the edit is told")  # type: ignore[misc]
        assert shown(heard)[-1]["final"]
        told = json.dumps(heard)
        assert interaction.token not in told and "let-me-in" not in told
        assert [data["event"] for name, data in heard if name == "ledger"] == ["sent", "acked"] + ["webhook"] * 3


async def test_a_press_tells_of_the_message_it_changed(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """The message belongs to another interaction, and that one is told, too."""
    row = {"type": 1, "components": [{"type": 2, "style": 2, "label": "x", "custom_id": "x:1"}]}
    async with listening(sim) as heard, ControlClient(sim.url, "let-me-in") as control:
        first = await control.interact(bot.url, "채팅", {"질문": "안녕"}, user_id=7)
        interaction = sim.app.discord.memory.interactions[first["id"]]
        assert (await webhook.edit(interaction, {"content": "press me", "components": [row]})).status_code == 200
        bot.answer = lambda payload: {"type": 7, "data": {"content": "pressed"}}
        before = len(heard)
        await sim.discord.press(bot.url, interaction, "x:1")

        def told() -> list[Any]:
            owned = [one for one in shown(heard[before:]) if one["id"] == first["id"]]
            return [one["message"]["content"] for one in owned]

        await wait_until(lambda: "pressed" in told(), 5, "the pressed one is told")


async def test_ones_own_messages_and_faults_are_told(sim: SimulatorServer) -> None:
    """A fault can be taken away alone; a user's message is no interaction, but is told as well."""
    async with listening(sim) as heard, httpx2.AsyncClient(headers=HEADERS, verify=tls()) as http:
        added = []
        for target in ("openai", "stability"):
            answer = await http.post(f"{sim.url}/control/faults", json={"target": target, "kind": "503"})
            added.append(answer.json()["id"])
        await http.delete(f"{sim.url}/control/faults/{added[0]}")
        await http.post(f"{sim.url}/control/messages", json={"content": "hi", "user_id": "7"})
        await wait_until(lambda: any(name == "message" for name, _ in heard), 5, "the message is told")
        assert [data["content"] for name, data in heard if name == "message"] == ["hi"]
        rules = [data for name, data in heard if name == "faults"]
        assert rules[0] == [] and [rule["target"] for rule in rules[-1]] == ["stability"]


async def test_who_reads_too_slowly_is_told_so() -> None:
    """More events than the queue holds: the reader learns that something is missing, and nothing piles up."""
    world = World(SimulatorConfig(seed=1))
    feed = EventFeed(world, lambda _: None)
    reader = feed.read()
    assert "event: faults" in await anext(reader)
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)  # the reader stands at its queue
    for _ in range(LONGEST_QUEUE * 2):
        world.ledger.add("probe")
    pieces = [await waiting]
    while not any("event: lost" in piece for piece in pieces):
        pieces.append(await anext(reader))
    assert LONGEST_QUEUE <= len(pieces) <= LONGEST_QUEUE + 2
    await reader.aclose()  # type: ignore[attr-defined]
    world.ledger.close()


async def test_the_events_are_guarded(sim: SimulatorServer) -> None:
    """Without the token: 401."""
    async with httpx2.AsyncClient(verify=tls()) as http:
        for path in ("events", "operator"):
            assert (await http.get(f"{sim.url}/control/{path}")).status_code == 401


async def test_without_an_operator_the_switches_say_so(sim: SimulatorServer) -> None:
    """A simulator started alone operates nothing."""
    async with httpx2.AsyncClient(headers=HEADERS, verify=tls()) as http:
        answer = await http.get(f"{sim.url}/control/operator")
        assert answer.status_code == 503 and "without an operator" in answer.json()["error"]


async def test_wishes_are_handed_to_the_operator_with_its_token() -> None:
    """The operator sees its own token and the wish; what it refuses is the asker's 400."""
    seen: list[tuple[str, str, Any]] = []

    async def operator(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        body = (await receive())["body"]
        wish = json.loads(body) if body else None
        seen.append((scope["method"], dict(scope["headers"])[b"authorization"].decode(), wish))
        refused = wish is not None and wish["act"] == "dance"
        reply: dict[str, Any] = {"error": "act must be one of kill, off, on"} if refused else {"instances": []}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 400 if refused else 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(reply).encode()})

    async with serving(operator) as url:
        config = SimulatorConfig(seed=1, operator_url=url, operator_token="between-us")
        async with SimulatorServer(config) as sim, httpx2.AsyncClient(verify=tls()) as http:
            assert (await http.get(f"{sim.url}/control/operator")).json() == {"instances": []}
            killed = await http.post(f"{sim.url}/control/operator", json={"act": "kill", "instance": 2})
            danced = await http.post(f"{sim.url}/control/operator", json={"act": "dance"})
    assert killed.status_code == 200 and danced.status_code == 400 and "one of kill" in danced.json()["error"]
    assert seen == [
        ("GET", "Bearer between-us", None),
        ("POST", "Bearer between-us", {"act": "kill", "instance": 2}),
        ("POST", "Bearer between-us", {"act": "dance"}),
    ]


async def test_the_page_comes_with_its_own_files_only(sim: SimulatorServer) -> None:
    """Every module and style the page asks for is there, under a policy without inline code; nothing else is."""
    async with httpx2.AsyncClient(base_url=sim.url, verify=tls()) as http:
        page = await http.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        for name in ("main.js", "layout.css", "quartet.svg"):
            assert f"/playground/{name}" in page.text
            assert (await http.get(f"/playground/{name}")).status_code == 200
        for name in ("..%2fcontrol.py", "control.py", "missing.js", "index.html.bak"):
            assert (await http.get(f"/playground/{name}")).status_code == 404
