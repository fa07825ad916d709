"""One cell's stage: the simulator that enforces each key's limits, and the configuration of the system before it."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.capacity.cells import SETS, Cell, Mode, Plan, Work
from bench.processes import free_port
from ops.checks import OperatorSettings, check
from ops.envfile import KEY_NAMES, EnvFile, format_line, read_env_file
from ops.failures import OpsError
from ops.ports import LOOPBACK
from simulator.app import create_app
from simulator.config import SimulatorConfig

APPLICATION_ID = "1200000000000000000"
DEAD_SET, LIMITED_SET = "set-1", "set-2"
"""With faults: whose keys are rejected, and whose answer 429. Set 1 is the home of all users on one home."""

_MODES: Mapping[Mode, Mapping[str, str]] = {
    Mode.ONE_SET: {"INSTANCE_COUNT": "1"},
    Mode.FUNCTIONAL: {"ROUTING": "functional"},
    Mode.MODULO: {"STEALING": "off"},
    Mode.QUARTET: {},
}


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything a cell starts with."""

    file: EnvFile
    settings: OperatorSettings
    simulator_url: str
    simulator_command: list[str]
    control_token: str
    ledger: Path

    @property
    def target(self) -> str:
        """Where the simulated Discord sends interactions: nginx."""
        return f"http://{LOOPBACK}:{self.settings.public_port}/interactions"


def build_stage(cell: Cell, plan: Plan, directory: Path) -> Stage:
    """Write both configurations into `directory`."""
    public, ops, port = (free_port() for _ in range(3))
    url = f"http://{LOOPBACK}:{port}"
    keys = {f"{name}_{k}": f"simulated-{secrets.token_hex(12)}" for k in range(1, SETS + 1) for name in KEY_NAMES}
    simulator = simulator_settings(cell, plan, keys)
    config, ledger, env = directory / "simulator.json", directory / "ledger.jsonl", directory / "env.multi"
    config.write_text(json.dumps(simulator, indent=1))
    # The key pair follows from the seed, so the public key is known before the simulator runs.
    public_key = create_app(SimulatorConfig.from_file(config)).discord.public_key
    values = {
        "DISCORD_TOKEN": simulator["bot_token"],
        "DISCORD_APPLICATION_ID": APPLICATION_ID,
        "DISCORD_PUBLIC_KEY": public_key,
        "PUBLIC_HOST": LOOPBACK,
        "PUBLIC_PORT": str(public),
        "OPS_PORT": str(ops),
        "DATA_DIR": str(directory),
        "DISCORD_API_URL": f"{url}/discord/api/v10",
        "OPENAI_BASE_URL": f"{url}/openai/v1",
        "STABILITY_BASE_URL": f"{url}/stability",
        "MINIMAX_BASE_URL": f"{url}/minimax",
        "NO_PROXY": "127.0.0.1,localhost",
        **{name: secret for name, secret in keys.items() if int(name.rpartition("_")[2]) <= cell.instances},
        **product_settings(cell, plan),
    }
    env.write_text("".join(format_line(name, value) + "\n" for name, value in values.items()))
    env.chmod(0o600)
    file = read_env_file(env)
    report = check(file)
    if report.settings is None:
        raise OpsError("The benchmark's configuration is wrong:\n  " + "\n  ".join(report.faults))
    command = [sys.executable, "-m", "simulator", "--host", LOOPBACK, "--port", str(port)]
    command += ["--ledger", str(ledger), "--config", str(config)]
    return Stage(file, report.settings, url, command, str(simulator["control_token"]), ledger)


def product_settings(cell: Cell, plan: Plan) -> dict[str, str]:
    """What differs from the defaults: the keys' limits, and no limits of users, which are not what is measured."""
    unlimited = dict.fromkeys(
        ("CHAT_DAILY_LIMIT", "IMAGE_DAILY_LIMIT", "VIDEO_DAILY_LIMIT", "IMAGE_COOLDOWN_S", "VIDEO_COOLDOWN_S"), "0"
    )
    mode = {"INSTANCE_COUNT": str(SETS), "VIDEO_POLL_S": "1", **unlimited, **_MODES[cell.mode]}
    if cell.work is Work.RUSH:
        return {**mode, "MAX_CONCURRENT_JOBS": str(plan.rush_slots)}
    return {
        **mode,
        "OPENAI_RPM": str(plan.openai_rpm),
        "STABILITY_RPM": str(plan.stability_rpm),
        "MINIMAX_RPD": str(plan.minimax_rpd),
    }


def simulator_settings(cell: Cell, plan: Plan, keys: Mapping[str, str]) -> dict[str, Any]:
    """The simulator's configuration: the same limits, enforced by the other side."""
    limits = {
        "openai": {"rpm": plan.openai_rpm},
        "stability": {"rpm": plan.stability_rpm},
        "minimax": {"rpd": plan.minimax_rpd},
    }
    return {
        "seed": plan.seed,
        "application_id": APPLICATION_ID,
        "bot_token": f"simulated-{secrets.token_hex(12)}",
        "control_token": secrets.token_urlsafe(16),
        "keys": [
            {"provider": name.partition("_")[0].lower(), "secret": secret, "label": f"set-{name.rpartition('_')[2]}"}
            for name, secret in keys.items()
        ],
        "limits": {} if cell.work is Work.RUSH else limits,
        "image_px": 64,
    }


def faults_of(cell: Cell, plan: Plan) -> list[dict[str, str]]:
    """Return the faults of a cell, for the simulator's control API."""
    if not cell.faults:
        return []
    return [
        {"target": provider, "kind": kind, "key": key}
        for provider in plan.limits(cell.work)
        for key, kind in ((DEAD_SET, "401"), (LIMITED_SET, "429"))
    ]
