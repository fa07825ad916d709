"""Answers growing before many users' eyes at once: how soon the first word shows, how often it grows, no 429."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import uvloop

from bench import machine, saving
from bench.contestants import NOWHERE
from bench.measure import data_directory
from bench.processes import ServerProcess, cores, free_port, on_core, server
from simulator.config import SimulatorConfig, Speed
from simulator.server import SimulatorServer

FIRST_WORD_MS = 300.0
EDITS_PER_SECOND = 1.0
FIRST_TOKEN_S = 1.0
CHARACTERS_PER_TOKEN = 4.6
ARRIVE_WITHIN_S = 2.0
END_WITHIN_S = 60.0
FIRST_USER = 1_000_000_000_000_000_000
PROGRESS_MARK = "⏳"
RESULT = "streams"

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """One user's view: seconds from the provider's first token to the first visible word; seconds between edits."""

    first_word_s: float
    gaps_s: tuple[float, ...]

    @property
    def edits_per_second(self) -> float:
        """How often the text grew, from its first to its last edit before the whole answer."""
        return 1 / statistics.fmean(self.gaps_s) if self.gaps_s else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What is reported; times in milliseconds."""

    streams: int
    whole: int
    first_word_p50_ms: float
    first_word_p95_ms: float
    edits_per_second_p50: float
    edits_per_second_least: float
    rate_limited: int
    cpu_share: float
    """How much of its core the instance used while the answers grew."""

    @property
    def misses(self) -> list[str]:
        """The targets that were missed."""
        missed = {
            "not every stream ended with its whole answer": self.whole < self.streams,
            f"the first word takes more than {FIRST_WORD_MS:.0f} ms": self.first_word_p50_ms > FIRST_WORD_MS,
            f"less than {EDITS_PER_SECOND:.0f} edit a second": self.edits_per_second_p50 < EDITS_PER_SECOND,
            "Discord had to answer 429": self.rate_limited > 0,
        }
        return [what for what, is_so in missed.items() if is_so]


def main(arguments: Sequence[str]) -> int:
    """Measure and report; 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="bench streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=100, help="answers at once (default 100)")
    parser.add_argument("--seconds", type=float, default=12, help="about how long each grows (default 12)")
    parser.add_argument("--tokens", type=float, default=40, help="tokens a second of each (default 40)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--save", action="store_true", help="write the figures to bench/results")
    wanted = parser.parse_args(arguments)
    if not (1 <= wanted.streams <= 1000 and 1 <= wanted.seconds <= 120 and 1 <= wanted.tokens <= 1000):
        parser.error("expected 1 to 1000 streams of 1 to 120 seconds and 1 to 1000 tokens a second")
    described = machine.description()
    print(machine.line(described))
    if warning := machine.busy():
        print(warning)
    figures = measure(wanted.streams, wanted.seconds, wanted.tokens)
    print(f"streams at once: {figures.streams}, of {wanted.tokens:.0f} tokens/s for {wanted.seconds:.0f} s; "
          f"whole in the end: {figures.whole}")  # fmt: skip
    print(f"first token to first visible word, ms: {figures.first_word_p50_ms:.0f} median, "
          f"{figures.first_word_p95_ms:.0f} p95   goal {FIRST_WORD_MS:.0f} (median)")  # fmt: skip
    print(f"edits a second while growing: {figures.edits_per_second_p50:.2f} median, "
          f"{figures.edits_per_second_least:.2f} least   goal {EDITS_PER_SECOND:.0f} (median)")  # fmt: skip
    print(f"429 from Discord: {figures.rate_limited}   goal 0")
    print(f"the instance used {figures.cpu_share:.0%} of its core")
    for miss in figures.misses:
        print(f"MISSED: {miss}")
    for path in saving.places(RESULT, wanted.json, save=wanted.save):
        saving.write_json(path, {"machine": described, **asdict(figures)})
    return 1 if figures.misses else 0


def measure(streams: int, seconds: float, tokens_per_s: float) -> Figures:
    """Run one instance on one core and the simulated Discord and OpenAI, with its users, on the other."""
    server_core, load_core = cores()
    speed = Speed(ttft_s=FIRST_TOKEN_S, tokens_per_s=tokens_per_s)
    config = SimulatorConfig(seed=1, application_id="1200000000000000000", speed=speed)
    with data_directory() as directory, on_core(load_core):
        characters = round(seconds * tokens_per_s * CHARACTERS_PER_TOKEN)
        events, ids, busy = uvloop.run(_play(config, directory, server_core, streams, characters))
    return figures(events, ids, busy)


async def _play(
    config: SimulatorConfig, directory: Path, core: int | None, streams: int, characters: int
) -> tuple[list[Event], Mapping[str, str], float]:
    """Let the users ask, wait for the answers; return the ledger, the interactions' ids by question, the CPU share."""
    async with SimulatorServer(config) as simulator:
        port = free_port()
        environment = _environment(port, directory, simulator, streams)
        with server(["-m", "app"], port=port, directory=directory, environment=environment, core=core) as process:
            await _started(process)
            began, busy = time.perf_counter(), process.cpu_s()
            target = f"http://127.0.0.1:{port}/interactions"
            asked = await asyncio.gather(
                *(_ask(simulator, target, number, streams, characters) for number in range(streams))
            )
            for interaction in asked:
                await interaction.final(END_WITHIN_S)
            busy = (process.cpu_s() - busy) / (time.perf_counter() - began)
            process.check()
        return list(simulator.ledger.events), {question(n, characters): i.id for n, i in enumerate(asked)}, busy


async def _started(process: ServerProcess) -> None:
    await asyncio.to_thread(process.wait_until_healthy)
    await asyncio.to_thread(process.wait_until_quiet)


async def _ask(simulator: SimulatorServer, target: str, number: int, streams: int, characters: int) -> Any:
    await asyncio.sleep(ARRIVE_WITHIN_S * number / streams)
    asked = question(number, characters)
    return await simulator.discord.interact(target, "채팅", {"질문": asked}, user_id=FIRST_USER + number)


def question(number: int, characters: int) -> str:
    """Return a question of its own, whose answer is so long; short enough for the ledger to hold all of it."""
    return f"Question {number}: tell me a story. #chars={characters}"


def figures(events: Sequence[Event], ids: Mapping[str, str], cpu_share: float) -> Figures:
    """Return what the ledger says of the interactions in `ids`, which are named by their questions."""
    called = {e["n"]: ids.get(e["head"]) for e in events if e["event"] == "provider_call"}
    first = {called.get(e["call"]): e["t"] for e in events if e["event"] == "provider_first"}
    edits: dict[str, list[Event]] = {id_: [] for id_ in ids.values()}
    for event in events:
        if event["event"] == "webhook" and event["method"] == "PATCH" and event["interaction"] in edits:
            edits[event["interaction"]].append(event)
    seen = [(id_, _texts(shown)) for id_, shown in edits.items()]
    found = [_stream(first[id_], texts) for id_, texts in seen if id_ in first and texts]
    waits = sorted(stream.first_word_s * 1000 for stream in found)
    rates = sorted(stream.edits_per_second for stream in found)
    return Figures(
        streams=len(ids),
        whole=sum(bool(shown) and shown[-1].get("final") is True for shown in edits.values()),
        first_word_p50_ms=statistics.median(waits),
        first_word_p95_ms=waits[int(0.95 * (len(waits) - 1))],
        edits_per_second_p50=statistics.median(rates),
        edits_per_second_least=rates[0],
        rate_limited=sum(event["event"] == "webhook" and event["status"] == 429 for event in events),
        cpu_share=cpu_share,
    )


def _texts(edits: Sequence[Event]) -> Sequence[Event]:
    """Return the edits that show text of the answer."""
    return [event for event in edits if event["ok"] and not str(event.get("head") or "").startswith(PROGRESS_MARK)]


def _stream(first_token: float, texts: Sequence[Event]) -> Stream:
    growing = [event["t"] for event in texts if not event["final"]]
    return Stream(texts[0]["t"] - first_token, tuple(later - earlier for earlier, later in pairwise(growing)))


def _environment(port: int, directory: Path, simulator: SimulatorServer, streams: int) -> Mapping[str, str]:
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
        "OPENAI_RPM": "100000",
        "STABILITY_API_KEY": "none",
        "STABILITY_BASE_URL": NOWHERE,
        "MINIMAX_API_KEY": "none",
        "MINIMAX_BASE_URL": NOWHERE,
        "MAX_CONCURRENT_JOBS": str(streams),
        "LOG_LEVEL": "WARNING",
        "NO_PROXY": "127.0.0.1,localhost",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
