"""Fault 13: hostile requests beside valid traffic."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter

import httpx2
import pytest

from simulator.app import create_app
from simulator.config import SimulatorConfig
from tests.faults.hostile import Attack, Attacker
from tests.faults.load import chats, play
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 13
TITLE = "hostile requests beside valid traffic"
GROWTH_MIB = 20.0
AT_ONCE = 12
SLOW_BODY_WITHIN_S = 20.0
LARGE = 6
SLOW = 4

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(900)]


def attacker(trial: Trial, running: Stage) -> Attacker:
    """One who holds Discord's key: it follows from the simulator's seed."""
    seed = json.loads((running.directory / "simulator.json").read_text())["seed"]
    return Attacker(trial.rng, create_app(SimulatorConfig(seed=seed)).discord.signing_key)


async def attack(running: Stage, attacks: list[Attack], rate: float) -> Counter[tuple[str, int, bool]]:
    """Send them all; return how often a kind got which status, and whether that was right."""
    found: Counter[tuple[str, int, bool]] = Counter()
    room, began = asyncio.Semaphore(AT_ONCE), time.monotonic()
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:

        async def one(number: int, given: Attack) -> None:
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            async with room:
                try:
                    response = await http.post(running.interactions, content=given.body, headers=given.headers)
                    status = response.status_code
                except httpx2.WriteError:
                    status = 413 if 413 in given.right else 0  # nginx closed on us before it had read ten megabytes
            found[given.kind, status, status in given.right] += 1

        async with asyncio.TaskGroup() as group:
            for number, given in enumerate(attacks):
                group.create_task(one(number, given))
    return found


async def drip(running: Stage) -> bytes:
    """Promise a body and fall silent; return the first line of the answer, empty if the connection just ended."""
    host, _, port = running.interactions.removeprefix("http://").partition("/")[0].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"POST /interactions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        async with asyncio.timeout(SLOW_BODY_WITHIN_S):
            return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


async def test_hostile_requests_get_nothing_and_cost_nobody_anything(trial: Trial) -> None:
    """401 for every bad signature, no 5xx, no job, no growth; the valid traffic beside it is answered as ever."""
    count, valid = trial.size((800, 50), (10_000, 600))
    rate = trial.size(100.0, 120.0)
    async with trial.stage() as (running, judge):
        enemy = attacker(trial, running)
        await attack(running, [enemy.any() for _ in range(100)], rate)  # what is loaded at the first time is no growth
        before = {k: running.memory_mib(k) for k in range(1, 5)}
        attacks = [enemy.any() for _ in range(count)] + [enemy.too_large() for _ in range(LARGE)]
        trial.rng.shuffle(attacks)
        found, _, slow = await asyncio.gather(
            attack(running, attacks, rate),
            play(running.control, running.interactions, chats(trial.rng, valid, valid * rate / count)),
            asyncio.gather(*(drip(running) for _ in range(SLOW))),
        )
        after = {k: running.memory_mib(k) for k in range(1, 5)}
        await trial.verdict(running, judge)
        record = trial.record
        growth = {k: round(after[k] - before[k], 1) for k in after}
        record.figures |= {
            "answers": {f"{kind}: {status}": n for (kind, status, _), n in sorted(found.items())},
            "memory_growth_mib": growth,
            "slow_bodies": [line.decode().strip() for line in slow],
        }
        wrong = {f"{kind}: {status}": n for (kind, status, right), n in found.items() if not right}
        record.check("each got the status that is right for it", not wrong, wrong)
        record.check("no 5xx", not [1 for _, status, _ in found if status >= 500])
        record.check("a slow body ends with 408 or the connection", all(b" 408 " in s or not s for s in slow), slow)
        jobs = await asyncio.to_thread(running.jobs)
        record.check("no job but the valid ones", len(jobs) == valid, f"{len(jobs)} jobs, {valid} valid")
        record.check("one provider call for each valid one", len(judge.provider_calls()) == valid)
        record.check(f"memory grew by at most {GROWTH_MIB:g} MiB", max(growth.values()) <= GROWTH_MIB, growth)
    record.require()
