"""Fault 9: all instances are restarted one after the other under load, as an operator does it."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.load import THINKING, chats, play
from tests.faults.trial import Trial

NUMBER = 9
TITLE = "rolling restart of all instances under load"

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(2400)]


async def test_nobody_notices_a_rolling_restart(trial: Trial) -> None:
    """Not one answer but 200 at nginx, nobody lost, and no attempt counted for a job that was handed over."""
    times, rate = trial.size((1, 15.0), (10, 50.0))
    async with trial.stage(simulator=THINKING, settings={"MAX_CONCURRENT_JOBS": "60"}) as (running, judge):
        record, failed, sent = trial.record, [], 0
        for _ in range(times):
            running.note("restart begins")
            restarting = asyncio.create_task(running.ops("restart"))
            while not restarting.done():
                asks = chats(trial.rng, int(rate), rate)
                failed += (await play(running.control, running.interactions, asks)).failed
                sent += len(asks)
            done = await restarting
            running.note("restart ended")
            record.check("the restart succeeded", done.returncode == 0, (done.stdout + done.stderr).decode()[-500:])
        await trial.verdict(running, judge)
        record.timed("0 answers but 2xx at nginx", not failed, [one["ack"] for one in failed][:5])
        attempts = [job for job in await asyncio.to_thread(running.jobs) if job[2] > 1]
        record.timed("no attempt was counted for a hand-over", not attempts, attempts[:5])
        record.figures |= {"sent": sent, "restarts": times}
    record.require()
