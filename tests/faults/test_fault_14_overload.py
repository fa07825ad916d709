"""Fault 14: ten times as much is asked as can be done."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.load import THINKING, chats, play
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 14
TITLE = "10 x the capacity"
SLOTS, QUEUE = 2, 40
OUT = 4 * SLOTS
"""A job whose user is told its place, or that is handed back, is out of the queue for a moment and makes room."""
CAPACITY = 4 * SLOTS / 1.6
FULL_WORDS = "대기열이 가득"

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(900)]


async def watch(running: Stage, waiting: list[int]) -> None:
    """Look at the queue until cancelled."""
    while True:
        jobs = await asyncio.to_thread(running.jobs)
        waiting.append(sum(state == "waiting" for _, state, _, _ in jobs))
        await asyncio.sleep(0.2)


async def test_the_surplus_is_refused_at_once_and_the_accepted_are_answered(trial: Trial) -> None:
    """The queue never grows beyond its bound; who is refused hears so at once in a sentence, and it costs nothing."""
    seconds = trial.size(6.0, 60.0)
    rate = 10 * CAPACITY
    settings = {"MAX_CONCURRENT_JOBS": str(SLOTS), "MAX_QUEUED_JOBS": str(QUEUE)}
    async with trial.stage(settings=settings, simulator=THINKING) as (running, judge):
        waiting: list[int] = []
        watching = asyncio.create_task(watch(running, waiting))
        played = await play(running.control, running.interactions, chats(trial.rng, int(rate * seconds), rate))
        left = await judge.settled(90)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await trial.verdict(running, judge)
        record = trial.record
        refused, accepted = judge.of("acked", type=4), judge.of("acked", type=5)
        calls = judge.provider_calls()
        record.figures |= {"asked": len(played.asked), "accepted": len(accepted), "refused": len(refused),
                           "longest_queue": max(waiting, default=0)}  # fmt: skip
        record.timed("every interaction got an answer at once", not played.failed, len(played.failed))
        record.check("there was a surplus", len(refused) > len(accepted), len(refused))
        wordless = [ack for ack in refused if FULL_WORDS not in ack.get("head", "")]
        record.check("a refusal is a sentence", not wordless, wordless[:3])
        longest = max(waiting, default=0)
        record.check(f"the queue holds at most {QUEUE}, or as many more as were out", longest <= QUEUE + OUT, longest)
        record.check("everybody accepted is answered", not left, left[:5])
        record.timed("a refusal costs nothing", len(calls) <= len(accepted), f"{len(calls)} calls")
    record.require()
