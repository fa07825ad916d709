"""The doctor finds what is wrong between the file, the providers and Discord, and never shows a secret."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.commands.registry import definitions
from ops.doctor import Finding, State, visit
from simulator.config import Key, SimulatorConfig
from simulator.server import SimulatorServer
from tests.redis_kit import free_port
from tests.unit.ops.files import env_file

APPLICATION = "1200000000000000000"
TOKEN = "test-bot-token"
COMMANDS: tuple[dict[str, Any], ...] = tuple(json.loads(json.dumps(command)) for command in definitions())


def keys(provider: str, *numbers: int, organization: str = "") -> tuple[Key, ...]:
    """The keys of the tests' env file, as far as the provider knows them."""
    return tuple(
        Key(provider, f"sk-{provider}-of-set-{number}", label=f"set-{number}", organization=organization)
        for number in numbers
    )


def discord_config(**changes: Any) -> SimulatorConfig:
    """A simulated Discord of the application that the tests' env file is for."""
    known = {"application_id": APPLICATION, "bot_token": TOKEN, "commands": COMMANDS}
    return SimulatorConfig(**{**known, **changes})


@pytest.fixture(name="sim")
async def a_simulator() -> AsyncIterator[SimulatorServer]:
    """Discord and the providers over real HTTP."""
    async with SimulatorServer(discord_config()) as sim:
        yield sim


async def findings(directory: Path, sim: SimulatorServer, **changes: str | None) -> Mapping[str, Finding]:
    """What the doctor finds with nothing running; the last finding of each subject."""
    return await found_at("", directory, sim, **changes)


async def found_at(
    url: str, directory: Path, sim: SimulatorServer, **changes: str | None
) -> Mapping[str, Finding]:  # fmt: skip
    """The same, asked about a public address."""
    given = {
        "DATA_DIR": f"'{directory}/data'",
        "PUBLIC_PORT": str(free_port()),
        "OPS_PORT": str(free_port()),
        "DISCORD_API_URL": sim.discord_url,
        "DISCORD_PUBLIC_KEY": sim.public_key,
        "OPENAI_BASE_URL": sim.openai_url,
        "STABILITY_BASE_URL": sim.stability_url,
        "MINIMAX_BASE_URL": sim.minimax_url,
        "INSTANCE_COUNT": "4",
        **changes,
    }
    file = env_file(directory, **given)
    found = [finding async for finding in visit(file, url=url, environment={})]
    shown = str([finding.to_json() for finding in found])
    for secret in (TOKEN, "of-set-"):
        assert secret not in shown
    return {finding.subject: finding for finding in found}


async def test_what_belongs_together_is_well(sim: SimulatorServer, tmp_path: Path) -> None:
    """Token, application id, public key, commands and all twelve keys are accepted; nothing is a fault but the URL."""
    found = await findings(tmp_path, sim)
    for subject in ("Discord", "Discord, commands", "configuration", "disk", "store", "versions"):
        assert found[subject].state is State.OK, found[subject]
    for provider in ("OpenAI", "Stability", "MiniMax"):
        assert [found[f"{provider}, set {k}"].state for k in range(1, 5)] == [State.OK] * 4
        assert f"{provider}, accounts" not in found
    assert found["clock"].detail == "is within 3 s of Discord's"
    assert [subject for subject, finding in found.items() if finding.state is State.FAULT] == ["Discord, address"]
    assert all(finding.advice for finding in found.values() if finding.state in (State.FAULT, State.WARNING))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"DISCORD_TOKEN": "another-token"}, "does not accept DISCORD_TOKEN"),
        ({"DISCORD_APPLICATION_ID": "1300000000000000000"}, "another application than DISCORD_APPLICATION_ID"),
        ({"DISCORD_PUBLIC_KEY": "cd" * 32}, "DISCORD_PUBLIC_KEY is not this application's"),
        ({"DISCORD_API_URL": "http://127.0.0.1:1/api"}, "can't be reached: the connection is refused"),
    ],
)
async def test_each_mismatch_with_discord_is_told_by_its_variable(
    sim: SimulatorServer, tmp_path: Path, changes: dict[str, str | None], told: str
) -> None:
    """A wrong public key is otherwise known only by Discord refusing the endpoint, without a reason."""
    finding = (await findings(tmp_path, sim, **changes))["Discord"]
    assert not finding.well
    assert told in finding.detail
    assert finding.advice


async def test_a_wrong_file_is_as_far_as_it_looks(sim: SimulatorServer, tmp_path: Path) -> None:
    """Its faults are the findings; nobody is asked with half a configuration."""
    found = await findings(tmp_path, sim, OPENAI_API_KEY_1="")
    assert found["configuration"].state is State.FAULT
    assert found["everything else"].state is State.NOT_CHECKED
    assert "Discord" not in found
    assert [event for event in sim.ledger.events if event["event"] in ("discord_api", "provider_call")] == []


async def test_a_taken_port_is_found(sim: SimulatorServer, tmp_path: Path) -> None:
    """With nothing of ours running, whoever holds the port is in the way."""
    port = sim.url.rpartition(":")[2]
    finding = (await findings(tmp_path, sim, PUBLIC_HOST="127.0.0.1", PUBLIC_PORT=port))["PUBLIC_PORT"]
    assert not finding.well
    assert f"port {port} is taken by pid" in finding.detail


async def test_a_rejected_key_is_told_by_its_set_and_the_others_are_well(tmp_path: Path) -> None:
    """Providers echo the beginning and the end of a key they reject; nothing of it is shown."""
    known = (*keys("openai", 1, 3, 4), *keys("stability", 1, 2, 4), *keys("minimax", 2, 3, 4))
    async with SimulatorServer(discord_config(keys=known)) as sim:
        found = await findings(tmp_path, sim)
    rejected = [subject for subject in found if ", set " in subject and found[subject].state is State.FAULT]
    assert rejected == ["OpenAI, set 2", "Stability, set 3", "MiniMax, set 1"]
    assert "OPENAI_API_KEY_2" in found["OpenAI, set 2"].advice
    assert found["MiniMax, set 1"].detail == "MiniMax rejects the key (1004)"
    assert "sk-" not in str([finding.to_json() for finding in found.values()])


async def test_sets_that_share_an_account_are_one_limit(tmp_path: Path) -> None:
    """The same organization behind two keys, or the same key in three sets, gives no more than one."""
    known = (*keys("openai", 1, 3, organization="org-ours"), *keys("openai", 2, 4))
    known += (*keys("stability", 2, 4, organization="org-ours"), *keys("stability", 1, 3))
    async with SimulatorServer(discord_config(keys=known)) as sim:
        same = "sk-minimax-of-set-2"
        found = await findings(tmp_path, sim, MINIMAX_API_KEY_3=same, MINIMAX_API_KEY_4=same)
    assert found["OpenAI, accounts"].detail == "sets 1 and 3 are of the same organization: one limit, not two"
    assert found["Stability, accounts"].detail == "sets 2 and 4 are of the same organization: one limit, not two"
    assert found["MiniMax, accounts"].detail == "sets 2, 3 and 4 hold the same key: one limit, not three"
    assert {found["OpenAI, accounts"].state, found["MiniMax, accounts"].state} == {State.WARNING}


@pytest.mark.parametrize(
    ("fault", "subject", "state", "told"),
    [
        ({"target": "openai", "kind": "quota"}, "OpenAI, all sets", State.FAULT, "out of credit (insufficient_quota)"),
        ({"target": "openai", "kind": "429"}, "OpenAI, set 1", State.WARNING, "told to wait"),
        ({"target": "openai", "kind": "garbage"}, "OpenAI, set 1", State.WARNING, "do not include gpt-5.4-mini"),
        ({"target": "openai", "kind": "reset"}, "OpenAI, all sets", State.FAULT, "can't be reached"),
        ({"target": "stability", "kind": "quota"}, "Stability, all sets", State.FAULT, "0.0 credits left"),
        ({"target": "stability", "kind": "503"}, "Stability, set 2", State.WARNING, "answered with 503"),
        ({"target": "minimax", "kind": "quota"}, "MiniMax, all sets", State.FAULT, "out of credit (1008)"),
        ({"target": "minimax", "kind": "base_resp", "code": 2049}, "MiniMax, set 4", State.FAULT, "rejects the key"),
        ({"target": "minimax", "kind": "429"}, "MiniMax, set 1", State.WARNING, "told to wait (1002)"),
    ],
)
async def test_each_answer_of_a_provider_is_judged(
    tmp_path: Path, fault: dict[str, Any], subject: str, state: State, told: str
) -> None:
    """What all keys of a provider suffer alike is said once, what is a matter of one key for each."""
    async with SimulatorServer(discord_config(faults=({"route": "", **fault},))) as sim:
        found = await findings(tmp_path, sim)
    assert found[subject].state is state
    assert told in found[subject].detail
    assert found[subject].advice


async def test_a_key_that_may_not_list_models_is_no_rejected_key(tmp_path: Path) -> None:
    """OpenAI answers 401 or 403 with the missing scope to a restricted key, which may chat all the same."""
    from ops.doctor.asking import Answer
    from ops.doctor.keys import _openai_finding

    said = {"error": {"message": "You have insufficient permissions. Missing scopes: api.model.read.", "code": None}}
    case: Any = None  # nothing of it is needed for this answer
    finding = _openai_finding(case, "OpenAI, set 1", Answer(403, content=json.dumps(said).encode()))
    assert finding.state is State.WARNING
    assert _openai_finding(case, "OpenAI, set 1", Answer(403)).state is State.FAULT


async def test_the_checks_cost_nothing(sim: SimulatorServer, tmp_path: Path) -> None:
    """Every call at a provider is one it does not charge for, one for each key, and who its account is."""
    await findings(tmp_path, sim)
    calls = [event for event in sim.ledger.events if event["event"] == "provider_call"]
    assert len(calls) == 16
    assert {(call["provider"], call["route"], call["costly"]) for call in calls} == {
        ("openai", "models", False),
        ("stability", "balance", False),
        ("stability", "account", False),
        ("minimax", "query", False),
    }


async def test_commands_that_drifted_are_named(tmp_path: Path) -> None:
    """One that is missing and one whose description is an older one are named, with what to do."""
    changed = {**COMMANDS[1], "description": "as it was in an earlier version"}
    async with SimulatorServer(discord_config(commands=(changed, *COMMANDS[2:]))) as sim:
        finding = (await findings(tmp_path, sim))["Discord, commands"]
    assert finding.state is State.WARNING
    assert finding.detail.startswith("1 missing, 1 different: ")
    assert COMMANDS[0]["name"] in finding.detail
    assert COMMANDS[1]["name"] in finding.detail
    assert "register" in finding.advice


async def test_nothing_registered_is_told(tmp_path: Path) -> None:
    """A bot without commands answers nobody; but they may be in one server only."""
    async with SimulatorServer(discord_config(commands=())) as sim:
        finding = (await findings(tmp_path, sim))["Discord, commands"]
    assert finding.state is State.WARNING
    assert f"none of this version's {len(COMMANDS)} is registered" in finding.detail


async def test_another_address_at_discord_is_a_fault(tmp_path: Path) -> None:
    """Asked about one address, the doctor says that Discord calls another; a query, perhaps a secret, is not shown."""
    elsewhere = "https://old.example.com/interactions?key=s3cret"
    async with SimulatorServer(discord_config(default_target=elsewhere)) as sim:
        found = await found_at("http://127.0.0.1:9/interactions?key=an0ther", tmp_path, sim)
    finding = found["Discord, address"]
    assert finding.state is State.FAULT
    assert finding.detail == "Discord calls https://old.example.com/interactions, not http://127.0.0.1:9/interactions"
    assert "s3cret" not in str(found)
    assert "an0ther" not in str(found)
    assert found["public address"].state is State.FAULT
    assert "the connection is refused" in found["public address"].detail


async def test_no_answer_within_its_time_is_told_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that hangs costs its own time only."""
    monkeypatch.setattr("ops.doctor.keys.WITHIN_S", 2.0)  # the others answer in time on a busy machine, too
    hanging = ({"target": "stability", "route": "balance", "kind": "hang", "seconds": 30},)
    async with SimulatorServer(discord_config(faults=hanging)) as sim:
        found = await findings(tmp_path, sim)
    assert found["Stability, all sets"].detail == "no answer within 2 s"
    assert found["OpenAI, set 4"].state is State.OK


async def test_a_host_without_token_asks_discord_nothing(sim: SimulatorServer, tmp_path: Path) -> None:
    """A host that only runs nginx holds no secret, which is no fault."""
    found = await findings(
        tmp_path,
        sim,
        DISCORD_TOKEN=None,
        INSTANCES_HERE="none",
        INSTANCE_ADDRESSES="127.0.0.1:1,127.0.0.1:2,127.0.0.1:3,127.0.0.1:4",
    )
    assert found["Discord"].state is State.NOT_CHECKED
    assert found["instance-3, health"].state is State.FAULT
    assert [event for event in sim.ledger.events if event["event"] == "discord_api"] == []
