"""Fault 2: everything is killed at once."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.faults.judge import Judge
from tests.faults.load import THINKING, chats, play
from tests.faults.scenarios import kill_all
from tests.faults.trial import Trial

NUMBER = 2
TITLE = "all four instances killed together, and the Redis server with them"
RESUME_S = 10.0

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(1200)]


def works_since(judge: Judge, t: float) -> bool:
    """Whether a provider was called after that moment."""
    return any(call["t"] > t for call in judge.provider_calls())


async def test_nobody_is_lost_when_everything_is_killed(trial: Trial) -> None:
    """All jobs in flight, running or waiting, are answered once; work resumes within ten seconds."""
    times, in_flight = trial.size((2, 40), (5, 200))
    slots = trial.size("10", "50")
    async with trial.stage(simulator=THINKING, settings={"MAX_CONCURRENT_JOBS": slots}) as (running, judge):
        record, resumed = trial.record, []
        for _ in range(times):
            asks = chats(trial.rng, in_flight, in_flight / 1.5)
            sending = asyncio.create_task(play(running.control, running.interactions, asks))
            await asyncio.sleep(trial.rng.uniform(1.0, 1.6))
            judge.read()
            running.note(f"{len(judge.checker.unanswered())} in flight")
            if running.redis is not None:
                running.redis.kill()
            kill_all(running)
            killed = running.happenings[-1].t
            if running.redis is not None:
                await asyncio.to_thread(running.redis.start)
            await sending  # what comes now finds nobody: it is refused by nginx, and nothing is owed
            await judge.until(partial(works_since, judge, killed), 60, "work after the kill")
            resumed.append(min(e["t"] for e in judge.provider_calls() if e["t"] > killed) - killed)
            await judge.settled(90)
            await running.all_healthy()
        await trial.verdict(running, judge)
        record.figures |= {"resumed_after_s": [round(s, 2) for s in resumed]}
        record.timed(f"work resumes within {RESUME_S:g} s", max(resumed) <= RESUME_S, resumed)
    record.require()
