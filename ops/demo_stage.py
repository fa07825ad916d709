"""The demo's stage: simulated keys, a configuration around them, the simulator's own. No key of anybody is needed."""

from __future__ import annotations

import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from ops.checks import OperatorSettings, check
from ops.envfile import KEY_NAMES, EnvFile, format_line, read_env_file
from ops.failures import OpsError
from ops.operator import Switchboard
from ops.ports import LOOPBACK, free_port
from ops.system import Paths
from simulator.app import create_app
from simulator.config import SimulatorConfig

INSTANCES = 4
PUBLIC_PORT, OPS_PORT, SIMULATOR_PORT = 8080, 8081, 8090
APPLICATION_ID = "1200000000000000000"


@dataclass(frozen=True)
class Stage:
    """Everything the demo starts with."""

    file: EnvFile
    settings: OperatorSettings
    simulator_url: str
    simulator_command: list[str]
    control_token: str

    @property
    def page(self) -> str:
        """The simulator's page, with what it needs to be let in."""
        return f"{self.simulator_url}/#token={self.control_token}"


def build_stage(data_dir: Path, board: Switchboard) -> Stage:
    """Write the demo's two configurations into `data_dir` and return what to start; `board` is the page's operator."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = free_port(PUBLIC_PORT)
    ops = free_port(OPS_PORT, [public])
    port = free_port(SIMULATOR_PORT, [public, ops])
    keys = {f"{name}_{k}": f"simulated-{secrets.token_hex(12)}" for k in range(1, INSTANCES + 1) for name in KEY_NAMES}
    control_token = secrets.token_urlsafe(16)
    simulator = {
        "seed": secrets.randbelow(2**31),
        "application_id": APPLICATION_ID,
        "bot_token": f"simulated-{secrets.token_hex(12)}",
        "control_token": control_token,
        "default_target": f"http://{LOOPBACK}:{public}/interactions",
        "operator_url": board.url,
        "operator_token": board.token,
        "instance_count": INSTANCES,
        "keys": [
            {"provider": name.partition("_")[0].lower(), "secret": secret, "label": f"set-{name.rpartition('_')[2]}"}
            for name, secret in keys.items()
        ],
    }
    config = data_dir / "simulator.json"
    _write(config, json.dumps(simulator, indent=1))
    # The key pair follows from the seed, so the public key is known before the simulator runs.
    discord = create_app(SimulatorConfig.from_file(config)).discord
    _write(Paths(data_dir).simulated_key, discord.signing_key.encode().hex())
    url = f"http://{LOOPBACK}:{port}"
    values = {
        "DISCORD_TOKEN": str(simulator["bot_token"]),
        "DISCORD_APPLICATION_ID": APPLICATION_ID,
        "DISCORD_PUBLIC_KEY": discord.public_key,
        **keys,
        "INSTANCE_COUNT": str(INSTANCES),
        "PUBLIC_HOST": LOOPBACK,
        "PUBLIC_PORT": str(public),
        "OPS_PORT": str(ops),
        "DATA_DIR": str(data_dir),
        "DISCORD_API_URL": f"{url}/discord/api/v10",
        "OPENAI_BASE_URL": f"{url}/openai/v1",
        "STABILITY_BASE_URL": f"{url}/stability",
        "MINIMAX_BASE_URL": f"{url}/minimax",
        "VIDEO_POLL_S": "0.5",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    env_file = data_dir / ".env.multi"
    _write(env_file, "".join(format_line(name, value) + "\n" for name, value in values.items()))
    file = read_env_file(env_file)
    report = check(file)
    if report.settings is None:
        raise OpsError("The demo's own configuration is wrong:\n  " + "\n  ".join(report.faults))
    command = [sys.executable, "-m", "simulator", "--host", LOOPBACK, "--port", str(port)]
    command += ["--ledger", str(data_dir / "ledger.jsonl"), "--config", str(config)]
    return Stage(file, report.settings, url, command, control_token)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
