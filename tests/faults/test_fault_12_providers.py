"""Fault 12: providers fail in every way they are known to, and more is asked of them than their keys allow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.judge import Judge
from tests.faults.load import THINKING, Ask, chat, chats, play, user
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 12
TITLE = "providers: 429, 500, hang, trickle, cut, 50 MB, rejected key, refusal, 10 x demand"
TOKEN_LIFE_S = 900.0
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "429", "retry_after": 2.0},
    {"kind": "429"},
    {"kind": "500"},
    {"kind": "503"},
    {"kind": "trickle", "seconds": 3.0},
    {"kind": "cut"},
    {"kind": "garbage"},
    {"kind": "huge"},
    {"kind": "reset"},
    {"kind": "error_frame"},
    {"kind": "no_finish"},
    {"kind": "refusal"},
    {"kind": "hang"},
)

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(3600)]


def of_home(trial: Trial, home: int, number: int) -> Ask:
    """A chat of a user of that home."""
    return chat(trial.rng, 0.0, number, user_id=user(trial.rng) // 4 * 4 + home - 1)


async def rejected_key(trial: Trial, running: Stage, judge: Judge) -> None:
    """A key is refused: one call finds that out, and from then on its users are served by the others."""
    await running.control.clear_faults()
    await running.control.fault("openai", "401", key="set-2")
    running.note("OpenAI rejects the key of set 2")
    first = await play(running.control, running.interactions, [of_home(trial, 2, 9000)])
    await judge.settled(60)
    more = [of_home(trial, 2, 9001 + n) for n in range(trial.size(8, 40))]
    rest = await play(running.control, running.interactions, more)
    await judge.settled(120)
    rejected = judge.of("provider_done", provider="openai", key="set-2", outcome="rejected_key")
    asked = {one["id"] for one in [*first.asked, *rest.asked]}
    heads = [e["head"] for e in judge.of("webhook", status=200) if e.get("final") and e["interaction"] in asked]
    apologies = [head for head in heads if "⚠️" in head]
    trial.record.check("a rejected key is out after one call", len(rejected) == 1, len(rejected))
    trial.record.check("its users are answered by other keys", not apologies, apologies[:3])


async def test_every_failure_of_a_provider_ends_in_one_outcome(trial: Trial) -> None:
    """One outcome each, in time, whatever a provider does; a rejected key costs one call and nobody else's."""
    users, hang_s = trial.size((4, 12.0), (20, 120.0))
    settings = {"CHAT_TIMEOUT_S": trial.size("5", "100")}
    async with trial.stage(simulator=THINKING, settings=settings) as (running, judge):
        took: dict[str, float] = {}
        for fault in FAULTS:
            await running.control.clear_faults()
            given = {**fault, **({"seconds": hang_s} if fault["kind"] == "hang" else {}), "count": users}
            await running.control.fault("openai", **given)
            began = running.note(f"OpenAI: {given}").t
            await play(running.control, running.interactions, chats(trial.rng, users, 20.0))
            left = await judge.settled(trial.size(120.0, TOKEN_LIFE_S))
            took[str(fault)] = round(judge.events[-1]["t"] - began, 2)
            trial.record.check(f"{fault}: everybody has an outcome", not left, left[:3])
        await rejected_key(trial, running, judge)
        await trial.verdict(running, judge)
        trial.record.figures |= {"until_the_last_outcome_s": took}
    trial.record.require()


async def test_ten_times_the_demand_breaks_no_budget(trial: Trial) -> None:
    """Keys with small limits are never asked for more than they allow; everybody accepted is answered in time."""
    trial.record.part = "demand"
    rpm, asked, over_s = trial.size((15, 75, 5.0), (30, 1200, 60.0))
    limits = {"openai": {"rpm": rpm, "in_flight": 10}}
    settings = {"OPENAI_RPM": str(rpm), "MAX_QUEUED_JOBS": "600"}
    async with trial.stage("demand", settings=settings, simulator={**THINKING, "key_limits": limits}) as (
        running,
        judge,
    ):
        played = await play(running.control, running.interactions, chats(trial.rng, asked, asked / over_s))
        left = await judge.settled(trial.size(150.0, TOKEN_LIFE_S))
        await trial.verdict(running, judge)
        refused = len(judge.of("provider_done", provider="openai", outcome="over_rpm"))
        trial.record.figures |= {"asked": asked, "allowed_per_minute": rpm * 4, "refused_by_the_provider": refused}
        trial.record.check("no call over a limit", refused == 0, refused)
        trial.record.check("everybody accepted is answered", not left, left[:5])
        trial.record.timed("every interaction was acked", not played.failed, len(played.failed))
    trial.record.require()
