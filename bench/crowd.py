"""A thousand answers growing at once on four instances behind nginx: do acks stall meanwhile?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import uvloop

from bench import streams
from bench.ackwatch import AckWatch, ack_watch
from bench.capacity.machine import Usage
from bench.simulated import Lag
from bench.streams import Figures
from bench.whole import INSTANCES, Whole, whole_system
from ops.processes import processes_of
from simulator.client import ControlClient, ControlError
from simulator.config import Speed

ACK_P99_MS = 100.0
ARRIVALS_PER_S = 50.0
"""How fast a crowd gathers: each one who comes costs the system as much as seconds of growing do."""

SPARE_S = 2.0
PROBES_PER_S = 20.0
PROBE = "One more, number {number}. #chars=40"
END_WITHIN_S = 90.0
LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class CrowdFigures:
    """What one run shows. Times in milliseconds; `acks` are those of the crowd and of who came while it was there.

    `growing` is how many answers grew at the moment when the most did; `held_s` how long all of them did.
    """

    streams: int
    growing: int
    held_s: float
    acks: int
    failed_acks: int
    ack_p50_ms: float
    ack_p99_ms: float
    ack_most_ms: float
    watcher_lag_p99_ms: float
    answers: Figures
    discord_lag: Lag
    openai_lag: Lag
    cores: float
    machine_busy: float


@dataclass(slots=True)
class _Played:
    """What the play leaves: its span (CLOCK_MONOTONIC), interaction ids by question, and what the system used."""

    t0: float
    t1: float
    ids: dict[str, str]
    watch: AckWatch
    cores: float
    machine_busy: float


def measure(count: int, seconds: float, tokens_per_s: float) -> CrowdFigures:
    """Let `count` users' answers grow for at least `seconds` after the last has asked, at this pace each."""
    speed = Speed(ttft_s=streams.FIRST_TOKEN_S, tokens_per_s=tokens_per_s)
    grows_s = count / ARRIVALS_PER_S + seconds + SPARE_S
    characters = round(grows_s * tokens_per_s * streams.CHARACTERS_PER_TOKEN)
    with whole_system(speed, -(-count // INSTANCES), MAX_QUEUED_JOBS="5000", LOG_LEVEL="WARNING") as whole:
        played = uvloop.run(_play(whole, count, seconds, characters))
        discord, openai = whole.discord.events(), whole.openai.events()
        return CrowdFigures(
            streams=count,
            **growing(openai, set(played.ids), count),
            **_acks(played),
            answers=streams.figures([*openai, *discord], played.ids, played.cores),
            discord_lag=whole.discord.lag(played.t0, played.t1),
            openai_lag=whole.openai.lag(played.t0, played.t1),
            cores=played.cores,
            machine_busy=played.machine_busy,
        )


async def _play(whole: Whole, count: int, seconds: float, characters: int) -> _Played:
    """Let the crowd ask, then one after the other who asks while its answers grow; wait until all is answered."""
    async with whole.discord.control() as control, ack_watch(whole.target) as watch, asyncio.TaskGroup() as group:
        used, t0 = Usage.of(processes_of(whole.paths)), time.monotonic()
        asked = [group.create_task(_ask(control, watch, t0, n, characters)) for n in range(count)]
        gathered_at = t0 + count / ARRIVALS_PER_S
        await asyncio.sleep(gathered_at - time.monotonic())
        for number in range(round(seconds * PROBES_PER_S)):
            await asyncio.sleep(max(0.0, gathered_at + number / PROBES_PER_S - time.monotonic()))
            user = streams.FIRST_USER + count + number
            probe = PROBE.format(number=number)
            group.create_task(_use(control, watch, probe, user))
        t1 = time.monotonic()
        spent = Usage.of(processes_of(whole.paths)).since(used)
        ids = dict([await one for one in asked])
        ids = {question: id_ for question, id_ in ids.items() if id_}
        await _answered(control)
    return _Played(t0, t1, ids, watch, spent.cores, spent.machine_busy)


async def _ask(control: ControlClient, watch: AckWatch, t0: float, number: int, characters: int) -> tuple[str, str]:
    await asyncio.sleep(max(0.0, t0 + number / ARRIVALS_PER_S - time.monotonic()))
    question = streams.question(number, characters)
    return question, await _use(control, watch, question, streams.FIRST_USER + number)


async def _use(control: ControlClient, watch: AckWatch, question: str, user: int) -> str:
    """Ask; return the interaction's id, empty if the simulator itself could not keep up, which its lag shows."""
    try:
        return str((await control.interact(watch.url, "채팅", {"질문": question}, user_id=str(user)))["id"])
    except (ControlError, httpx2.HTTPError):
        return ""


async def _answered(control: ControlClient) -> None:
    """Wait until nobody waits for an answer any more, or for so long that this is a result in itself."""
    give_up = time.monotonic() + END_WITHIN_S
    while time.monotonic() < give_up:
        states: Mapping[str, int] = (await control.stats())["interactions"]
        if not states.get("deferred") and not states.get("sent"):
            return
        await asyncio.sleep(LOOK_EVERY_S)


def growing(openai: Sequence[Mapping[str, Any]], questions: set[str], count: int) -> dict[str, Any]:
    """Return how many answers to these questions grew at once at the most, and for how many seconds `count` did."""
    ours = {e["n"] for e in openai if e["event"] == "provider_call" and e.get("head") in questions}
    steps = [(e["t"], 1) for e in openai if e["event"] == "provider_first" and e["call"] in ours]
    steps += [(e["t"], -1) for e in openai if e["event"] == "provider_done" and e["call"] in ours]
    now = most = 0
    held, since = 0.0, 0.0
    for at, step in sorted(steps):
        if now >= count:
            held += at - since
        now, since, most = now + step, at, max(most, now + step)
    return {"growing": most, "held_s": held}


def _acks(played: _Played) -> dict[str, Any]:
    """Return the answer times of all interactions sent between `t0` and `t1`."""
    watch = played.watch
    took = sorted(1000 * seconds for at, seconds in watch.acks if played.t0 <= at <= played.t1)
    late = sorted(1000 * seconds for at, seconds in watch.late_s if played.t0 <= at <= played.t1)
    return {
        "acks": len(took),
        "failed_acks": watch.failed,
        "ack_p50_ms": took[len(took) // 2],
        "ack_p99_ms": took[int(0.99 * (len(took) - 1))],
        "ack_most_ms": took[-1],
        "watcher_lag_p99_ms": late[int(0.99 * (len(late) - 1))],
    }
