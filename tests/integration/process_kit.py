"""Instances as real processes, to be killed as an operator's machine would kill them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from ops.ports import free_port
from simulator.server import SimulatorServer
from tests.kit.running import PROVIDERS, key_of
from tests.kit.waiting import wait_until

START_S = 30.0


class Process:
    """One `python -m app`; `start` again after `kill` is the next life of the same instance.

    With `logs` it writes every line to `instance-<k>.log` in that directory, else warnings to nowhere.
    """

    def __init__(
        self, sim: SimulatorServer, data_dir: Path, instance: int, count: int, *, logs: Path | None = None, **more: str
    ) -> None:
        self._log = logs / f"instance-{instance}.log" if logs else Path(os.devnull)
        self.port = free_port(0, avoid={0})
        self.url = f"http://127.0.0.1:{self.port}"
        self.interactions = f"{self.url}/interactions"
        self._environment = {
            "PATH": os.environ["PATH"], "INSTANCE_ID": str(instance), "INSTANCE_COUNT": str(count),
            "HOST": "127.0.0.1", "PORT": str(self.port), "DATA_DIR": str(data_dir), "VIDEO_POLL_S": "0.2",
            "DISCORD_APPLICATION_ID": sim.app.world.config.application_id, "DISCORD_PUBLIC_KEY": sim.public_key,
            "DISCORD_TOKEN": "simulated-bot-token", "DISCORD_API_URL": sim.discord_url,
            "OPENAI_BASE_URL": sim.openai_url, "STABILITY_BASE_URL": sim.stability_url,
            "MINIMAX_BASE_URL": sim.minimax_url, "LOG_LEVEL": "INFO" if logs else "WARNING",
            **{f"{provider.upper()}_API_KEY": key_of(provider, instance) for provider in PROVIDERS}, **more,
        }  # fmt: skip
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until it is healthy."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app", env=self._environment, stdout=log
            )
        async with httpx2.AsyncClient(trust_env=False) as client:

            async def ready() -> bool:
                with contextlib.suppress(httpx2.HTTPError):
                    if (await client.get(f"{self.url}/health")).status_code == 200:
                        stats = (await client.get(f"{self.url}/stats")).json()
                        return bool(stats["instances"][stats["answered_by"] - 1]["ready"])
                return False

            await wait_until(ready, START_S, "the instance is healthy and may lease")

    async def run_to_end(self) -> tuple[int | None, str]:
        """Start what is expected to end by itself; returns its exit code and all it said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", env=self._environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(process.communicate(), START_S)
        return process.returncode, said.decode()

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it: SIGKILL as the kernel would, SIGTERM as an operator would."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(number)
            await process.wait()


@asynccontextmanager
async def processes(
    sim: SimulatorServer, data_dir: Path, count: int, *, logs: Path | None = None, **more: str
) -> AsyncIterator[list[Process]]:
    """Run `count` instances that share one file, or what `STORE_URL` among `more` variables names."""
    running = [Process(sim, data_dir, instance, count, logs=logs, **more) for instance in range(1, count + 1)]
    try:
        await asyncio.gather(*(process.start() for process in running))
        yield running
    finally:
        await asyncio.gather(*(process.kill() for process in running))
