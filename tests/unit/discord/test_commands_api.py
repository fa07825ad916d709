"""Registering commands: an idempotent comparison, one bulk PUT, and errors an operator can act on."""

from __future__ import annotations

import copy
import json
import traceback
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from app.discord.command_plan import make_plan
from app.discord.commands_api import CommandsApi, RegistrationError
from app.errors import DiscordError
from tests.kit.clock import FakeClock
from tests.unit.discord.scripted import API_URL, APPLICATION, error, limited

BOT_TOKEN = "MTIwMDAwMDAwMDAwMDAwMDAwMA.GabcDE.abcdefghijklmnopqrstuvwxyz0123456789AB"
GUILD = "1100000000000000000"

CHAT: dict[str, Any] = {
    "name": "채팅",
    "name_localizations": {"en-US": "chat"},
    "description": "질문에 답해요",
    "contexts": [0, 1, 2],
    "integration_types": [0, 1],
    "options": [
        {"type": 3, "name": "질문", "description": "무엇이든", "required": True, "max_length": 6000},
        {
            "type": 3,
            "name": "말투",
            "description": "어떻게",
            "choices": [{"name": "짧게", "value": "short"}, {"name": "길게", "value": "long"}],
        },
    ],
}
ADMIN: dict[str, Any] = {"name": "관리", "description": "상태를 봐요", "default_member_permissions": "32"}


class CommandRegistry:
    """Discord's side: keeps what is put, and gives it back with everything Discord fills in or turns around."""

    def __init__(self) -> None:
        self.scopes: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[httpx2.Request] = []
        self.failures: list[httpx2.Response | Exception] = []

    @property
    def puts(self) -> int:
        return sum(request.method == "PUT" for request in self.requests)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        path = request.url.path
        if request.method == "PUT":
            self.scopes[path] = [self.filled_in(c, "guilds" not in path) for c in json.loads(request.content)]
        commands = copy.deepcopy(self.scopes.get(path, []))
        if request.method == "GET" and request.url.params.get("with_localizations") != "true":
            for command in commands:
                command.pop("name_localizations")
        return httpx2.Response(200, json=commands)

    @staticmethod
    def filled_in(command: dict[str, Any], is_global: bool) -> dict[str, Any]:
        filled: dict[str, Any] = {
            "id": "1210000000000000000",
            "application_id": APPLICATION,
            "version": "1210000000000000001",
            "type": 1,
            "default_member_permissions": None,
            "name_localizations": None,
            "description_localizations": None,
            "dm_permission": True,
            "contexts": None,
            "integration_types": [0],
            "nsfw": False,
            **command,
        }
        if is_global and filled["contexts"] is not None:
            filled["contexts"] = filled["contexts"][::-1]
        for option in filled.get("options", []):
            option.setdefault("name_localizations", None)
            option.setdefault("description_localizations", None)
            for choice in option.get("choices", []):
                choice.setdefault("name_localizations", None)
        return filled


@pytest.fixture
def registry() -> CommandRegistry:
    return CommandRegistry()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def api(registry: CommandRegistry, clock: FakeClock) -> AsyncIterator[CommandsApi]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(transport=httpx2.MockTransport(registry)))
        yield CommandsApi(http, API_URL, APPLICATION, BOT_TOKEN, clock=clock)


@pytest.mark.parametrize("guild", [None, GUILD])
async def test_registering_twice_sends_once(api: CommandsApi, registry: CommandRegistry, guild: str | None) -> None:
    """The second run finds everything unchanged, whatever defaults Discord filled in, and puts nothing."""
    first = api.plan(await api.fetch(guild), [CHAT, ADMIN], guild)
    assert first.create == ("/채팅", "/관리")
    assert await api.apply(first)
    second = api.plan(await api.fetch(guild), [CHAT, ADMIN], guild)
    assert second.unchanged == ("/채팅", "/관리")
    assert not second.changes_anything
    assert not await api.apply(second)
    assert registry.puts == 1


async def test_the_calls_are_discords(api: CommandsApi, registry: CommandRegistry) -> None:
    """The bot's token, the right scope, localizations asked for, Korean as UTF-8."""
    await api.apply(api.plan(await api.fetch(), [CHAT]))
    await api.apply(api.plan(await api.fetch(GUILD), [CHAT], GUILD))
    paths = [(request.method, request.url.raw_path.decode()) for request in registry.requests]
    commands = f"/api/v10/applications/{APPLICATION}/commands"
    in_guild = f"/api/v10/applications/{APPLICATION}/guilds/{GUILD}/commands"
    assert paths == [
        ("GET", f"{commands}?with_localizations=true"),
        ("PUT", commands),
        ("GET", f"{in_guild}?with_localizations=true"),
        ("PUT", in_guild),
    ]
    put = registry.requests[1]
    assert put.headers["Authorization"] == f"Bot {BOT_TOKEN}"
    assert put.headers["Content-Type"] == "application/json"
    assert put.headers["User-Agent"].startswith("DiscordBot (")
    assert "채팅".encode() in put.content
    assert json.loads(put.content) == [CHAT]


async def test_a_guild_gets_no_contexts(api: CommandsApi, registry: CommandRegistry) -> None:
    """Contexts and installation types are for global commands only."""
    await api.apply(api.plan([], [CHAT], GUILD))
    (sent,) = json.loads(registry.requests[0].content)
    assert "contexts" not in sent
    assert "integration_types" not in sent


def changed(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(CHAT), **fields}


def with_option(index: int, **fields: Any) -> dict[str, Any]:
    made = copy.deepcopy(CHAT)
    made["options"][index].update(fields)
    return made


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (changed(description="다른 설명"), ['description: "질문에 답해요" → "다른 설명"']),
        (changed(name_localizations={"en-US": "ask"}), ['name_localizations.en-US: "chat" → "ask"']),
        (changed(name_localizations={}), ['name_localizations.en-US: "chat" → nothing']),
        (changed(name_localizations=None), ['name_localizations.en-US: "chat" → nothing']),
        (changed(default_member_permissions=0), ['default_member_permissions: nothing → "0"']),
        (changed(contexts=[0]), ["contexts: [0, 1, 2] → [0]"]),
        (changed(integration_types=[0]), ["integration_types: [0, 1] → [0]"]),
        (changed(nsfw=True), ["nsfw: False → True"]),
        (changed(options=[]), ["options: - 질문", "options: - 말투"]),
        (changed(options=CHAT["options"][::-1]), ["options: order 질문, 말투 → 말투, 질문"]),
        (with_option(0, required=False), ["options.질문.required: True → False"]),
        (with_option(0, max_length=100), ["options.질문.max_length: 6000 → 100"]),
        (with_option(0, autocomplete=True), ["options.질문.autocomplete: False → True"]),
        (with_option(1, choices=[{"name": "짧게", "value": "brief"}, {"name": "보통", "value": "mid"}]),
         ["options.말투.choices: + 보통", "options.말투.choices: - 길게",
          'options.말투.choices.짧게.value: "short" → "brief"']),
    ],
)  # fmt: skip
def test_each_kind_of_change_is_found_and_named(wanted: dict[str, Any], expected: list[str]) -> None:
    """One changed field is one line that says where, from what, to what."""
    existing = [CommandRegistry.filled_in(copy.deepcopy(CHAT), True)]
    plan = make_plan(existing, [wanted])
    assert [(change.name, list(change.differences)) for change in plan.update] == [("/채팅", expected)]
    assert plan.changes_anything


def test_a_plan_reads_like_a_diff() -> None:
    """New, changed, deleted and unchanged commands each have their mark."""
    existing = [CommandRegistry.filled_in(copy.deepcopy(c), True) for c in (CHAT, ADMIN, {**ADMIN, "name": "old"})]
    plan = make_plan(existing, [changed(description="새 설명"), ADMIN, {"name": "new", "description": "d"}])
    assert plan.lines() == [
        "+ /new",
        "~ /채팅",
        '    description: "질문에 답해요" → "새 설명"',
        "- /old",
        "= /관리",
    ]


def test_what_is_not_ours_stays_unless_deleting_was_asked_for() -> None:
    """Without `delete` a stranger is sent along as it is and marked; with it, it goes."""
    existing = [CommandRegistry.filled_in(copy.deepcopy(c), True) for c in (ADMIN, {**ADMIN, "name": "old"})]
    kept = make_plan(existing, [ADMIN, CHAT], delete=False)
    assert (kept.create, kept.delete, kept.spared) == (("/채팅",), (), ("/old",))
    assert [command["name"] for command in kept.payload] == ["관리", "채팅", "old"]
    assert "! /old" in kept.lines()
    gone = make_plan(existing, [ADMIN, CHAT])
    assert (gone.delete, gone.spared) == (("/old",), ())
    assert not make_plan(existing, [ADMIN], delete=False).changes_anything


def test_a_message_command_of_the_same_name_is_another_command() -> None:
    """Commands are told apart by type and name."""
    plan = make_plan([CommandRegistry.filled_in(copy.deepcopy(ADMIN), True)], [{"name": "관리", "type": 3}])
    assert plan.create == ("관리 (message)",)
    assert plan.delete == ("/관리",)


async def test_an_entry_point_is_kept(api: CommandsApi, registry: CommandRegistry) -> None:
    """Symptom: error 50240. Cause: the list left out the entry point Discord made for an Activity.
    Rule: it is sent along as it is."""
    path = f"/api/v10/applications/{APPLICATION}/commands"
    registry.scopes[path] = [registry.filled_in({"name": "launch", "type": 4, "description": "", "handler": 2}, True)]
    plan = api.plan(await api.fetch(), [ADMIN])
    assert plan.unchanged == ("launch (primary_entry_point)",)
    assert await api.apply(plan)
    sent = json.loads(registry.requests[-1].content)
    assert [command["name"] for command in sent] == ["관리", "launch"]
    assert sent[1]["handler"] == 2
    assert "version" not in sent[1]


@pytest.mark.parametrize(
    ("failure", "guild", "expected"),
    [
        (error(401, 0, "401: Unauthorized"), None, "^DISCORD_TOKEN is not accepted"),
        (error(403, 20012, "You are not authorized"), None, f"^DISCORD_APPLICATION_ID {APPLICATION} is not"),
        (error(404, 10002, "Unknown Application"), None, "^DISCORD_APPLICATION_ID"),
        (error(404, 10004, "Unknown Guild"), GUILD, f"^The bot is not in guild {GUILD}"),
        (error(403, 50001, "Missing Access"), GUILD, "applications.commands"),
        (error(400, 30034, "Max daily"), None, "200 commands of the day"),
        (limited(3600), None, "wait 3600 s"),
        (httpx2.Response(200, text="<html>"), None, "is it Discord's API"),
        (httpx2.Response(200, json={"a": 1}), None, "is it Discord's API"),
    ],
)
async def test_refusals_say_what_to_do(
    api: CommandsApi,
    registry: CommandRegistry,
    clock: FakeClock,
    failure: httpx2.Response,
    guild: str | None,
    expected: str,
) -> None:
    """The variable, guild or wait is named; nothing is tried again."""
    registry.failures = [failure]
    with pytest.raises(RegistrationError, match=expected):
        await api.fetch(guild)
    assert len(registry.requests) == 1
    assert clock.elapsed == 0


async def test_validation_errors_are_flattened(api: CommandsApi, registry: CommandRegistry) -> None:
    """Each fault has its path, as in `commands[2].options[0].name`."""
    leaf = {"_errors": [{"code": "APPLICATION_COMMAND_INVALID_NAME", "message": "Command name is invalid"}]}
    tree = {"2": {"options": {"0": {"name": leaf}}}, "0": {"description": {"_errors": [{"message": "Required"}]}}}
    registry.failures = [error(400, 50035, "Invalid Form Body", errors=tree)]
    with pytest.raises(RegistrationError) as caught:
        await api.apply(api.plan([], [CHAT]))
    assert "commands[2].options[0].name: Command name is invalid" in str(caught.value)
    assert "commands[0].description: Required" in str(caught.value)


async def test_a_rate_limit_is_waited_out(api: CommandsApi, registry: CommandRegistry, clock: FakeClock) -> None:
    """Nothing is sent before `retry_after` ends."""
    registry.failures = [limited(2.5), limited(1.25)]
    assert await api.fetch() == []
    assert clock.sleeps == [2.5, 1.25]


async def test_an_outage_is_survived_or_named(api: CommandsApi, registry: CommandRegistry, clock: FakeClock) -> None:
    """Three failures are ridden out with growing pauses; a fourth ends it with the address and the reason."""
    registry.failures = [httpx2.Response(502), httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow")]
    assert await api.fetch() == []
    assert clock.sleeps == [1, 2, 4]
    registry.failures = [httpx2.ConnectError("refused") for _ in range(9)]
    with pytest.raises(RegistrationError, match=f"could not be reached at {API_URL}: ConnectError: refused"):
        await api.fetch()


async def test_the_token_is_in_no_error(api: CommandsApi, registry: CommandRegistry) -> None:
    """Not even if Discord or a proxy echoes it."""
    for failure in (error(401, 0, f"bad {BOT_TOKEN}"), error(400, 50035, BOT_TOKEN), error(403, 0, BOT_TOKEN)):
        registry.failures = [failure]
        with pytest.raises(DiscordError) as caught:
            await api.fetch()
        assert BOT_TOKEN not in "".join(traceback.format_exception(caught.value))
        assert "abcdefghijklmnopqrstuvwxyz" not in str(caught.value)
