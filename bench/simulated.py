"""A simulated Discord or OpenAI in a process of its own, its ledger, and how late its event loop was."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from bench.processes import START_WITHIN_S, ServerFailed, ServerProcess, free_port, server
from simulator.app import create_app
from simulator.client import ControlClient
from simulator.config import SimulatorConfig, Speed
from simulator.ledger import read_ledger
from simulator.server import DISCORD_PATH

AS_ITSELF = Speed()
APPLICATION_ID = "1200000000000000000"


@dataclass(frozen=True, slots=True)
class Lag:
    """How late an event loop was (milliseconds), and how much of a core its process used."""

    p50_ms: float
    p99_ms: float
    most_ms: float
    cores: float


@dataclass(frozen=True)
class Simulated:
    """A running simulator."""

    process: ServerProcess
    url: str
    config: Path
    ledger: Path

    @classmethod
    @contextmanager
    def running(
        cls, directory: Path, *, name: str = "simulator", seed: int, speed: Speed = AS_ITSELF, core: int | None = None,
        **more: Any,
    ) -> Iterator[Self]:  # fmt: skip
        """Run one on a free loopback port, without limits unless `more` of its configuration says so."""
        home = directory / name
        home.mkdir()
        port, config, ledger = free_port(), home / "config.json", home / "ledger.jsonl"
        told = {"seed": seed, "application_id": APPLICATION_ID, "speed": asdict(speed), **more}
        config.write_text(json.dumps(told))
        arguments = ["-m", "bench.servers.simulated", str(port), str(config), str(ledger)]
        with server(arguments, port=port, directory=home, environment={}, core=core) as process:
            _await(process)
            yield cls(process, f"http://127.0.0.1:{port}", config, ledger)

    @property
    def openai_url(self) -> str:
        """OpenAI's base URL."""
        return f"{self.url}/openai/v1"

    @property
    def discord_url(self) -> str:
        """The base of Discord's API."""
        return self.url + DISCORD_PATH

    @cached_property
    def public_key(self) -> str:
        """The application's public key, which follows from the seed."""
        return str(create_app(SimulatorConfig.from_file(self.config)).discord.public_key)

    def control(self) -> ControlClient:
        """Return a client that acts as Discord's users."""
        return ControlClient(self.url)

    def events(self) -> Sequence[dict[str, Any]]:
        """Return what the ledger holds by now."""
        return read_ledger(self.ledger)

    def lag(self, t0: float, t1: float) -> Lag:
        """Return how late its loop was between two moments (CLOCK_MONOTONIC)."""
        return lag_of(self.ledger.with_suffix(".lag").read_text().splitlines(), t0, t1)


def _await(process: ServerProcess) -> None:
    """Wait until it listens; raise what its output ends with if it does not get there."""
    give_up = time.monotonic() + START_WITHIN_S
    while True:
        process.check()
        try:
            socket.create_connection(("127.0.0.1", process.port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise ServerFailed("the simulator did not come up") from None
        time.sleep(0.02)


def lag_of(lines: Sequence[str], t0: float, t1: float) -> Lag:
    """Return what the watcher's lines say; a last one may be half written."""
    seen = []
    for line in lines:
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if t0 <= one["t"] <= t1:
            seen.append(one)
    if len(seen) < 2:
        return Lag(float("inf"), float("inf"), float("inf"), 0.0)
    late = sorted(one["late_s"] for one in seen)
    cores = (seen[-1]["cpu_s"] - seen[0]["cpu_s"]) / (seen[-1]["t"] - seen[0]["t"])
    return Lag(1000 * late[len(late) // 2], 1000 * late[int(0.99 * (len(late) - 1))], 1000 * late[-1], cores)
