"""Every kind of answer the edge gives, held against Discord's own published schema where that is at hand.

Set QUARTET_DISCORD_OPENAPI to the path of Discord's `openapi.json`, as for tests/contract/test_discord_schema.py.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.commands.registry import COMMANDS
from app.discord.answers import Reply
from tests.contract.test_discord_schema import faults, schemas
from tests.unit.edge.kit import USER, Bench, forever, interaction, press
from tests.unit.edge.test_forms import typing

__all__ = ["schemas"]

BY_TYPE = {
    1: "PongInteractionCallbackRequest",
    4: "CreateMessageInteractionCallbackRequest",
    5: "CreateMessageInteractionCallbackRequest",
    6: "UpdateMessageInteractionCallbackRequest",
    7: "UpdateMessageInteractionCallbackRequest",
    8: "ApplicationCommandAutocompleteCallbackRequest",
    9: "ModalInteractionCallbackRequest",
}
GOOD = {"채팅": {"질문": "왜?"}, "이미지": {"설명": "달", "비율": "16:9"}, "비디오": {"설명": "파도"}}


async def _instant(bench: Bench, name: str) -> Reply:
    await bench.populate()
    return await bench.ask(name, GOOD.get(name))


async def _full(bench: Bench) -> Reply:
    await bench.ask("채팅", GOOD["채팅"], id="1")
    return await bench.ask("채팅", GOOD["채팅"], id="2")


async def _hanging(bench: Bench) -> Reply:
    bench.store.before_put = forever
    reply = await bench.ask("채팅", GOOD["채팅"])
    await bench.intake.close()
    return reply


async def _stopped(bench: Bench) -> Reply:
    await bench.ask("채팅", GOOD["채팅"], id="1")
    return await bench.post(press("stop:1", id="2"))


ANSWERS: dict[str, Callable[[Bench], Awaitable[Reply]]] = {
    **{name: lambda bench, name=name: _instant(bench, name) for name in COMMANDS},  # type: ignore[misc]
    "ping": lambda bench: bench.post({"type": 1}),
    "unknown command": lambda bench: bench.ask("없는명령"),
    "unknown type": lambda bench: bench.post({"type": 77}),
    "unknown button": lambda bench: bench.post(interaction({"custom_id": "x", "component_type": 2}, type=3)),
    "unknown form": lambda bench: bench.post(interaction({"custom_id": "x", "components": []}, type=5)),
    "autocomplete": lambda bench: bench.post(interaction({"id": "1", "name": "채팅", "type": 1}, type=4)),
    "wrong option": lambda bench: bench.ask("이미지", {"설명": "달", "비율": "5:4"}),
    "form": lambda bench: bench.ask("채팅"),
    "choices": lambda bench: bench.post(typing("채팅", "")),
    "stopped": _stopped,
    "deleted": lambda bench: bench.post(press(f"delete:{USER}:1")),
    "forgotten": lambda bench: bench.post(press(f"memory:clear_all:{USER}")),
    "not yours": lambda bench: bench.post(press("again:1", asker="7")),
    "full queue": _full,
    "hanging store": _hanging,
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_discord_would_take_each_answer(
    schemas: dict[str, Any],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each answer's type is one a command may have, and its body fits that type's schema."""
    monkeypatch.setattr("app.recording.RECORD_WITHIN_S", 0.05)
    reply = await ANSWERS[name](Bench(max_waiting=1))
    body = json.loads(reply.body)
    assert reply.status == 200
    assert faults(schemas, BY_TYPE[body["type"]], body) == []


def test_the_schema_would_notice(schemas: dict[str, Any]) -> None:
    """An answer one character too long is a fault."""
    wrong = {"type": 4, "data": {"content": "x" * 2001}}
    assert faults(schemas, BY_TYPE[4], wrong)
