"""Fault 1: instances are killed at random moments."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.judge import Resumption
from tests.faults.load import THINKING, chats, play
from tests.faults.stage import Happening, Stage
from tests.faults.trial import Trial

NUMBER = 1
STORES = ("sqlite", "redis")
TITLE = "kill -9 of a random instance at random moments"
DOWN_S = 5.5
LEAST_PAUSE_S = 1.5
RESUME_S = 5.0

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(900)]


def plan(trial: Trial, kills: int, over_s: float) -> list[tuple[float, int, bool]]:
    """How long after the last kill which instance is killed, and whether it stays down until the others notice."""
    stay_down = set(trial.rng.sample(range(kills), max(1, kills // 5)))
    pause = max(LEAST_PAUSE_S, (over_s - DOWN_S * len(stay_down)) / kills)
    return [(trial.rng.uniform(0.5, 1.5) * pause, trial.rng.randrange(1, 5), n in stay_down) for n in range(kills)]


async def kill_by(running: Stage, kills: list[tuple[float, int, bool]]) -> None:
    """Carry the plan out, one after the other."""
    for pause, instance, stays_down in kills:
        await asyncio.sleep(pause)
        if not stays_down:
            running.kill(instance)
            continue
        with running.supervisor_held():
            running.kill(instance)
            await asyncio.sleep(DOWN_S)


def waited(kill: Happening, found: Resumption, kills: list[Happening]) -> float:
    """How long work lay still after the last kill of who held it.

    An instance that is killed again in its new life was alive for the others meanwhile, and had left its work to it.
    """
    went_on = kill.t + found.seconds
    again = [other.t for other in kills if other.instance == kill.instance and kill.t < other.t < went_on]
    return went_on - max([kill.t, *again])


async def test_nobody_is_lost_or_answered_twice_when_instances_are_killed(trial: Trial) -> None:
    """Everyone accepted is answered exactly once; what a killed instance was at goes on within five seconds
    of the last kill of who held it.
    """
    count, kills = trial.size((150, 6), (1000, 20))
    rate = trial.size(12.0, 10.0)
    asks = chats(trial.rng, count, rate)
    schedule = plan(trial, kills, count / rate)
    async with trial.stage(simulator=THINKING) as (running, judge):
        played, _ = await asyncio.gather(play(running.control, running.interactions, asks), kill_by(running, schedule))
        await trial.verdict(running, judge)
        record = trial.record
        record.timed("every interaction was acked", not played.failed, [one["ack"] for one in played.failed][:5])
        killed = [kill for kill in running.happenings if kill.what.startswith("SIGKILL")]
        resumed = [(kill, found) for kill in killed for found in judge.interrupted(kill, [f"set-{kill.instance}"])]
        times = [(found.interaction, waited(kill, found, killed)) for kill, found in resumed]
        slow = [f"{interaction} {seconds:.2f} s" for interaction, seconds in times if seconds > RESUME_S]
        elsewhere = [found for kill, found in resumed if found.on not in ("", f"set-{kill.instance}")]
        record.figures |= {
            "interrupted": len(resumed),
            "resumed_elsewhere": len(elsewhere),
            "longest_resumption_s": max((seconds for _, seconds in times), default=None),
        }
        record.timed(f"an orphan goes on within {RESUME_S:g} s of the kill", not slow, slow[:5])
        record.check("a kill interrupted work, and another instance went on with some of it", bool(elsewhere))
    record.require()
