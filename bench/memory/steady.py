"""Many interactions through one instance, each accepted, leased, answered and shown; what it holds after each part.

Between two parts nothing is under way, so that the samples can be compared.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from bench.contestants import NOWHERE
from bench.interactions import FIRST_USER, USERS
from bench.measure import data_directory
from bench.memory import aging
from bench.processes import ServerProcess, cores, free_port, on_core, server
from simulator.config import SimulatorConfig, Speed
from simulator.server import SimulatorServer

PARTS = 20
WARM_UP_S = 150.0
"""Until as much is remembered for a while as will be at this rate: tokens for up to 75 s after their answers,
conversations for the minute below and another until they are looked through."""

ASKING = 16
"""Users who ask at once, each again as soon as they have their answer."""

WARM_UP_PORTION = 500
MEMORY_TTL_S = 60
ANSWER_WITHIN_S = 60.0
APOLOGY_MARK = "⚠️"
SIMULATOR_KEEPS = 2000

NEVER = 1_000_000_000
LOOK_EVERY_S = 0.005


@dataclass(frozen=True, slots=True)
class Sample:
    """What the instance held when nothing was under way. MiB; the rate and the times are those of the part before."""

    interactions: int
    rss: float
    pss: float
    descriptors: int
    threads: int
    file_mib: float
    """With its log; `file_peak_mib` is without, and the largest since the sample before."""

    file_peak_mib: float
    kept_jobs: int
    per_second: float = 0.0
    cpu_ms: float = 0.0
    """Processor time of the instance for each interaction."""


@dataclass(slots=True)
class Steady:
    """Everything that was seen. `asked_at` (monotonic) and `acked_s` are of each interaction."""

    samples: list[Sample] = field(default_factory=list)
    asked_at: array[float] = field(default_factory=lambda: array("d"))
    acked_s: array[float] = field(default_factory=lambda: array("d"))
    faults: list[str] = field(default_factory=list)
    warm_up_peak_mib: float = 0.0
    housekeeping: aging.Housekeeping = field(default_factory=aging.Housekeeping)
    late_s: float = 0.0
    """How late this process was at the most while users asked: so much longer an ack may seem than it was."""

    def as_json(self) -> dict[str, Any]:
        """Return what is worth keeping."""
        return {
            "samples": [asdict(sample) for sample in self.samples],
            "warm_up_peak_mib": self.warm_up_peak_mib,
            "faults": self.faults[:20],
            "late_s": self.late_s,
            "forgotten": self.housekeeping.forgotten,
            "given_back_mib": self.housekeeping.given_back_mib,
            "housekeeping_s": sum(end - begin for begin, end in self.housekeeping.windows),
        }


def run(interactions: int, warm_up_s: float = WARM_UP_S) -> Steady:
    """Send so many interactions through one instance on one core, after a warm-up of the same; the simulator and its
    users are on the other."""
    server_core, load_core = cores()
    speed = Speed(ttft_s=0.0, tokens_per_s=1e6)
    config = SimulatorConfig(
        seed=1, application_id="1200000000000000000", speed=speed, keep_interactions=SIMULATOR_KEEPS
    )
    with data_directory() as directory, on_core(load_core):
        return uvloop.run(_run(config, directory, server_core, interactions, warm_up_s))


async def _run(
    config: SimulatorConfig, directory: Path, core: int | None, interactions: int, warm_up_s: float
) -> Steady:
    seen, database = Steady(), directory / "quartet.db"
    async with SimulatorServer(config) as simulator:
        port = free_port()
        environment = _environment(port, directory, simulator)
        with server(["-m", "app"], port=port, directory=directory, environment=environment, core=core) as process:
            await asyncio.to_thread(process.wait_until_healthy)
            await asyncio.to_thread(process.wait_until_quiet)
            users = Users(simulator, f"http://127.0.0.1:{port}/interactions", seen)
            with aging.watched(database) as seen.housekeeping, collecting_between_parts():
                await _warm_up(users, interactions // PARTS, warm_up_s, database)
                for part in range(PARTS):
                    await _part(users, interactions * (part + 1) // PARTS, process, directory)
    return seen


async def _warm_up(users: Users, portion: int, seconds: float, database: Path) -> None:
    """Let the users ask for a while; what fails then counts, too, but no figure does."""
    enough = time.perf_counter() + seconds
    while time.perf_counter() < enough:
        await users.ask(min(portion, WARM_UP_PORTION))
        await asyncio.to_thread(aging.let_a_day_pass, database)
    users.seen.warm_up_peak_mib = users.seen.housekeeping.take_peak_mib()
    users.seen.asked_at, users.seen.acked_s, users.seen.late_s = array("d"), array("d"), 0.0
    users.seen.housekeeping.begin_anew()
    gc.collect()


async def _part(users: Users, until: int, process: ServerProcess, directory: Path) -> None:
    """Ask until `until` interactions were asked in all, sample, and let a day pass."""
    before, cpu_s, began = len(users.seen.asked_at), process.cpu_s(), time.perf_counter()
    await users.ask(until - before)
    seconds, count = time.perf_counter() - began, until - before
    process.check()
    sample = Sample(
        interactions=until,
        **process.memory_mib(),
        descriptors=process.descriptors(),
        threads=process.threads(),
        file_mib=aging.size_mib(directory),
        file_peak_mib=users.seen.housekeeping.take_peak_mib(),
        kept_jobs=await asyncio.to_thread(aging.kept_jobs, directory / "quartet.db"),
        per_second=count / seconds,
        cpu_ms=1000 * (process.cpu_s() - cpu_s) / count,
    )
    users.seen.samples.append(sample)
    _show(sample)
    gc.collect()
    await asyncio.to_thread(aging.let_a_day_pass, directory / "quartet.db")


@contextmanager
def collecting_between_parts() -> Iterator[None]:
    """Look all objects of this process through only when nothing is under way: the simulator remembers so much that it
    takes 0.3 s and more, which would look like the instance's."""
    before = gc.get_threshold()
    gc.set_threshold(before[0], before[1], NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Users:
    """They ask short questions and wait until they see the answer."""

    def __init__(self, simulator: SimulatorServer, target: str, seen: Steady) -> None:
        self._discord = simulator.discord
        self._target = target
        self._numbers = itertools.count()
        self.seen = seen

    async def ask(self, count: int) -> None:
        """Ask the next `count` questions, `ASKING` at a time."""
        mine = itertools.islice(self._numbers, count)
        watch = asyncio.create_task(self._watch(), name="lateness")
        try:
            await asyncio.gather(*(self._ask_on(mine) for _ in range(ASKING)))
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        while True:
            due = time.monotonic() + LOOK_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)
            self.seen.late_s = max(self.seen.late_s, time.monotonic() - due)

    async def _ask_on(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            question = {"질문": f"Question {number}: say a word or two. #chars=60"}
            user = FIRST_USER + number * 7 % USERS
            asked = await self._discord.interact(self._target, "채팅", question, user_id=user)
            ack = asked.acks[0]
            self.seen.asked_at.append(asked.sent_t or 0.0)
            self.seen.acked_s.append(ack.ms / 1000)
            if not ack.ok:
                self.seen.faults.append(f"interaction {number} was not acknowledged: {ack.reason}")
                continue
            try:
                await asked.final(ANSWER_WITHIN_S)
            except TimeoutError as error:
                self.seen.faults.append(str(error))
                continue
            if asked.message is None or asked.message.content.startswith(APOLOGY_MARK):
                self.seen.faults.append(f"interaction {number} ended with an apology")


def _environment(port: int, directory: Path, simulator: SimulatorServer) -> Mapping[str, str]:
    """One instance without limits; conversations are kept for a minute, so that those of the run are forgotten."""
    return {
        "INSTANCE_ID": "1",
        "INSTANCE_COUNT": "1",
        "PORT": str(port),
        "DATA_DIR": str(directory),
        "DISCORD_APPLICATION_ID": simulator.app.world.config.application_id,
        "DISCORD_PUBLIC_KEY": simulator.public_key,
        "DISCORD_API_URL": simulator.discord_url,
        "OPENAI_BASE_URL": simulator.openai_url,
        "OPENAI_API_KEY": "simulated",
        "OPENAI_RPM": "10000000",
        "STABILITY_API_KEY": "none",
        "STABILITY_BASE_URL": NOWHERE,
        "MINIMAX_API_KEY": "none",
        "MINIMAX_BASE_URL": NOWHERE,
        "MAX_CONCURRENT_JOBS": "40",
        "CHAT_DAILY_LIMIT": "0",
        "MEMORY_TTL_S": str(MEMORY_TTL_S),
        "LOG_LEVEL": "WARNING",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def _show(sample: Sample) -> None:
    print(
        f"{sample.interactions:,} interactions: RSS {sample.rss:.1f} MiB, {sample.descriptors} descriptors, "
        f"{sample.file_mib:.1f} MiB of file, {sample.kept_jobs:,} jobs kept, {sample.per_second:.0f}/s",
        file=sys.stderr,
        flush=True,
    )
