"""Discord as the caller: payloads, signatures, the three seconds and what counts as an answer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from simulator.config import SimulatorConfig
from simulator.discord_payloads import PLACES
from simulator.discord_state import Attachment
from simulator.server import SimulatorServer
from tests.unit.simulator.bot import Bot


async def test_a_delivery_is_signed_over_timestamp_and_raw_body(sim: SimulatorServer, bot: Bot) -> None:
    """The public key verifies what arrived, and verifies nothing else."""
    await sim.discord.interact(bot.url, "채팅", {"질문": "안녕"}, user_id=12345)
    delivery = bot.deliveries[0]
    key = VerifyKey(bytes.fromhex(sim.public_key))
    signature = bytes.fromhex(delivery.headers["x-signature-ed25519"])
    stamp = delivery.headers["x-signature-timestamp"].encode()
    key.verify(stamp + delivery.body, signature)
    with pytest.raises(BadSignatureError):
        key.verify(stamp + delivery.body + b" ", signature)


@pytest.mark.parametrize("place", PLACES)
async def test_the_user_is_where_discord_puts_it(sim: SimulatorServer, bot: Bot, place: str) -> None:
    """In a guild only `member` is sent, elsewhere only `user`; ids are text."""
    await sim.discord.interact(bot.url, "채팅", {"질문": "a"}, user_id=2**63 - 1, place=place)
    payload = bot.deliveries[0].payload
    holder = payload["member"] if place == "guild" else payload
    assert holder["user"]["id"] == str(2**63 - 1)
    assert ("member" in payload) == (place == "guild") and ("user" in payload) != (place == "guild")
    assert payload["context"] == PLACES.index(place)
    assert payload["attachment_size_limit"] == 10 * 1024 * 1024


async def test_options_carry_types_files_and_focus(sim: SimulatorServer, bot: Bot) -> None:
    """A file option is an id whose details stand in `resolved`; the focused option says so."""
    picture = Attachment(sim.app.discord.memory.ids.next(), "a.png", "image/png", b"png")
    await sim.discord.interact(bot.url, "ask", {"n": 3, "deep": True}, attachments={"image": picture})
    data = bot.deliveries[0].payload["data"]
    assert [(o["name"], o["type"]) for o in data["options"]] == [("n", 4), ("deep", 5), ("image", 11)]
    resolved = data["resolved"]["attachments"][data["options"][2]["value"]]
    assert resolved["filename"] == "a.png" and resolved["size"] == 3
    bot.answer = lambda payload: {"type": 8, "data": {"choices": [{"name": "x", "value": "x"}]}}
    asked = await sim.discord.interact(bot.url, "ask", {"word": "ab"}, focused="word")
    assert bot.deliveries[1].payload["data"]["options"][0]["focused"] is True
    assert asked.state == "choices" and asked.choices == [{"name": "x", "value": "x"}]


async def test_silence_beyond_the_limit_fails_the_interaction(bot: Bot) -> None:
    """No answer in time: the user sees a failure, the ledger a timeout, and the webhook is unknown."""
    bot.silent = True
    async with SimulatorServer(SimulatorConfig(seed=1, ack_limit_s=0.1)) as sim:
        asked = await sim.discord.interact(bot.url, "채팅")
        assert asked.state == "failed" and asked.is_final
        failed = [event for event in sim.ledger.events if event["event"] == "ack_failed"]
        assert [event["reason"] for event in failed] == ["timeout"]


WRONG_ANSWERS: list[tuple[str, Any]] = [
    ("no type", {}),
    ("a pong to a command", {"type": 1}),
    ("an update without a component", {"type": 7, "data": {"content": "x"}}),
    ("empty", {"type": 4, "data": {"content": ""}}),
    ("content too long", {"type": 4, "data": {"content": "x" * 2001}}),
    ("a defer with content", {"type": 5, "data": {"content": "x"}}),
    ("a flag nobody may set", {"type": 4, "data": {"content": "x", "flags": 1}}),
    ("too many choices", {"type": 8, "data": {"choices": []}}),
    ("a bare list", []),
    ("embeds too large", {"type": 4, "data": {"embeds": [{"description": "x" * 4000}] * 2}}),
    (
        "mentions both ways",
        {"type": 4, "data": {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}},
    ),
    ("a modal without rows", {"type": 9, "data": {"custom_id": "m", "title": "t", "components": []}}),
]


@pytest.mark.parametrize(("_name", "answer"), WRONG_ANSWERS, ids=[name for name, _ in WRONG_ANSWERS])
async def test_a_wrong_answer_is_not_taken(sim: SimulatorServer, bot: Bot, _name: str, answer: Any) -> None:
    """What Discord would not take leaves the interaction failed, with the reason in the ledger."""
    bot.answer = lambda payload: answer
    asked = await sim.discord.interact(bot.url, "채팅")
    assert asked.state == "failed"
    assert asked.ack is not None and not asked.ack.ok and asked.ack.reason


@pytest.mark.parametrize(
    ("status", "content_type"), [(202, "application/json"), (503, "text/html"), (200, "text/plain")]
)
async def test_status_and_content_type_matter(sim: SimulatorServer, bot: Bot, status: int, content_type: str) -> None:
    """Only 200 with JSON is an answer."""
    bot.status, bot.content_type = status, content_type
    asked = await sim.discord.interact(bot.url, "채팅")
    assert asked.state == "failed" and asked.ack is not None and asked.ack.status == status


async def test_an_immediate_message_is_what_the_user_sees(sim: SimulatorServer, bot: Bot) -> None:
    """A type 4 answer is the final outcome, only for the user if it says so."""
    bot.answer = lambda payload: {"type": 4, "data": {"content": "지금은 안 돼요", "flags": 64}}
    asked = await (await sim.discord.interact(bot.url, "채팅")).final(5)
    assert asked.message is not None and asked.message.content == "지금은 안 돼요" and asked.message.ephemeral


async def test_copies_are_the_same_bytes_at_once(sim: SimulatorServer, bot: Bot) -> None:
    """Every copy has the same id and body, and each answer is recorded."""
    asked = await sim.discord.interact(bot.url, "채팅", {"질문": "안녕"}, copies=5)
    assert len({delivery.body for delivery in bot.deliveries}) == 1 and len(bot.deliveries) == 5
    assert [ack.ok for ack in asked.acks] == [True] * 5


async def test_a_ping_and_a_bad_signature_are_sent_as_the_portal_does(sim: SimulatorServer, bot: Bot) -> None:
    """The PING has no data and no locale; the probe's signature does not verify."""
    bot.answer = lambda payload: {"type": 1}
    assert (await sim.discord.ping(bot.url)).state == "pong"
    assert not {"data", "locale", "context"} & set(bot.deliveries[0].payload)
    assert await sim.discord.probe_bad_signature(bot.url) == 200
    probe = bot.deliveries[1]
    with pytest.raises(BadSignatureError):
        VerifyKey(bytes.fromhex(sim.public_key)).verify(
            probe.headers["x-signature-timestamp"].encode() + probe.body,
            bytes.fromhex(probe.headers["x-signature-ed25519"]),
        )


async def test_a_button_updates_the_message_it_sits_on(sim: SimulatorServer, bot: Bot) -> None:
    """Type 7 changes the old message; a button that is not there can't be pressed."""
    row = [{"type": 1, "components": [{"type": 2, "style": 1, "label": "again", "custom_id": "retry:1"}]}]
    bot.answer = lambda payload: {"type": 4, "data": {"content": "sorry", "components": row}}
    first = await sim.discord.interact(bot.url, "채팅", user_id=5)
    bot.answer = lambda payload: {"type": 7, "data": {"content": "trying", "components": []}}
    with pytest.raises(ValueError, match="no usable component"):
        await sim.discord.press(bot.url, first, "other")
    second = await sim.discord.press(bot.url, first, "retry:1")
    payload = bot.deliveries[-1].payload
    assert payload["type"] == 3 and payload["message"]["content"] == "sorry"
    assert payload["member"]["user"]["id"] == "5"
    assert second.message is first.message and first.message is not None and first.message.content == "trying"


async def test_a_modal_can_be_filled_in(sim: SimulatorServer, bot: Bot) -> None:
    """The submission carries the modal's custom id and the typed values."""
    field = {"type": 18, "label": "Question", "component": {"type": 4, "custom_id": "q", "style": 1}}
    bot.answer = lambda payload: {"type": 9, "data": {"custom_id": "m1", "title": "Ask", "components": [field]}}
    first = await sim.discord.interact(bot.url, "ask")
    assert first.state == "modal"
    bot.answer = lambda payload: {"type": 5}
    await sim.discord.submit(bot.url, first, {"q": "why"})
    data = bot.deliveries[-1].payload["data"]
    assert data["custom_id"] == "m1" and data["components"][0]["component"]["value"] == "why"


async def test_a_registered_command_is_used_as_a_client_lets_one(bot: Bot) -> None:
    """Missing, unknown, too long and wrongly typed options can't be sent once the command is registered."""
    option = {"name": "질문", "description": "d", "type": 3, "required": True, "max_length": 5}
    config = SimulatorConfig(seed=1, commands=({"name": "채팅", "description": "d", "options": [option]},))
    async with SimulatorServer(config) as sim:
        for options in ({}, {"질문": "123456"}, {"질문": 3}, {"질문": "a", "b": "c"}):
            with pytest.raises(ValueError):
                await sim.discord.interact(bot.url, "채팅", options)
        await sim.discord.interact(bot.url, "채팅", {"질문": "12345"})
    assert len(bot.deliveries) == 1


RAW_ANSWERS: list[tuple[str, bytes, bool]] = [
    ("chunked", b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"typ\r\n5;x=y\r\ne":5}\r\n0\r\n\r\n', True),
    ("until the end", b'Connection: close\r\n\r\n{"type":5}', True),
    ("cut", b'Content-Length: 99\r\n\r\n{"type":5}', False),
    ("cut chunk", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", False),
    ("a length beyond reason", b"Content-Length: 99999999999\r\n\r\n{}", False),
    ("a length that is none", b"Content-Length: x\r\n\r\n{}", False),
]


@pytest.mark.parametrize(("_name", "rest", "good"), RAW_ANSWERS, ids=[name for name, *_ in RAW_ANSWERS])
async def test_answers_in_every_framing(sim: SimulatorServer, _name: str, rest: bytes, good: bool) -> None:
    """Whole answers are taken however they are framed; cut or impossible ones fail the interaction at once."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + rest)
        writer.write_eof()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        asked = await sim.discord.interact(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "채팅")
    assert asked.state == ("deferred" if good else "failed")


async def test_connections_are_kept_and_a_dead_one_is_not_used_again(sim: SimulatorServer) -> None:
    """Deliveries in a row share a connection; after the application closed it the next one makes a new one."""
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n" + b'{"type":5}'
            )

    async def tolerant(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)

    async with await asyncio.start_server(tolerant, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for _ in range(3):
            assert (await sim.discord.interact(url, "채팅")).state == "deferred"
        assert len(connections) == 1
        connections[0].close()
        await connections[0].wait_closed()
        assert (await sim.discord.interact(url, "채팅")).state == "deferred"
        assert len(connections) == 2
        await sim.discord.close()
