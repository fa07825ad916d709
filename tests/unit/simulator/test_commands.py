"""Discord's command registration: what it accepts, what it counts, and who may call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from simulator.discord_command_rules import is_name
from simulator.server import SimulatorServer
from simulator.wire import tls
from tests.unit.simulator.bot import USER_AGENT

APP = "/applications/1200000000000000000"
CHAT = {
    "name": "채팅",
    "description": "대화해요",
    "name_localizations": {"en-US": "chat", "ko": "채팅"},
    "options": [{"name": "질문", "description": "질문이에요", "type": 3, "required": True, "max_length": 2000}],
    "contexts": [0, 1, 2],
    "integration_types": [0, 1],
}


@pytest.fixture
async def api(sim: SimulatorServer) -> AsyncIterator[httpx2.AsyncClient]:
    """The bot's authorised client."""
    headers = {"Authorization": "Bot simulated-bot-token", "User-Agent": USER_AGENT}
    async with httpx2.AsyncClient(base_url=sim.discord_url, headers=headers, timeout=10, verify=tls()) as client:
        yield client


async def test_a_set_is_replaced_and_keeps_ids(api: httpx2.AsyncClient) -> None:
    """The same PUT twice changes nothing; a changed command gets a new version, a missing one is gone."""
    first = (await api.put(f"{APP}/commands", json=[CHAT, {"name": "도움말", "description": "d"}])).json()
    again = (await api.put(f"{APP}/commands", json=[CHAT, {"name": "도움말", "description": "d"}])).json()
    assert first == again
    changed = (await api.put(f"{APP}/commands", json=[{**CHAT, "description": "new"}])).json()
    assert [c["id"] for c in changed] == [first[0]["id"]] and changed[0]["version"] != first[0]["version"]
    assert len((await api.get(f"{APP}/commands")).json()) == 1


async def test_localizations_are_shown_on_request_only(api: httpx2.AsyncClient) -> None:
    """Without `with_localizations=true` a diff would see none."""
    await api.put(f"{APP}/commands", json=[CHAT])
    plain = (await api.get(f"{APP}/commands")).json()[0]
    full = (await api.get(f"{APP}/commands?with_localizations=true")).json()[0]
    assert "name_localizations" not in plain and full["name_localizations"]["en-US"] == "chat"


async def test_single_commands(api: httpx2.AsyncClient) -> None:
    """POST creates (201) or replaces (200), PATCH changes, DELETE removes; a guild has its own scope."""
    made = await api.post(f"{APP}/commands", json=CHAT)
    assert made.status_code == 201 and (await api.post(f"{APP}/commands", json=CHAT)).status_code == 200
    url = f"{APP}/commands/{made.json()['id']}"
    assert (await api.patch(url, json={"description": "x"})).json()["description"] == "x"
    assert (await api.get(f"{APP}/guilds/77/commands")).json() == []
    assert (await api.delete(url)).status_code == 204
    gone = await api.get(url)
    assert (gone.status_code, gone.json()["code"]) == (404, 10063)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("upper case", {"name": "Chat"}),
    ("a space", {"name": "my chat"}),
    ("name too long", {"name": "x" * 33}),
    ("no description", {"description": ""}),
    ("description too long", {"description": "x" * 101}),
    ("unknown locale", {"name_localizations": {"en": "chat"}}),
    ("bad localized name", {"name_localizations": {"en-US": "Chat"}}),
    ("required after optional", {"options": [
        {"name": "a", "description": "d", "type": 3}, {"name": "b", "description": "d", "type": 3, "required": True}]}),
    ("the same option twice", {"options": [{"name": "a", "description": "d", "type": 3}] * 2}),
    ("the same localized option twice", {"options": [
        {"name": "a", "description": "d", "type": 3, "name_localizations": {"ko": "가"}},
        {"name": "b", "description": "d", "type": 3, "name_localizations": {"ko": "가"}}]}),
    ("26 options", {"options": [{"name": f"o{n}", "description": "d", "type": 3} for n in range(26)]}),
    ("26 choices", {"options": [{"name": "a", "description": "d", "type": 3, "choices": [
        {"name": str(n), "value": str(n)} for n in range(26)]}]}),
    ("a number as text choice", {"options": [{"name": "a", "description": "d", "type": 3, "choices": [
        {"name": "x", "value": 1}]}]}),
    ("autocomplete with choices", {"options": [{"name": "a", "description": "d", "type": 3, "autocomplete": True,
        "choices": [{"name": "x", "value": "x"}]}]}),
    ("length of a number", {"options": [{"name": "a", "description": "d", "type": 4, "max_length": 5}]}),
    ("too deep", {"options": [{"name": "g", "description": "d", "type": 2, "options": [
        {"name": "h", "description": "d", "type": 2}]}]}),
    ("unknown option type", {"options": [{"name": "a", "description": "d", "type": 12}]}),
    ("the same context twice", {"contexts": [0, 0]}),
    ("too large", {"options": [{"name": f"o{n}", "description": "d" * 100, "type": 3, "choices": [
        {"name": f"{m}" * 60, "value": "v" * 60} for m in range(9)]} for n in range(8)]}),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "change"), WRONG, ids=[name for name, _ in WRONG])
async def test_wrong_commands_are_refused(api: httpx2.AsyncClient, _name: str, change: dict[str, Any]) -> None:
    """400/50035 with a path into the list, and nothing is stored."""
    answer = await api.put(f"{APP}/commands", json=[{**CHAT, **change}])
    assert (answer.status_code, answer.json()["code"]) == (400, 50035)
    assert set(answer.json()["errors"]) == {"0"}
    assert (await api.get(f"{APP}/commands")).json() == []


async def test_who_may_call(sim: SimulatorServer, api: httpx2.AsyncClient) -> None:
    """A wrong token is 401, another application 403, no proper user agent 403/40333."""
    url = f"{APP}/commands"
    assert (await api.get(url, headers={"Authorization": "Bot wrong"})).status_code == 401
    other = await api.get("/applications/999999999999999999/commands")
    assert (other.status_code, other.json()["code"]) == (403, 50001)
    assert (await api.get("/applications/me/commands")).status_code == 400
    assert (await api.get(url, headers={"User-Agent": "curl"})).json()["code"] == 40333
    assert sim.app.discord.invalid.count == 3
    assert (await api.get("/applications/@me")).json()["verify_key"] == sim.public_key
    assert (await api.get("/users/@me")).json()["bot"] is True


async def test_new_names_count_towards_the_day(api: httpx2.AsyncClient) -> None:
    """200 creations a day: a PUT of known names is free, a new name beyond is 400/30034."""
    for batch in range(2):
        names = [{"name": f"c{batch}-{n}", "description": "d"} for n in range(100)]
        assert (await api.put(f"{APP}/commands", json=names)).status_code == 200
    assert (await api.put(f"{APP}/commands", json=names)).status_code == 200
    more = await api.put(f"{APP}/commands", json=[CHAT])
    assert (more.status_code, more.json()["code"]) == (400, 30034)


async def test_at_most_a_hundred_commands(api: httpx2.AsyncClient) -> None:
    """The hundred and first is 400/30032."""
    names = [{"name": f"c{n}", "description": "d"} for n in range(101)]
    answer = await api.put(f"{APP}/commands", json=names)
    assert (answer.status_code, answer.json()["code"]) == (400, 30032)


@pytest.mark.parametrize(
    ("name", "good"), [("채팅", True), ("ask-me", True), ("it's", True), ("สวัสดี", True), ("नमस्ते", True),
                       ("Ask", False), ("É", False), ("é", True), ("a b", False), ("a.b", False), ("", False)],
)  # fmt: skip
def test_names(name: str, good: bool) -> None:
    """Letters, numbers, Thai and Devanagari marks; nothing that could be lower case but is not."""
    assert is_name(name) is good
