"""The real thing on a stage: nginx, instances under the supervisor, and the simulator as a process of its own.

Everything listens on loopback, lies below one directory and is gone at the end: `stage` fails if a process is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.envfile import KEY_NAMES, ROOT, format_line
from ops.health import get
from ops.processes import is_alive, processes_of, wait_for
from ops.shutdown import stop
from ops.system import Paths
from simulator.client import ControlClient
from tests.acceptance.native_kit import free_block
from tests.faults.network import FaultyNetwork
from tests.redis_kit import RedisServer

APPLICATION_ID = "1200000000000000000"
BOT_TOKEN = "simulated-bot-token-of-the-fault-tests"
START_TIMEOUT_S = 90.0


@dataclass
class Happening:
    """Something that was done to the system, on the ledger's clock (CLOCK_MONOTONIC, seconds)."""

    t: float
    what: str
    instance: int = 0


@dataclass
class Stage:
    """A running system. Instances are numbered from 1."""

    directory: Path
    tree: Path
    base: int
    count: int
    keys: Mapping[str, str]
    simulator: subprocess.Popen[bytes]
    control: ControlClient
    public_key: str
    began: float
    happenings: list[Happening] = field(default_factory=list)
    redis: RedisServer | None = None

    @property
    def interactions(self) -> str:
        """Where Discord sends interactions: nginx."""
        return f"http://127.0.0.1:{self.base}/interactions"

    @property
    def ops_url(self) -> str:
        """Where nginx serves the operator's pages."""
        return f"http://127.0.0.1:{self.base + 1}"

    @property
    def ledger(self) -> Path:
        """The judge's file."""
        return self.directory / "ledger.jsonl"

    @property
    def env_file(self) -> Path:
        """The operator's file."""
        return self.directory / ".env.multi"

    @property
    def paths(self) -> Paths:
        """The system's own files."""
        return Paths((self.directory / "data").resolve())

    @property
    def database(self) -> Path:
        """The shared store, where STORE_URL does not say otherwise."""
        return self.paths.data_dir / "quartet.db"

    @property
    def secrets(self) -> list[str]:
        """What must not be seen anywhere."""
        return [*self.keys.values(), BOT_TOKEN]

    def instance_url(self, number: int) -> str:
        """An instance itself, past nginx."""
        return f"http://127.0.0.1:{self.base + 2 + number}"

    def pid(self, number: int) -> int:
        """The pid of an instance's present process, or of the launcher that is about to become it."""
        return int((self.paths.pids / f"instance-{number}").read_text())

    def note(self, what: str, instance: int = 0) -> Happening:
        """Write down what is done now."""
        happening = Happening(time.monotonic(), what, instance)
        self.happenings.append(happening)
        return happening

    def send(self, number: int, sent: signal.Signals) -> Happening:
        """Send a signal to an instance's process."""
        pid = self.pid(number)
        happening = self.note(f"{sent.name} to instance {number}, pid {pid}", number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sent)
        return happening

    def kill(self, number: int) -> Happening:
        """kill -9 an instance; the supervisor starts it again at once."""
        return self.send(number, signal.SIGKILL)

    @contextlib.contextmanager
    def supervisor_held(self) -> Iterator[None]:
        """Keep the supervisor from restarting anybody meanwhile, as if the machine were slow or the instance gone."""
        pid = int((self.paths.run / "supervisord.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        self.note("the supervisor is held")
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
            self.note("the supervisor goes on")

    def healthy(self, number: int) -> bool:
        """Whether an instance says it is well."""
        return get(f"{self.instance_url(number)}/health")[0] == 200

    async def all_healthy(self, timeout: float = 30.0) -> None:
        """Wait until every instance is well."""
        numbers = range(1, self.count + 1)
        fine = await asyncio.to_thread(wait_for, lambda: all(map(self.healthy, numbers)), timeout)
        assert fine, f"not healthy after {timeout} s: {[n for n in numbers if not self.healthy(n)]}"

    async def ops(self, *arguments: str, timeout: float = 180.0) -> subprocess.CompletedProcess[bytes]:
        """Run a command of the operator's tool on this system."""
        return await asyncio.to_thread(_ops, self.tree, self.env_file, arguments, timeout)

    def jobs(self) -> list[tuple[str, str, int, str]]:
        """Every job in the store: id, state, attempts, outcome. Only for what no ledger can show."""
        if self.redis is not None:
            return _jobs_in(self.redis)
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT id, state, attempts, outcome FROM jobs ORDER BY seq").fetchall()

    def memory_mib(self, number: int) -> float:
        """The resident memory of an instance."""
        pages = int(Path(f"/proc/{self.pid(number)}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def descriptors(self, number: int) -> int:
        """How many files and sockets an instance holds open."""
        return sum(1 for _ in Path(f"/proc/{self.pid(number)}/fd").iterdir())

    def pages(self) -> dict[str, bytes]:
        """Every page an operator or a scraper sees, of every instance."""
        found = {}
        for number in range(1, self.count + 1):
            for page in ("health", "stats", "metrics", "dashboard"):
                found[f"instance {number} /{page}"] = get(f"{self.instance_url(number)}/{page}")[1]
        return found


@asynccontextmanager
async def stage(
    directory: Path,
    rng: random.Random,
    *,
    tree: Path = ROOT,
    count: int = 4,
    settings: Mapping[str, str] | None = None,
    simulator: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    store: str = "sqlite",
    before_store: FaultyNetwork | None = None,
) -> AsyncIterator[Stage]:
    """Start everything; `settings` are variables of the env file, `simulator` fields of its configuration.

    With the `store` "redis" a server of its own keeps everything, flushing always, reached through the network
    `before_store` if there is one. `tree` is the checkout whose application runs, `environment` what the supervisor and
    its programs find in theirs.
    """
    base = free_block(count + 3)
    keys = {f"{name}_{k}": f"simulated-{rng.getrandbits(96):024x}" for k in range(1, count + 1) for name in KEY_NAMES}
    process, facts = await asyncio.to_thread(_start_simulator, directory, base + 2, rng, keys, dict(simulator or {}))
    system = None
    redis = await asyncio.to_thread(_start_redis, directory) if store == "redis" else None
    try:
        settings = {**_store_settings(redis, before_store), **(settings or {})}
        _write_env_file(directory, base, count, keys, facts["public_key"], settings)
        async with ControlClient(facts["url"]) as control:
            system = Stage(directory, tree, base, count, keys, process, control, facts["public_key"], time.monotonic())
            system.redis = redis
            begun = await asyncio.to_thread(
                _ops, tree, system.env_file, ("start", "--native"), START_TIMEOUT_S, environment
            )
            assert begun.returncode == 0, (begun.stdout + begun.stderr).decode(errors="replace")
            system.began = time.monotonic()
            yield system
    finally:
        try:
            await asyncio.to_thread(_end, system, process)
        finally:
            if redis is not None:
                await asyncio.to_thread(redis.kill)


def _store_settings(server: RedisServer | None, network: FaultyNetwork | None) -> dict[str, str]:
    if server is None:
        return {}
    if network is None:
        return {"STORE_URL": server.url}
    network.target = server.port
    return {"STORE_URL": f"redis://127.0.0.1:{network.port}/0"}


def _start_redis(directory: Path) -> RedisServer:
    place = directory / "redis"
    place.mkdir(parents=True)
    return RedisServer(place, tcp=True).start()


def _jobs_in(server: RedisServer) -> list[tuple[str, str, int, str]]:
    """Read the jobs' hashes (docs/store.md), in the order in which they were accepted."""
    found = []
    for key in server.keys("{quartet}:job:*"):
        seq, *fields = server.call("HMGET", key, "seq", "state", "attempts", "outcome")
        state, attempts, outcome = ((value or b"").decode() for value in fields)
        found.append((int(seq), (key.rpartition(":")[2], state, int(attempts), outcome)))
    return [job for _, job in sorted(found)]


def _start_simulator(
    directory: Path, port: int, rng: random.Random, keys: Mapping[str, str], fields: dict[str, Any]
) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    directory.mkdir(parents=True, exist_ok=True)
    limits = fields.pop("key_limits", {})
    config = {
        "seed": rng.randrange(1, 2**31),
        "application_id": APPLICATION_ID,
        "bot_token": BOT_TOKEN,
        "image_px": 32,
        "keep_interactions": 200_000,
        "keys": [
            {"provider": (provider := name.partition("_")[0].lower()), "secret": secret,
             "label": f"set-{name.rpartition('_')[2]}",
             **({"limits": limits[provider]} if provider in limits else {})}
            for name, secret in keys.items()
        ],
        **fields,
    }  # fmt: skip
    path = directory / "simulator.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--ledger", str(directory / "ledger.jsonl")]
    with (directory / "simulator.log").open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--config", str(path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    assert process.stdout is not None
    facts: dict[str, Any] = json.loads(process.stdout.readline() or b"{}")
    if not facts or not wait_for(lambda: _listens(port), 20):
        process.kill()
        process.wait()
        raise AssertionError(f"the simulator did not start: {(directory / 'simulator.log').read_text()[-2000:]}")
    return process, facts


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _write_env_file(
    directory: Path, base: int, count: int, keys: Mapping[str, str], public_key: str, settings: Mapping[str, str]
) -> None:
    url = f"http://127.0.0.1:{base + 2}"
    values = {
        "DISCORD_TOKEN": BOT_TOKEN,
        "DISCORD_APPLICATION_ID": APPLICATION_ID,
        "DISCORD_PUBLIC_KEY": public_key,
        **keys,
        "INSTANCE_COUNT": str(count),
        "PUBLIC_HOST": "127.0.0.1",
        "PUBLIC_PORT": str(base),
        "OPS_PORT": str(base + 1),
        "INSTANCE_BASE_PORT": str(base + 3),
        "DATA_DIR": str((directory / "data").resolve()),
        "DISCORD_API_URL": f"{url}/discord/api/v10",
        "OPENAI_BASE_URL": f"{url}/openai/v1",
        "STABILITY_BASE_URL": f"{url}/stability",
        "MINIMAX_BASE_URL": f"{url}/minimax",
        "VIDEO_POLL_S": "0.5",
        "CHAT_DAILY_LIMIT": "0",
        "IMAGE_DAILY_LIMIT": "0",
        "VIDEO_DAILY_LIMIT": "0",
        "IMAGE_COOLDOWN_S": "0",
        "VIDEO_COOLDOWN_S": "0",
        "MAX_QUEUED_JOBS": "0",
        "NO_PROXY": "127.0.0.1,localhost",
        **settings,
    }
    path = directory / ".env.multi"
    path.write_text("".join(format_line(name, value) + "\n" for name, value in values.items()))
    path.chmod(0o600)


def _ops(
    tree: Path, env_file: Path, arguments: tuple[str, ...], timeout: float, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ops", *arguments, "--env-file", str(env_file)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "QUARTET_CWD": str(tree), **(more or {})}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=timeout, check=False)


def _end(system: Stage | None, simulator: subprocess.Popen[bytes]) -> None:
    """End every process, drained or not, and make sure that none is left."""
    try:
        if system is not None:
            pids = processes_of(system.paths)
            for pid in pids:  # a stopped process can't be ended in order
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            stop(system.paths, lambda _: None)
            left = [pid for pid in pids if is_alive(pid)] + processes_of(system.paths)
            assert not left, f"left running: {left}"
    finally:
        simulator.terminate()
        try:
            simulator.wait(10)
        except subprocess.TimeoutExpired:
            simulator.kill()
            simulator.wait()
        if simulator.stdout is not None:
            simulator.stdout.close()
