"""Fault 1 as users feel it: what share of them is acked in time and answered, and what a dead home adds."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterable

import pytest

from simulator.ledger import Event
from tests.faults.judge import Judge
from tests.faults.load import THINKING, Ask, chat, chats, play, user
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 1
TITLE = "kill -9 every 15 s: who is answered; a job whose home is dead: how much later"
KILL_EVERY_S = 15.0
RATE = 10.0
ANSWERED = 0.999
ACK_MS = 3000.0
KNOWN_DEAD_S = 3.5
STEAL_ADDS_S = 0.3

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(1800)]


async def kill_every_15_s(running: Stage, victims: Iterable[int]) -> None:
    """Kill one instance after the other; the supervisor starts each again at once."""
    for victim in victims:
        await asyncio.sleep(KILL_EVERY_S)
        running.kill(victim)


async def test_nearly_everybody_is_acked_in_time_and_answered(trial: Trial) -> None:
    """With a kill -9 every 15 s at least 99.9 % are acked within 3 s and answered; the rest is named one by one."""
    trial.record.part = "availability"
    over_s = trial.size(60.0, 600.0)
    asks = chats(trial.rng, int(over_s * RATE), RATE)
    victims = [trial.rng.randrange(1, 5) for _ in range(int(over_s / KILL_EVERY_S))]
    async with trial.stage(simulator=THINKING) as (running, judge):
        played, _ = await asyncio.gather(
            play(running.control, running.interactions, asks), kill_every_15_s(running, victims)
        )
        await trial.verdict(running, judge)
        late = {one["id"]: f"ack {one['ack']}" for one in played.asked if not _in_time(one["ack"])}
        answered = {e["interaction"] for e in judge.of("webhook", status=200) if e.get("final") and not _sorry(e)}
        silent = {one["id"]: "no answer" for one in played.asked if one["id"] not in answered and one["id"] not in late}
        failed = {**late, **silent}
        share = 1 - len(failed) / len(played.asked)
        trial.record.figures |= {
            "interactions": len(played.asked), "kills": len(victims), "share": round(share, 5), "failed": failed,
        }  # fmt: skip
        trial.record.timed(f"at least {ANSWERED:.1%} are acked within 3 s and answered", share >= ANSWERED, failed)
    trial.record.require()


def _in_time(ack: Event | None) -> bool:
    return bool(ack and ack["ok"] and ack["ms"] <= ACK_MS)


def _sorry(edit: Event) -> bool:
    return str(edit.get("head", "")).startswith("⚠️")


async def test_a_dead_home_adds_little(trial: Trial) -> None:
    """From the moment a home is known to be dead, its users' calls start at most 0.3 s later than anybody else's."""
    trial.record.part = "dead-home"
    # No more than the instances can log meanwhile: the supervisor that is held reads their output.
    dead, count = trial.rng.randrange(1, 5), trial.size(40, 100)
    asks = [_of_home(trial, n, dead if n % 2 else dead % 4 + 1) for n in range(count)]
    async with trial.stage(simulator=THINKING) as (running, judge):
        with running.supervisor_held():
            running.kill(dead)
            await asyncio.sleep(KNOWN_DEAD_S)
            await play(running.control, running.interactions, asks)
            await judge.settled(60)
            waits = _waits(judge)
        await running.all_healthy()
        await trial.verdict(running, judge)
        homes = {e["interaction"]: int(e["user"]) % 4 + 1 for e in judge.of("sent")}
        theirs = [wait for name, wait in waits.items() if homes[name] == dead]
        others = [wait for name, wait in waits.items() if homes[name] != dead]
        added = statistics.median(theirs) - statistics.median(others)
        most = max(theirs) - statistics.median(others)
        trial.record.figures |= {
            "jobs": len(theirs), "median_s": round(statistics.median(theirs), 3), "added_s": round(added, 3),
            "added_most_s": round(most, 3), "others_median_s": round(statistics.median(others), 3),
        }  # fmt: skip
        trial.record.timed(f"a dead home adds at most {STEAL_ADDS_S} s (median)", added <= STEAL_ADDS_S, f"{added:.3f}")
    trial.record.require()


def _of_home(trial: Trial, number: int, home: int) -> Ask:
    """A chat of a user of that home, four a second in all."""
    return chat(trial.rng, number / 4 + trial.rng.random() / 4, number, user_id=user(trial.rng) // 4 * 4 + home - 1)


def _waits(judge: Judge) -> dict[str, float]:
    """Seconds from an interaction's sending to the start of its call."""
    sent = {prompt: e for e in judge.of("sent") for prompt in (e.get("prompts") or {}).values()}
    return {
        sent[call["prompt"]]["interaction"]: call["t"] - sent[call["prompt"]]["t"]
        for call in judge.provider_calls()
        if call.get("prompt") in sent
    }
