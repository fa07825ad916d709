"""The two scripts an operator runs: deploy-multi.sh from any place, register_commands.py against a Discord."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.commands.registry import COMMANDS
from app.discord.creations import Creations
from ops.envfile import ROOT
from simulator.config import SimulatorConfig
from simulator.server import SimulatorServer
from tests.kit.waiting import wait_until
from tests.unit.ops.files import filled

SHIPPED = ("ops", "app", "proxy", "simulator", "scripts", "deploy-multi.sh", "pyproject.toml", "uv.lock")


@pytest.fixture(name="checkout")
def a_fresh_checkout() -> Iterator[Path]:
    """A checkout without an environment, at a path with a blank, owned by an ordinary user if we are root."""
    place = Path(tempfile.mkdtemp(prefix="quartet checkout "))
    checkout = place / "co"
    checkout.mkdir()
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, checkout / name)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "nobody", str(place)], check=True)
    yield checkout
    shutil.rmtree(place)


def as_ordinary_user(*command: str) -> list[str]:
    return [shutil.which("runuser") or "", "-u", "nobody", "--", *command] if os.geteuid() == 0 else list(command)


@pytest.mark.processes
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("runuser") is None, reason="runuser is not installed")
def test_deploy_multi_sets_itself_up_at_any_place_for_any_user(checkout: Path) -> None:
    """Two first calls at once make one environment; it is reused, and made anew when the checkout has moved."""
    command = as_ordinary_user(str(checkout / "deploy-multi.sh"), "status")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", **certificates()}
    first = [
        subprocess.Popen(command, cwd="/", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outcomes = [(*process.communicate(timeout=240), process.returncode) for process in first]
    assert [(out.strip(), code) for out, _, code in outcomes] == [("Not running.", 3)] * 2, outcomes
    assert sum("Setting up the Python environment" in err for _, err, _ in outcomes) == 1

    again = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (again.stdout.strip(), again.stderr, again.returncode) == ("Not running.", "", 3)

    moved = checkout.with_name("moved")
    checkout.rename(moved)
    command = as_ordinary_user(str(moved / "deploy-multi.sh"), "status")
    there = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert there.returncode == 3, there.stderr
    assert str(moved) in (moved / ".venv" / "bin" / "typer").read_text()
    moved.rename(checkout)


def certificates() -> dict[str, str]:
    """What this machine needs to reach its package index."""
    names = (
        "SSL_CERT_FILE",
        "PIP_CERT",
        "PIP_INDEX_URL",
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "HTTPS_PROXY",
        "NO_PROXY",
    )
    return {name: os.environ[name] for name in names if name in os.environ}


@pytest.fixture(name="discord")
async def a_simulated_discord() -> AsyncIterator[SimulatorServer]:
    """Discord's commands API over real HTTP, strict."""
    async with SimulatorServer(
        SimulatorConfig(application_id="1200000000000000000", bot_token="test-bot-token")
    ) as sim:
        yield sim


async def register(discord: SimulatorServer, directory: Path, *arguments: str, **changes: str) -> tuple[int, str]:
    """Run the script as an operator would; return its exit code and everything it said."""
    env_file = directory / ".env.multi"
    places = {"DISCORD_API_URL": discord.discord_url, "DATA_DIR": str(directory / "data")}
    env_file.write_text(filled(**{**places, **changes}))
    command = [str(ROOT / "scripts" / "register_commands.py"), "--env-file", str(env_file), *arguments]
    return await run(*command)


async def run(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd="/", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_commands_are_registered_once_and_a_second_run_changes_nothing(
    discord: SimulatorServer, tmp_path: Path
) -> None:
    """A dry run sends nothing; then Discord has every command; then there is nothing left to change."""
    code, said = await register(discord, tmp_path, "--plan")
    assert code == 0
    assert "+ /채팅" in said
    assert f"Creates {len(COMMANDS)} of 200 a day (0 created from here today)." in said
    assert not any(discord.app.discord.commands.values())
    code, said = await register(discord, tmp_path)
    assert code == 0, said
    (registered,) = discord.app.discord.commands.values()
    assert {command["name"] for command in registered.values()} == set(COMMANDS)
    code, said = await register(discord, tmp_path)
    assert (code, "Nothing to change" in said) == (0, True)


async def test_a_guilds_commands_are_its_own(discord: SimulatorServer, tmp_path: Path) -> None:
    """With --guild they are there and nowhere else."""
    code, said = await register(discord, tmp_path, "--guild", "123456789012345678")
    assert code == 0, said
    filled_scopes = [scope for scope, found in discord.app.discord.commands.items() if found]
    assert len(filled_scopes) == 1
    assert "123456789012345678" in str(filled_scopes[0])


async def test_commands_of_somebody_else_are_deleted_only_if_asked_for(
    discord: SimulatorServer, tmp_path: Path
) -> None:
    """What Quartet does not have stays and is named; --delete removes it."""
    await register(discord, tmp_path)
    (registered,) = discord.app.discord.commands.values()
    registered["1"] = {**next(iter(registered.values())), "id": "1", "name": "older", "type": 1}
    code, said = await register(discord, tmp_path)
    assert (code, "! /older" in said, "--delete removes them" in said) == (0, True, True), said
    (registered,) = discord.app.discord.commands.values()
    assert "older" in {command["name"] for command in registered.values()}
    code, said = await register(discord, tmp_path, "--delete")
    assert (code, "- /older" in said) == (0, True), said
    (registered,) = discord.app.discord.commands.values()
    assert "older" not in {command["name"] for command in registered.values()}


async def test_more_than_a_days_creations_are_not_sent(discord: SimulatorServer, tmp_path: Path) -> None:
    """Discord's 200 a day are kept by the count of what was created from here, before anything is sent."""
    Creations(tmp_path / "data", time.time()).add(None, 199)
    code, said = await register(discord, tmp_path)
    assert (code, "200 command creations a day; 199 were made" in said) == (1, True), said
    assert not any(discord.app.discord.commands.values())


async def test_watching_registers_again_when_a_definition_changes(discord: SimulatorServer, tmp_path: Path) -> None:
    """In a guild, and in no other scope; without a guild the reason why not is given."""
    code, said = await register(discord, tmp_path, "--watch")
    assert (code, "--watch: needs --guild" in said) == (2, True)
    copy = tmp_path / "copy"
    for name in ("app", "ops", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    script = str(copy / "scripts" / "register_commands.py")
    env_file = str(tmp_path / ".env.multi")
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, "--env-file", env_file, "--guild", "77", "--watch",
        cwd="/", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    def described() -> str:
        scope = next((found for key, found in discord.app.discord.commands.items() if "77" in str(key)), {})
        return next((command["description"] for command in scope.values() if command["name"] == "핑"), "")

    try:
        await wait_until(lambda: bool(described()), 30, "the first registration")
        ping = copy / "app" / "commands" / "ping.py"
        ping.write_text(ping.read_text().replace(described(), "달라진 설명"))
        await wait_until(lambda: described() == "달라진 설명", 30, "the second registration")
    finally:
        process.terminate()  # SIGINT is ignored by what a shell has put in the background
        await asyncio.wait_for(process.wait(), 20)
    assert process.returncode == 0


async def test_a_refused_token_is_named_and_not_shown(discord: SimulatorServer, tmp_path: Path) -> None:
    """The operator reads which variable is wrong; the token is not in the output."""
    code, said = await register(discord, tmp_path, DISCORD_TOKEN="wrong-token-value")
    assert code == 1
    assert "DISCORD_TOKEN" in said
    assert "wrong-token-value" not in said


async def test_missing_variables_are_named_all_at_once(discord: SimulatorServer, tmp_path: Path) -> None:
    """Exit code 2, and no traceback."""
    code, said = await register(
        discord, tmp_path, "--guild", "here", DISCORD_TOKEN="", DISCORD_APPLICATION_ID="", DISCORD_API_URL="nowhere"
    )
    assert code == 2
    for name in ("DISCORD_TOKEN", "DISCORD_APPLICATION_ID", "DISCORD_API_URL", "--guild"):
        assert f"{name}: " in said
    assert "Traceback" not in said
