"""Fault 15: very many jobs under fault 1, watched for anything that grows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.faults.load import chats, play
from tests.faults.stage import Stage
from tests.faults.test_fault_01_kill import kill_by
from tests.faults.trial import Trial

NUMBER = 15
TITLE = "100,000 jobs under kill -9"
FAST = {"speed": {"ttft_s": 0.1, "tokens_per_s": 8000.0, "spread": 0.5}}
BATCH = 500
GROWTH_MIB, GROWTH_DESCRIPTORS = 20.0, 60
BYTES_A_JOB = 1500
LOG_BYTES = 16_000_000
"""What the write-ahead log may take beside the file."""

ENDLESS = {"{quartet}:seq", "{quartet}:schema"}
"""What has no end in Redis, once every job is done and nobody has chosen anything."""

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(7200)]


@dataclass(frozen=True)
class Sample:
    """The largest of the four instances, and the store's size."""

    memory_mib: float
    descriptors: int
    store_bytes: int


def sample(running: Stage) -> Sample | None:
    """Look at all instances; None if one is just being born."""
    numbers = range(1, running.count + 1)
    try:
        memory = max(running.memory_mib(number) for number in numbers)
        descriptors = max(running.descriptors(number) for number in numbers)
    except (OSError, ValueError):
        return None
    if running.redis is not None:
        return Sample(memory, descriptors, running.redis.memory())
    files = [path.stat().st_size for path in running.paths.data_dir.glob("quartet.db*")]
    return Sample(memory, descriptors, sum(files))


async def test_nothing_is_lost_and_nothing_grows(trial: Trial) -> None:
    """All invariants hold; memory, descriptors and the file stay within bounds in the last third of the run."""
    count, rate = trial.size((600, 20.0), (100_000, 60.0))
    kills = [(trial.rng.uniform(10, 20) if trial.full else 5.0, trial.rng.randrange(1, 5), False)
             for _ in range(trial.size(4, int(count / rate / 15)))]  # fmt: skip
    samples: list[Sample] = []
    async with trial.stage(simulator=FAST) as (running, judge):
        killing = asyncio.create_task(kill_by(running, kills))
        failed = 0
        for start in range(0, count, BATCH):
            batch = chats(trial.rng, min(BATCH, count - start), rate)
            failed += len((await play(running.control, running.interactions, batch)).failed)
            found = await asyncio.to_thread(sample, running)
            samples += [found] if found else []
            judge.read()
            judge.events = [e for e in judge.events if e["event"] == "webhook"][-50:]  # the checker keeps what it needs
        await killing
        await running.all_healthy()
        await trial.verdict(running, judge, settle_s=120)
        record = trial.record
        last = sample(running) or samples[-1]
        third = max(1, len(samples) // 3)
        middle, end = samples[third : 2 * third] or samples, [*samples[2 * third :], last]
        memory = max(s.memory_mib for s in end) - max(s.memory_mib for s in middle)
        descriptors = max(s.descriptors for s in end) - max(s.descriptors for s in middle)
        record.figures |= {
            "jobs": count, "kills": len(kills), "not_acked": failed, "memory_growth_mib": round(memory, 1),
            "descriptor_growth": descriptors, "store_bytes": last.store_bytes,
            "store_bytes_a_job": round(last.store_bytes / count),
        }  # fmt: skip
        record.timed("every interaction was acked", failed == 0, failed)
        record.check(f"no more than {GROWTH_MIB:g} MiB more in the last third", memory <= GROWTH_MIB, memory)
        record.check("no more descriptors either", descriptors <= GROWTH_DESCRIPTORS, descriptors)
        bound = LOG_BYTES + BYTES_A_JOB * count
        record.check("the file is bounded", last.store_bytes <= bound, f"{last.store_bytes} bytes for {count} jobs")
        if running.redis is not None:
            endless = await asyncio.to_thread(running.redis.endless)
            record.check("everything in Redis ends by itself", endless <= ENDLESS, endless - ENDLESS)
    record.require()
