"""Fault 11: Discord itself fails, in every way it is known to."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import Any

import pytest

from simulator.check_keys import peak_in_window
from simulator.ledger import Event
from tests.faults.judge import Judge
from tests.faults.load import chats, play
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 11
TITLE = "Discord: 10015 after the defer, 10008, 50027, 429, 500s, resets"
TOKEN_LIFE_S = 900.0
INVALID_ALLOWED = 100

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(3600)]


async def group(trial: Trial, running: Stage, users: int, **fault: Any) -> list[str]:
    """Let some users ask while Discord fails in one way; return their interactions once Discord has heard of them."""
    await running.control.clear_faults()
    if fault:
        await running.control.fault("discord", **fault)
        running.note(f"Discord: {fault}")
    played = await play(running.control, running.interactions, chats(trial.rng, users, 20.0))
    return [made["id"] for made in played.asked]


def calls_of(judge: Judge, ids: list[str]) -> dict[str, list[Event]]:
    """The webhook calls of these interactions."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in judge.of("webhook"):
        if event.get("interaction") in ids:
            found[event["interaction"]].append(event)
    return found


async def test_every_failure_of_discord_is_met_as_its_kind_asks(trial: Trial) -> None:
    """What can be delivered is, once; what is gone is tried once; waits are kept; few invalid responses in all."""
    # Each of the refused is one invalid response at the least, and all of them have to stay below what is allowed.
    size, refused, early_s = trial.size((8, 8, 3.0), (60, 40, 10.0))
    record = trial.record
    async with trial.stage() as (running, judge):
        early = await group(trial, running, size, kind="10015", after_ack_s=early_s)
        await judge.settled(early_s + 20)
        for kind, users in (("10008", size), ("50027", refused)):
            gone = await group(trial, running, users, kind=kind, route="PATCH")
            await judge.until(lambda ids=gone: len(calls_of(judge, ids)) == len(ids), 30, f"a call each against {kind}")  # type: ignore[misc]
            tried = Counter(len(calls) for calls in calls_of(judge, gone).values())
            record.check(f"{kind} is tried once", set(tried) == {1}, dict(tried))
        limited = await group(trial, running, refused, kind="429", retry_after=2.0, count=refused)
        await judge.settled(200)
        for kind in ("500", "503", "reset", "cut", "garbage", "done_then_drop"):
            await group(trial, running, size, kind=kind, count=size)
            await judge.settled(40)
        await running.control.clear_faults()
        if trial.full:
            await outlive(trial, running, judge)
        await trial.verdict(running, judge)
        finals = {e["interaction"] for e in judge.of("webhook", status=200) if e.get("final")}
        record.check("an early 404 is answered all the same", set(early) <= finals, sorted(set(early) - finals))
        record.check("a rate limited one is answered", set(limited) <= finals, sorted(set(limited) - finals))
        invalid = [e["t"] for e in judge.of("webhook") if e["status"] in (401, 403, 429)]
        peak = peak_in_window(invalid, 600.0)
        record.figures |= {"invalid_responses_peak": peak, "webhook_calls": len(judge.of("webhook"))}
        record.check(f"at most {INVALID_ALLOWED} invalid responses in ten minutes", peak <= INVALID_ALLOWED, peak)
    record.require()


async def outlive(trial: Trial, running: Stage, judge: Judge) -> None:
    """Discord fails until the tokens are dead: then nothing more is sent, and nobody but Discord is to blame."""
    ids = await group(trial, running, 5, kind="500", for_s=TOKEN_LIFE_S + 60)
    judge.read()
    judge.checker.excuse(ids)
    await asyncio.sleep(TOKEN_LIFE_S + 45)
    ages = [call["age_s"] for calls in calls_of(judge, ids).values() for call in calls]
    trial.record.figures["oldest_token_used_s"] = max(ages)
    trial.record.check("nothing is sent after 15:00", max(ages) < TOKEN_LIFE_S, max(ages))
    trial.record.check("it was tried until shortly before", max(ages) > TOKEN_LIFE_S - 90, max(ages))
    await running.control.clear_faults()
