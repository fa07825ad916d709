"""Fault 6: every interaction arrives several times at once, at several instances."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.faults.load import Ask, chats, play
from tests.faults.trial import Trial

NUMBER = 6
STORES = ("sqlite", "redis")
TITLE = "each interaction 1 to 5 times at once over all instances"

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(600)]


async def test_copies_of_one_interaction_are_one_job(trial: Trial) -> None:
    """As many jobs and provider calls as ids, and every copy is acked in time."""
    count = trial.size(150, 1000)
    asks = [replace(ask, copies=trial.rng.randrange(1, 6)) for ask in chats(trial.rng, count, trial.size(15.0, 25.0))]
    async with trial.stage() as (running, judge):
        doors = [f"{running.instance_url(k)}/interactions" for k in range(1, 5)] + [running.interactions]
        ways = [" ".join(trial.rng.sample(doors, len(doors))) for _ in range(8)]
        groups: list[list[Ask]] = [asks[n :: len(ways)] for n in range(len(ways))]
        played = await asyncio.gather(
            *(play(running.control, way, group) for way, group in zip(ways, groups, strict=True))
        )
        await trial.verdict(running, judge)
        copies = sum(ask.copies for ask in asks)
        calls = judge.provider_calls()
        record = trial.record
        record.figures |= {"ids": count, "copies": copies, "provider_calls": len(calls)}
        record.timed("every copy was acked", len(judge.of("acked")) == copies, judge.of("ack_failed")[:5])
        # A starved instance may be taken for dead, and what it was at is then done again: that is a matter of time.
        record.timed("one provider call for each id", len(calls) == count, f"{len(calls)} calls for {count} ids")
        jobs = await asyncio.to_thread(running.jobs)
        record.check("one job for each id", len(jobs) == count, f"{len(jobs)} jobs for {count} ids")
        failed = [one["ack"] for group in played for one in group.failed]
        record.timed("nobody's ack failed", not failed, failed[:5])
    record.require()
