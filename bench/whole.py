"""The whole system on this machine: nginx, four instances, and the simulated world in processes of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import data_directory
from bench.processes import free_port
from bench.simulated import APPLICATION_ID, Simulated
from ops import native
from ops.checks import check
from ops.envfile import KEY_NAMES, format_line, read_env_file
from ops.failures import OpsError
from ops.health import get_json
from ops.ports import LOOPBACK
from ops.processes import wait_for
from ops.shutdown import stop
from ops.system import Paths, System
from simulator.config import Speed

INSTANCES = 4
SEED = 1
ACQUAINTED_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything, running. Discord and OpenAI are two processes, so that neither has to wait for the other."""

    discord: Simulated
    openai: Simulated
    system: System
    paths: Paths

    @property
    def target(self) -> str:
        """Where Discord posts interactions: nginx."""
        return f"{self.system.public_url}/interactions"

    def logs(self) -> Mapping[str, Path]:
        """The log of each instance, by its name."""
        return {name: self.paths.log(name) for name in self.system.instances}


@contextmanager
def whole_system(speed: Speed, slots: int, **more: str) -> Iterator[Whole]:
    """Start everything, with `slots` jobs at once on each instance and no limits that belong to users or keys."""
    with ExitStack() as stack:
        directory = stack.enter_context(data_directory())
        discord = stack.enter_context(Simulated.running(directory, name="discord", seed=SEED))
        openai = stack.enter_context(Simulated.running(directory, name="openai", seed=SEED, speed=speed))
        env = directory / "env.multi"
        values = {**_values(directory, discord, openai), "MAX_CONCURRENT_JOBS": str(slots), **more}
        env.write_text("".join(format_line(name, value) + "\n" for name, value in values.items()))
        env.chmod(0o600)
        file = read_env_file(env)
        report = check(file)
        if report.settings is None:
            raise OpsError("The benchmark's configuration is wrong:\n  " + "\n  ".join(report.faults))
        paths = Paths(file.data_dir)
        stack.callback(stop, paths, _silent)
        system = native.start(file, report.settings, _silent)
        _acquaint(system)
        yield Whole(discord, openai, system, paths)


def _values(directory: Path, discord: Simulated, openai: Simulated) -> dict[str, str]:
    unlimited = ("CHAT_DAILY_LIMIT", "IMAGE_DAILY_LIMIT", "VIDEO_DAILY_LIMIT", "IMAGE_COOLDOWN_S", "VIDEO_COOLDOWN_S")
    keys = {f"{name}_{k}": f"simulated-{secrets.token_hex(8)}" for k in range(1, INSTANCES + 1) for name in KEY_NAMES}
    return {
        "DISCORD_TOKEN": f"simulated-{secrets.token_hex(8)}",
        "DISCORD_APPLICATION_ID": APPLICATION_ID,
        "DISCORD_PUBLIC_KEY": discord.public_key,
        "PUBLIC_HOST": LOOPBACK,
        "PUBLIC_PORT": str(free_port()),
        "OPS_PORT": str(free_port()),
        "DATA_DIR": str(directory / "data"),
        "DISCORD_API_URL": discord.discord_url,
        "OPENAI_BASE_URL": openai.openai_url,
        "STABILITY_BASE_URL": f"{openai.url}/stability",
        "MINIMAX_BASE_URL": f"{openai.url}/minimax",
        "INSTANCE_COUNT": str(INSTANCES),
        "OPENAI_RPM": "1000000",
        "NO_PROXY": "127.0.0.1,localhost",
        **dict.fromkeys(unlimited, "0"),
        **keys,
    }


def _acquaint(system: System) -> None:
    """Wait until the instances know each other: before that they lease differently."""
    everyone = list(range(1, len(system.ports) + 1))
    pages = [f"http://{LOOPBACK}:{port}/stats" for port in system.ports]
    if not wait_for(
        lambda: all((get_json(page) or {}).get("alive") == everyone for page in pages), ACQUAINTED_WITHIN_S
    ):
        raise OpsError(f"the instances did not see each other within {ACQUAINTED_WITHIN_S:.0f} s")


def _silent(text: str) -> None:
    pass
