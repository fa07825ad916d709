"""How long a job lies still in an instance: before its provider call has arrived, and after the provider's last byte.

When a job was leased stands in the instances' logs ("job leased", wall clock); when a call, its last byte and an edit
came and went stands in the simulators' ledgers, which have both the wall clock and CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop

from bench.capacity.machine import Usage
from bench.simulated import Lag
from bench.whole import INSTANCES, Whole, whole_system
from ops.processes import processes_of
from simulator.client import ControlClient
from simulator.config import Speed

JOBS = 40
MEDIAN_MS, P99_MS = 5.0, 25.0
BUSIEST_LAG_MS = 10.0
FIRST_USER = 1_000_000_000_000_000_000
CHARACTERS = 300
WARM_UP_S = 3.0
FINAL_WITHIN_S = 40.0
SPEED = Speed(ttft_s=0.4, tokens_per_s=40)
ASK = "Overhead {user}-{number}: tell me something. #chars={characters}"

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of many jobs."""

    p50_ms: float
    p99_ms: float
    most_ms: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Times:
        """Return the quantiles of at least one value."""
        ordered = sorted(1000 * value for value in seconds)
        return cls(statistics.median(ordered), ordered[int(0.99 * (len(ordered) - 1))], ordered[-1])

    @property
    def reached(self) -> bool:
        """Whether both targets are."""
        return self.p50_ms <= MEDIAN_MS and self.p99_ms <= P99_MS


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """What one run shows; the lags are those of the simulated Discord's and OpenAI's event loops."""

    jobs: int
    unfinished: int
    before: Times
    after: Times
    openai_lag: Lag
    discord_lag: Lag
    cores: float
    machine_busy: float


def measure(seconds: float) -> LatencyFigures:
    """Keep `JOBS` jobs running for so long, a quarter of them on each instance."""
    with whole_system(SPEED, JOBS // INSTANCES) as whole:
        t0, t1, cores, busy = uvloop.run(_play(whole, seconds))
        discord, openai, logs = whole.discord.events(), whole.openai.events(), whole.logs().values()
        leased = leases(line for log in logs for line in _lines(log))
        before, after, unfinished = spans(discord, openai, leased, t0, t1)
        if not before:
            raise RuntimeError("no job of the measured time came to its end")
        return LatencyFigures(
            jobs=len(before),
            unfinished=unfinished,
            before=Times.of(before),
            after=Times.of(after),
            openai_lag=whole.openai.lag(t0, t1),
            discord_lag=whole.discord.lag(t0, t1),
            cores=cores,
            machine_busy=busy,
        )


async def _play(whole: Whole, seconds: float) -> tuple[float, float, float, float]:
    """Let users ask and ask again; return when was measured, the system's cores and the machine's busy share."""
    async with whole.discord.control() as control, asyncio.TaskGroup() as group:
        ends = time.monotonic() + WARM_UP_S + seconds
        for user in range(JOBS):
            group.create_task(_user(control, whole.target, user, ends))
        await asyncio.sleep(WARM_UP_S)
        t0, used = time.monotonic(), Usage.of(processes_of(whole.paths))
        await asyncio.sleep(seconds)
        spent = Usage.of(processes_of(whole.paths)).since(used)
        t1 = time.monotonic()
    return t0, t1, spent.cores, spent.machine_busy


async def _user(control: ControlClient, target: str, user: int, ends: float) -> None:
    """Ask, wait for the answer, ask the next: one job of this user's runs at any time."""
    number = 0
    await asyncio.sleep(WARM_UP_S * user / JOBS)
    while time.monotonic() < ends:
        question = ASK.format(user=user, number=number, characters=CHARACTERS)
        asked = await control.interact(target, "채팅", {"질문": question}, user_id=str(FIRST_USER + user))
        with suppress(TimeoutError):  # a job without an end shows in the figures
            await control.final(asked["id"], FINAL_WITHIN_S)
        number += 1


def _lines(log: Path) -> Iterable[str]:
    with log.open(encoding="utf-8", errors="replace") as lines:
        yield from lines


def leases(lines: Iterable[str]) -> dict[str, float]:
    """Return when each job was leased, by its interaction: wall clock seconds, from an instance's log."""
    found = {}
    for line in lines:
        if '"job leased"' in line:
            told = json.loads(line)
            found[told["interaction"]] = datetime.fromisoformat(told["timestamp"]).timestamp()
    return found


def spans(
    discord: Sequence[Event], openai: Sequence[Event], leased: Mapping[str, float], t0: float, t1: float
) -> tuple[list[float], list[float], int]:
    """Return, for the jobs leased between `t0` and `t1`, both times in seconds, and how many jobs have no end.

    A call is found by its question, which only one interaction asks. It arrives when its head has been read
    (`start`), its last byte leaves with `provider_done`; an edit arrives `ms` before it is recorded.
    """
    ahead = statistics.median(event["wall"] - event["t"] for event in openai)
    asked = {e["n"]: e["prompt"] for e in openai if e["event"] == "provider_call" and "prompt" in e}
    calls = {asked[e["call"]]: e for e in openai if e["event"] == "provider_done" and e["call"] in asked}
    prompts = {e["interaction"]: e["prompts"].values() for e in discord if e["event"] == "sent" and e.get("prompts")}
    finals: dict[str, float] = {}
    for event in discord:
        if event["event"] == "webhook" and event.get("final") and event["ok"]:
            finals.setdefault(event["interaction"], event["t"] - event["ms"] / 1000)
    before, after, unfinished = [], [], 0
    for interaction, wall in leased.items():
        at = wall - ahead
        if not t0 <= at <= t1:
            continue
        call = next((calls[prompt] for prompt in prompts.get(interaction, ()) if prompt in calls), None)
        if call is None or interaction not in finals:
            unfinished += 1
            continue
        before.append(call["start"] - at)
        after.append(finals[interaction] - call["t"])
    return before, after, unfinished
