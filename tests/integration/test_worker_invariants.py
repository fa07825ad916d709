"""Many jobs of all kinds while everything goes wrong now and then: the ledger's checker is the judge."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from tests.integration.ledger_kit import judged
from tests.kit.running import System, simulator_config, system
from tests.kit.waiting import wait_until

JOBS = 200
AT_ONCE = 24
SEED = random.SystemRandom().randrange(10**6)

FAULTS: tuple[dict[str, Any], ...] = (
    {"target": "openai", "kind": "500", "probability": 0.06},
    {"target": "openai", "kind": "reset", "probability": 0.04},
    {"target": "openai", "kind": "no_finish", "probability": 0.04},
    {"target": "openai", "kind": "error_frame", "probability": 0.04},
    {"target": "openai", "kind": "429", "retry_after": 0.5, "probability": 0.03},
    {"target": "stability", "kind": "503", "probability": 0.15},
    {"target": "stability", "kind": "garbage", "probability": 0.1},
    {"target": "stability", "kind": "filter", "probability": 0.1},
    {"target": "minimax", "kind": "500", "probability": 0.1},
    {"target": "minimax", "kind": "reset", "probability": 0.05},
    {"target": "minimax", "route": "video_generation", "kind": "task_failed", "probability": 0.1},
    {"target": "discord", "kind": "500", "probability": 0.05},
    {"target": "discord", "kind": "reset", "probability": 0.03},
    {"target": "discord", "kind": "done_then_drop", "probability": 0.05},
    {"target": "discord", "kind": "429", "retry_after": 0.4, "probability": 0.02},
    {"target": "discord", "kind": "10015", "after_ack_s": 0.3, "probability": 0.2},
)
UNLIMITED: dict[str, Any] = dict.fromkeys(
    (
        "minimax_rpd",
        "chat_daily_limit",
        "image_daily_limit",
        "video_daily_limit",
        "image_cooldown_s",
        "video_cooldown_s",
    ),
    0,
)
COMMANDS = (
    ("채팅", "질문", "질문 {n}"),
    ("채팅", "질문", "긴 답을 줘 {n} #chars=3000"),
    ("채팅", "질문", "{n} #refuse"),
    ("이미지", "설명", "그림 {n}"),
    ("비디오", "설명", "영상 {n} #seconds=0.5"),
)


async def test_nothing_is_lost_twice_or_late(tmp_path: Path) -> None:
    """After 200 mixed jobs with random faults: one final outcome each, every map empty, no task or descriptor left."""
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    config = simulator_config(2, seed=SEED, faults=FAULTS)
    async with system(tmp_path, count=2, sim=config, **UNLIMITED) as running:
        await _ask_all(running, dice, 10)  # connections and threads are made on first use
        await _settled(running)
        before = _resources()
        await _ask_all(running, dice, JOBS)
        await _settled(running)
        after = _resources()
        report = judged(running.sim)
        assert report.figures["owed"] == report.figures["answered"] == JOBS + 10
        for instance in running.instances:
            worker = instance.instance.worker
            assert (len(worker._leases), worker.running, worker.free) == (0, 0, 10)
        counts = await running.instances[0].instance.store.counts()
        assert (dict(counts.waiting), dict(counts.running)) == ({}, {})
        assert after["jobs"] == 0
        # Pooled connections come and go; what leaks grows with the number of jobs.
        assert after["descriptors"] - before["descriptors"] < JOBS // 4
        assert after["tasks"] - before["tasks"] < JOBS // 4


async def _ask_all(running: System, dice: random.Random, jobs: int) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        command, option, text = dice.choice(COMMANDS)
        async with gate:
            asked = await running.ask(1000 + number, command, {option: text.format(n=number)})
            assert asked.ack.type == 5, asked.ack
            await asked.final(60)

    await asyncio.gather(*(one(number) for number in range(jobs)))


async def _settled(running: System) -> None:
    """Wait until the ends are on record too: the user sees an answer a moment before."""
    workers = [instance.instance.worker for instance in running.instances]
    await wait_until(lambda: not any(worker.running for worker in workers), 20, "no job runs any more")


def _resources() -> dict[str, int]:
    names = [task.get_name() for task in asyncio.all_tasks()]
    jobs = [name for name in names if name.startswith(("job-", "end-")) or name == "progress"]
    return {"tasks": len(names), "jobs": len(jobs), "descriptors": len(list(Path("/proc/self/fd").iterdir()))}
