"""Fault 7 with Redis: the server has used up its memory."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.load import THINKING, chats, play
from tests.faults.test_fault_07_disk import HEALED_WITHIN_S, RED_WITHIN_S, health_is, judged
from tests.faults.trial import Trial

NUMBER = 7
TITLE = "Redis at maxmemory"
STORES = ("redis",)

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(600)]


async def test_a_full_server_is_told_of_at_once_and_ends_what_was_accepted(trial: Trial) -> None:
    """Nothing is acked and not recorded; refusals are quick, health tells, what was accepted before is answered
    meanwhile, and all heals without a restart of ours."""
    count = trial.size(20, 200)
    async with trial.stage(simulator=THINKING) as (running, judge):
        record, server = trial.record, running.redis
        assert server is not None
        record.part = "memory"
        await play(running.control, running.interactions, chats(trial.rng, count, 20.0))
        await asyncio.to_thread(server.set, "maxmemory", "1")
        running.note("the server's memory is full")
        red = await health_is(running, False, RED_WITHIN_S)
        judged(trial, "full", await play(running.control, running.interactions, chats(trial.rng, count, 20.0)))
        await judge.settled(60)
        open_jobs = [job for job in await asyncio.to_thread(running.jobs) if job[1] != "done"]
        record.check("what was accepted is answered meanwhile", not open_jobs, open_jobs[:3])
        await asyncio.to_thread(server.set, "maxmemory", "0")
        running.note("there is room again")
        healed = await health_is(running, True, HEALED_WITHIN_S)
        await play(running.control, running.interactions, chats(trial.rng, count, 20.0))
        record.timed(f"health is red within {RED_WITHIN_S:g} s", red <= RED_WITHIN_S, red)
        record.timed(f"heals within {HEALED_WITHIN_S:g} s", healed <= HEALED_WITHIN_S, healed)
        record.figures |= {"red_after_s": round(red, 2), "healed_after_s": round(healed, 2)}
        await trial.verdict(running, judge)
    trial.record.require()
