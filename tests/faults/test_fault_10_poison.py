"""Fault 10: a job that kills whatever process works on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import pytest

from tests.faults.judge import Judge, prompt_digest
from tests.faults.load import THINKING, Ask, chats, play, user
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 10
TITLE = "a job that kills its process, among good ones"
LIVES = 3

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(900)]


async def deadly(running: Stage, judge: Judge, prompt: str) -> int:
    """Kill each instance that calls the provider for this prompt, as the job itself would; return how many."""
    seen = 0
    while True:
        calls = [call for call in judge.provider_calls() if call.get("prompt") == prompt_digest(prompt)]
        for call in calls[seen:]:
            number = int(call["key"].removeprefix("set-"))
            running.note(f"the job kills instance {number}", number)
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid(number), signal.SIGKILL)
        seen = len(calls)
        await asyncio.sleep(0.02)


async def test_a_deadly_job_ends_with_one_apology_and_harms_nobody(trial: Trial) -> None:
    """It runs three times and no more, its user is told once, and all the others are answered."""
    count = trial.size(60, 200)
    poison = Ask(1.0, user(trial.rng), "채팅", {"질문": "this one kills #seconds=4"})
    asks = [*chats(trial.rng, count, 12.0), poison]
    async with trial.stage(simulator=THINKING) as (running, judge):
        killing = asyncio.create_task(deadly(running, judge, poison.options["질문"]))
        played = await play(running.control, running.interactions, asks)
        await trial.verdict(running, judge, settle_s=90)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        record = trial.record
        poisoned = next(one["id"] for one in played.asked if "kills" in str(one["options"]))
        finals = {e["interaction"]: e for e in judge.of("webhook", status=200) if e.get("final")}
        runs = [call for call in judge.provider_calls() if call.get("prompt") == prompt_digest(poison.options["질문"])]
        outcomes = {job[0]: job[3] for job in await asyncio.to_thread(running.jobs)}
        answered = [name for name, outcome in outcomes.items() if outcome == "answered"]
        record.figures |= {"runs_of_the_poison": len(runs), "its_end": finals.get(poisoned, {}).get("head"),
                           "answered": len(answered)}  # fmt: skip
        record.check(f"it ran {LIVES} times", len(runs) == LIVES, len(runs))
        record.check("its user got one apology", "⚠️" in str(finals.get(poisoned, {}).get("head")), finals.get(poisoned))
        others = sorted(set(outcomes) - set(answered) - {poisoned})
        record.check(f"all {count} others were answered", not others, [(name, outcomes[name]) for name in others][:5])
    record.require()
