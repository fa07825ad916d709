"""A system in real containers with a simulator beside it, handled by the operator's tool as an operator would."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ops.engine import Engine, find_engine
from ops.envfile import KEY_NAMES, ROOT, format_line
from ops.health import get
from simulator.app import create_app
from simulator.client import ControlClient
from simulator.config import SimulatorConfig
from tests.acceptance.native_kit import until
from tests.acceptance.proxy_kit import free_port

BASES = ("docker.io/library/python:3.13-slim", "docker.io/library/nginx:1.29")
PULLED_WITHIN_S = 120.0
HOMES = 6
SIMULATOR_PORT = 8090
IMAGE = "quartet:local"


@cache
def missing() -> str:
    """Why there can be no containers here; empty if there can."""
    engine, reason = find_engine()
    if engine is None:
        return reason
    for image in BASES:
        if engine.ask("image", "inspect", image).returncode != 0 and not _pulled(engine, image):
            return f"{engine.binary} has no image {image}, and can't fetch it."
    tried = engine.ask("run", "--rm", BASES[0], "true", timeout=PULLED_WITHIN_S)
    if tried.returncode != 0:  # it is installed, but can't give a container its network or its limits
        lines = (tried.stderr or tried.stdout).strip().splitlines() or ["no reason given"]
        return f"{engine.binary} can't start a container here: {lines[-1][:200]}"
    return ""


def _pulled(engine: Engine, image: str) -> bool:
    with suppress(subprocess.TimeoutExpired):
        return engine.ask("pull", image, timeout=PULLED_WITHIN_S).returncode == 0
    return False


def user_of(home: int, count: int) -> str:
    """A user whose home this is, with an id too large for a double."""
    return str(10**17 - 10**17 % count + home - 1)


@dataclass
class Containers:
    """One system of containers, of its own name, ports and network; `first_answer_s` is measured by the fixture."""

    directory: Path
    project: str = field(default_factory=lambda: f"quartet-test-{secrets.token_hex(3)}")
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    public_port: int = field(default_factory=free_port)
    ops_port: int = field(default_factory=free_port)
    control_port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    subnet: str = field(default_factory=lambda: f"10.203.{100 + os.getpid() % 150}")
    began: float = 0.0

    @property
    def engine(self) -> Engine:
        """The engine at hand."""
        engine, reason = find_engine()
        assert engine is not None, reason
        return engine

    @property
    def env_file(self) -> Path:
        """The operator's file."""
        return self.directory / ".env.multi"

    @property
    def target(self) -> str:
        """Where the simulator finds the interactions endpoint."""
        return "http://nginx:8080/interactions"

    def control(self) -> ControlClient:
        """Drives the simulator."""
        return ControlClient(f"http://127.0.0.1:{self.control_port}", self.token)

    def configure(self, **changes: str) -> None:
        """Write the simulator's configuration and the operator's file with keys for six instances."""
        self.directory.mkdir(parents=True, exist_ok=True)
        keys = {f"{name}_{k}": f"simulated-{name}-{k}".lower() for k in range(1, HOMES + 1) for name in KEY_NAMES}
        simulator = {
            "seed": 7,
            "bot_token": "simulated-bot-token",
            "control_token": self.token,
            "public_url": f"http://{self.subnet}.5:{SIMULATOR_PORT}",
            "image_px": 32,
            "keys": [
                {"provider": name.partition("_")[0].lower(), "secret": secret, "label": f"set-{name[-1]}"}
                for name, secret in keys.items()
            ],
        }
        (self.directory / "simulator.json").write_text(json.dumps(simulator))
        (self.directory / "simulator.json").chmod(0o644)
        url = simulator["public_url"]
        values = {
            "DISCORD_TOKEN": "simulated-bot-token",
            "DISCORD_APPLICATION_ID": "1200000000000000000",
            "DISCORD_PUBLIC_KEY": create_app(SimulatorConfig.from_dict(simulator)).discord.public_key,
            **keys,
            "PUBLIC_HOST": "127.0.0.1",
            "PUBLIC_PORT": str(self.public_port),
            "OPS_PORT": str(self.ops_port),
            "TLS_PORT": str(self.tls_port),
            "CONTAINER_SUBNET": self.subnet,
            "DATA_DIR": str(self.directory / "data"),
            "DISCORD_API_URL": f"{url}/discord/api/v10",
            "OPENAI_BASE_URL": f"{url}/openai/v1",
            "STABILITY_BASE_URL": f"{url}/stability",
            "MINIMAX_BASE_URL": f"{url}/minimax",
            "CHAT_DAILY_LIMIT": "100000",
            **changes,
        }
        self.env_file.write_text("".join(format_line(name, value) + "\n" for name, value in values.items()))
        self.env_file.chmod(0o600)

    def command(self, *arguments: str) -> list[str]:
        """One command of the operator's tool."""
        return [sys.executable, "-m", "ops", *arguments, "--env-file", str(self.env_file)]

    @property
    def environment(self) -> dict[str, str]:
        """With a project of its own, so that no other containers are touched."""
        return {**os.environ, "COMPOSE_PROJECT_NAME": self.project, "QUARTET_CWD": str(ROOT)}

    def run(self, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run one command of the operator's tool to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def must(self, *arguments: str) -> str:
        """Run one command that has to succeed; return what it printed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start_simulator(self) -> None:
        """Start Discord and the providers in a container of the same network, from this checkout's files."""
        mounts = [f"{ROOT}/simulator:/srv/quartet/simulator:ro", f"{self.directory}/simulator.json:/simulator.json:ro"]
        done = self.engine.ask(
            "run", "--detach", "--name", f"{self.project}-simulator", "--network", f"{self.project}_default",
            "--ip", f"{self.subnet}.5", "--publish", f"127.0.0.1:{self.control_port}:{SIMULATOR_PORT}",
            *(word for mount in mounts for word in ("--volume", mount)), "--tmpfs", "/data",
            "--health-cmd", "none", IMAGE,
            "python", "-m", "simulator", "--host", "0.0.0.0", "--port", str(SIMULATOR_PORT),
            "--config", "/simulator.json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        until(lambda: get(f"http://127.0.0.1:{self.control_port}/")[0] != 0, 20, "the simulator answers")

    def container(self, service: str) -> str:
        """The id of a service's container, running or not."""
        label = "label=com.docker.compose"
        filters = ["--filter", f"{label}.project={self.project}", "--filter", f"{label}.service={service}"]
        [found] = self.engine.ask("ps", "--all", "--quiet", *filters).stdout.split()
        return found

    def services(self) -> list[str]:
        """The services whose containers exist."""
        listed = self.engine.ask(
            "ps", "--all", "--filter", f"label=com.docker.compose.project={self.project}",
            "--format", '{{.Label "com.docker.compose.service"}}' if self.engine.binary == "docker" else
            '{{index .Labels "com.docker.compose.service"}}',
        )  # fmt: skip
        return sorted(listed.stdout.split())

    def end(self) -> None:
        """Take everything away, the volumes too, whatever state it is in."""
        self.engine.ask("rm", "--force", "--volumes", f"{self.project}-simulator")
        with suppress(subprocess.TimeoutExpired):
            self.run("stop")
        mine = f"label=com.docker.compose.project={self.project}"
        for left in self.engine.ask("ps", "--all", "--quiet", "--filter", mine).stdout.split():
            self.engine.ask("rm", "--force", "--volumes", left)
        for volume in self.volumes():
            self.engine.ask("volume", "rm", "--force", volume)
        self.engine.ask("network", "rm", f"{self.project}_default")

    def volumes(self) -> list[str]:
        """The project's named volumes."""
        named = self.engine.ask("volume", "ls", "--quiet", "--filter", f"name={self.project}_")
        return named.stdout.split()

    def seconds_since_start(self) -> float:
        """Since the operator called `start`."""
        return time.monotonic() - self.began
