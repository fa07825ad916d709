"""The doctor finds what is wrong between the file and Discord, and never shows a secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ops.doctor import Finding, examine
from simulator.config import SimulatorConfig
from simulator.server import SimulatorServer
from tests.unit.ops.files import env_file

APPLICATION = "1200000000000000000"


@pytest.fixture(name="discord")
async def a_simulated_discord() -> AsyncIterator[SimulatorServer]:
    """Discord's API over real HTTP."""
    async with SimulatorServer(SimulatorConfig(application_id=APPLICATION, bot_token="test-bot-token")) as sim:
        yield sim


async def findings(directory: Path, discord: SimulatorServer, **changes: str | None) -> dict[str, Finding]:
    """What the doctor finds with nothing running; the last finding of each subject."""
    given = {
        "DATA_DIR": f"'{directory}/data'",
        "DISCORD_API_URL": discord.discord_url,
        "DISCORD_PUBLIC_KEY": discord.public_key,
        **changes,
    }
    file = env_file(directory, **given)
    found = await asyncio.to_thread(lambda: list(examine(file)))
    assert "test-bot-token" not in str(found)
    assert "of-set-" not in str(found)
    return {finding.subject: finding for finding in found}


async def test_what_belongs_together_is_well(discord: SimulatorServer, tmp_path: Path) -> None:
    """Token, application id and public key are of one application."""
    found = await findings(tmp_path, discord)
    assert found["Discord"].well
    assert found["configuration"].well


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"DISCORD_TOKEN": "another-token"}, "does not accept DISCORD_TOKEN"),
        ({"DISCORD_APPLICATION_ID": "1300000000000000000"}, "another application than DISCORD_APPLICATION_ID"),
        ({"DISCORD_PUBLIC_KEY": "cd" * 32}, "DISCORD_PUBLIC_KEY is not this application's"),
        ({"DISCORD_API_URL": "http://127.0.0.1:1/api"}, "can't be reached"),
    ],
)
async def test_each_mismatch_with_discord_is_told_by_its_variable(
    discord: SimulatorServer, tmp_path: Path, changes: dict[str, str | None], told: str
) -> None:
    """A wrong public key is otherwise known only by Discord refusing the endpoint, without a reason."""
    finding = (await findings(tmp_path, discord, **changes))["Discord"]
    assert not finding.well
    assert told in finding.detail


async def test_a_wrong_file_is_as_far_as_it_looks(discord: SimulatorServer, tmp_path: Path) -> None:
    """Its faults are the findings; nobody is asked with half a configuration."""
    found = await findings(tmp_path, discord, OPENAI_API_KEY_1="")
    assert not found["configuration"].well
    assert "Discord" not in found


async def test_a_taken_port_is_found(discord: SimulatorServer, tmp_path: Path) -> None:
    """With nothing of ours running, whoever holds the port is in the way."""
    port = discord.url.rpartition(":")[2]
    finding = (await findings(tmp_path, discord, PUBLIC_HOST="127.0.0.1", PUBLIC_PORT=port))["PUBLIC_PORT"]
    assert not finding.well
    assert f"port {port} is taken by pid" in finding.detail
