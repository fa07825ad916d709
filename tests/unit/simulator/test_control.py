"""The control API from another process's view, the page, and the command line."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from simulator.client import ControlClient, ControlError
from simulator.config import SimulatorConfig
from simulator.faults import FaultBook
from simulator.server import SimulatorServer
from simulator.wire import tls
from tests.unit.simulator.bot import Bot, Webhook


@pytest.fixture
def config(config: SimulatorConfig) -> SimulatorConfig:
    """With a control token."""
    return SimulatorConfig(seed=1, control_token="let-me-in", speed=config.speed)


async def test_a_whole_conversation_over_http(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Send, wait, read: what another process sees is what the user sees, and no token is shown."""
    async with ControlClient(sim.url, "let-me-in") as control:
        picture = {"filename": "a.png", "content_type": "image/png", "data": base64.b64encode(b"png").decode()}
        sent = await control.interact(bot.url, "채팅", {"질문": "안녕"}, user_id=7, attachments={"그림": picture})
        assert sent["state"] == "deferred" and sent["ack"]["type"] == 5 and sent["message"]["thinking"]
        interaction = sim.app.discord.memory.interactions[sent["id"]]
        waiting = asyncio.create_task(control.final(sent["id"], 10))
        await webhook.say(interaction, "⏳")
        await webhook.say(interaction, "hello")
        found = await waiting
        assert found["message"]["content"] == "hello" and found["message"]["edits"] == 2
        assert found["user_id"] == "7" and [o["name"] for o in found["options"]] == ["질문", "그림"]
        everything = json.dumps([await control.messages(), await control.ledger(), await control.stats()])
        assert interaction.token not in everything and "let-me-in" not in everything
        resent = await control.resend(bot.url, sent["id"], copies=2)
        assert resent["id"] == sent["id"] and len(bot.deliveries) == 3


async def test_what_users_do_besides_commands_over_http(sim: SimulatorServer, bot: Bot) -> None:
    """Choices, a menu on a written message, a select and where the user stands; private answers are for one viewer."""
    row = {"type": 1, "components": [{"type": 3, "custom_id": "s", "options": [{"label": "a", "value": "a"}]}]}
    message = {"type": 4, "data": {"content": "answer", "components": [row], "flags": 64}}
    choices = {"type": 8, "data": {"choices": [{"name": "m", "value": "m"}]}}
    bot.answer = lambda payload: choices if payload["type"] == 4 else message
    async with ControlClient(sim.url, "let-me-in") as control:
        assert await control.autocomplete(bot.url, "채팅", "모델", "gp") == [{"name": "m", "value": "m"}]
        written = await control.say("long story", user_id=9)
        used = await control.context_menu(bot.url, "요약", written["id"], user_id=7, roles=["5"], nsfw=True)
        await control.context_menu(bot.url, "요약", {"content": "another", "user_id": 9}, user_id=7)
        await control.press(bot.url, used["id"], "s", values=["a"], message_id=used["message"]["id"])
        with pytest.raises(ControlError, match="no message"):
            await control.context_menu(bot.url, "요약", "123")
        sent = [delivery.payload for delivery in bot.deliveries]
        assert sent[1]["data"]["resolved"]["messages"][written["id"]]["content"] == "long story"
        assert sent[1]["member"]["roles"] == ["5"] and sent[1]["channel"]["nsfw"] is True
        assert sent[3]["data"]["values"] == ["a"] and sent[3]["member"]["roles"] == ["5"]
        private, public = await control.channel(viewer="7"), await control.channel(viewer="8")
        assert [m["content"] for m in public] == ["long story", "another"]
        assert [m["content"] for m in private].count("answer") == 3


async def test_waiting_in_vain_says_so(sim: SimulatorServer, bot: Bot) -> None:
    """The control client raises, and the state is named."""
    async with ControlClient(sim.url, "let-me-in") as control:
        sent = await control.interact(bot.url, "채팅")
        with pytest.raises(TimeoutError, match="deferred"):
            await control.final(sent["id"], 0.1)


async def test_a_portal_check(sim: SimulatorServer, bot: Bot) -> None:
    """An endpoint that answers a bad signature with 200 is not valid."""
    bot.answer = lambda payload: {"type": 1}
    async with ControlClient(sim.url, "let-me-in") as control:
        assert await control.ping(bot.url) == {"accepted": True, "bad_signature_status": 200, "valid": False}


async def test_the_token_guards_everything(sim: SimulatorServer) -> None:
    """Without it, or with another, every control path is 401; the page itself holds no data."""
    async with httpx2.AsyncClient(base_url=sim.url, verify=tls()) as http:
        for token in ("", "wrong", "ключ"):
            headers = {b"X-Control-Token": token.encode()}
            for method, path in (
                ("GET", "/info"),
                ("GET", "/ledger"),
                ("POST", "/interactions"),
                ("DELETE", "/faults"),
            ):
                assert (await http.request(method, f"/control{path}", headers=headers)).status_code == 401
        page = await http.get("/")
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    assert "http://" not in page.text and "https://" not in page.text and sim.public_key not in page.text


async def test_without_a_token_only_loopback_names_are_served() -> None:
    """A page whose name was bent to this machine's address (DNS rebinding) gets nothing."""
    async with SimulatorServer(SimulatorConfig(seed=1)) as sim, httpx2.AsyncClient(verify=tls()) as http:
        assert (await http.get(f"{sim.url}/control/info")).status_code == 200
        assert (await http.get(f"{sim.url}/control/info", headers={"Host": "evil.example"})).status_code == 403


async def test_another_origins_form_can_not_post(sim: SimulatorServer) -> None:
    """A form's content type is refused, so that a web page can't drive a loopback simulator."""
    async with httpx2.AsyncClient(headers={"X-Control-Token": "let-me-in"}, verify=tls()) as http:
        answer = await http.post(f"{sim.url}/control/faults", data={"target": "openai"})
    assert answer.status_code == 415


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("/interactions", {"target": "ftp://x", "command": "a"}, "target"),
    ("/interactions", {"target": "http://127.0.0.1:9"}, "one of command"),
    ("/interactions", {"target": "http://127.0.0.1:9", "again": "1"}, "no interaction"),
    ("/interactions", {"target": "http://127.0.0.1:9", "command": "a", "place": "moon"}, "place"),
    ("/faults", {"target": "nobody", "kind": "429"}, "target"),
    ("/faults", {"target": "openai", "kind": "10015"}, "kind"),
    ("/faults", {"target": "openai", "kind": "429", "often": 3}, "unknown parameter"),
]


@pytest.mark.parametrize(("path", "body", "reason"), BAD)
async def test_bad_requests_say_what_is_wrong(
    sim: SimulatorServer, path: str, body: dict[str, Any], reason: str
) -> None:
    """400 with a sentence."""
    async with httpx2.AsyncClient(headers={"X-Control-Token": "let-me-in"}, verify=tls()) as http:
        answer = await http.post(f"{sim.url}/control{path}", json=body)
    assert answer.status_code == 400 and reason in answer.json()["error"]


async def test_an_unreachable_target_is_a_failed_interaction(sim: SimulatorServer) -> None:
    """Nobody listens: the user sees a failure at once."""
    async with ControlClient(sim.url, "let-me-in") as control:
        sent = await control.interact("http://127.0.0.1:9/interactions", "채팅")
    assert sent["state"] == "failed" and sent["ack"]["reason"].startswith("connection")


async def test_discord_faults_by_request(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """Each fault happens as often as asked, and `done_then_drop` has done its work."""
    async with ControlClient(sim.url, "let-me-in") as control:
        asked = await sim.discord.interact(bot.url, "채팅")
        for kind, status in (
            ("10015", 404),
            ("10008", 404),
            ("50027", 401),
            ("429", 429),
            ("500", 500),
            ("garbage", 502),
        ):
            await control.fault("discord", kind, count=1, route="webhook PATCH")
            assert (await webhook.say(asked, f"⏳ {kind}")).status_code == status
        assert asked.message is not None and asked.message.thinking
        await control.fault("discord", "reset", count=1)
        with pytest.raises(httpx2.TransportError):
            await webhook.say(asked, "no")
        assert asked.message.thinking
        await control.fault("discord", "done_then_drop", count=1)
        with pytest.raises(httpx2.TransportError):
            await webhook.say(asked, "yes")
        assert asked.message.content == "yes"
        await control.fault("discord", "500")
        await control.clear_faults()
        assert (await webhook.say(asked, "free")).status_code == 200
        with pytest.raises(ControlError, match="kind"):
            await control.fault("discord", "nonsense")


async def test_a_fault_for_the_time_after_the_ack(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """`after_ack_s` ends with the interaction's age, however often it is called."""
    sim.app.world.faults.add({"target": "discord", "kind": "10015", "after_ack_s": 0.2})
    asked = await sim.discord.interact(bot.url, "채팅")
    assert (await webhook.say(asked, "a")).status_code == 404
    async with asyncio.timeout(10):
        while (await webhook.say(asked, "a")).status_code in (404, 429):
            pass
    assert asked.message is not None and asked.message.content == "a"


def test_chance_is_reproducible() -> None:
    """The same seed draws the same faults, about as often as asked."""

    def draws(seed: int) -> list[bool]:
        book = FaultBook(random.Random(seed))
        book.add({"target": "openai", "kind": "500", "probability": 0.3})
        return [book.draw("openai", "chat") is not None for _ in range(1000)]

    assert draws(1) == draws(1) != draws(2) and 240 < sum(draws(1)) < 360


async def test_the_command_line_serves_and_ends(tmp_path: Path) -> None:
    """One JSON line with URL and public key, then it serves; SIGTERM ends it with the ledger complete."""
    ledger, config = tmp_path / "ledger.jsonl", tmp_path / "config.json"
    config.write_text(json.dumps({"keys": [{"provider": "openai", "secret": "sk-a", "label": "set-1"}]}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "simulator", "--port", str(port), "--ledger", str(ledger), "--seed", "3", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        facts = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        async with asyncio.timeout(30), httpx2.AsyncClient(base_url=facts["url"], verify=tls()) as http:
            while True:
                try:
                    info = (await http.get("/control/info")).json()
                    break
                except httpx2.ConnectError:
                    await asyncio.sleep(0.02)
            assert info["public_key"] == facts["public_key"]
            refused = await http.get("/openai/v1/models", headers={"Authorization": "Bearer sk-other"})
            assert refused.status_code == 401
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) in (0, -15)
    assert '"event":"start"' in ledger.read_text() and "sk-" not in ledger.read_text()


async def test_a_public_address_needs_a_token() -> None:
    """Listening beyond loopback without a control token is refused at the start."""
    command = ["-m", "simulator", "--host", "0.0.0.0", "--port", "1"]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stderr=asyncio.subprocess.PIPE)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1 and b"control-token" in errors


def test_unknown_configuration_is_an_error() -> None:
    """A misspelt name does not pass silently."""
    with pytest.raises(ValueError, match="sede"):
        SimulatorConfig.from_dict({"sede": 1})
