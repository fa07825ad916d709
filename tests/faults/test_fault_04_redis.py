"""Fault 4 with Redis: the network between the instances and their store resets, swallows or delays everything."""

from __future__ import annotations

import time

import pytest

from tests.faults.load import THINKING, chats, play
from tests.faults.network import Mode, faulty_network
from tests.faults.test_fault_07_disk import health_is
from tests.faults.trial import Trial

NUMBER = 4
TITLE = "network to Redis: reset, black hole, 500 ms lag"
STORES = ("redis",)
MODES: tuple[Mode, ...] = ("reset", "black_hole", "lag")
REFUSED_WITHIN_MS = 2500.0
HEALS_S = 5.0
RATE = 6.0

pytestmark = [pytest.mark.faults_full, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(1200)]


async def test_a_store_out_of_reach_loses_nobody_and_heals_by_itself(trial: Trial) -> None:
    """Everyone accepted is answered once; who can't be recorded hears so in time; work goes on soon after it heals."""
    rounds, seconds = trial.size((3, 3.5), (10, 30.0))
    modes = list(MODES) if not trial.full else [trial.rng.choice(MODES) for _ in range(rounds)]
    async with (
        faulty_network() as network,
        trial.stage(simulator=THINKING, before_store=network) as (running, judge),
    ):
        record, healed, slow = trial.record, [], []
        record.part = "redis"
        for mode in modes:
            running.note(f"{mode} to Redis")
            network.set(mode)
            asks = chats(trial.rng, int(RATE * seconds), RATE)
            played = await play(running.control, running.interactions, asks)
            slow += [ack["ms"] for one in played.asked if (ack := one["ack"]) and ack["ms"] > REFUSED_WITHIN_MS]
            if mode != "lag":
                deferred = [ack for one in played.asked if (ack := one["ack"]) and ack["type"] == 5]
                record.check(f"{mode}: nothing is deferred that can't be recorded", not deferred, deferred[:3])
            network.set("open")
            opened = running.note("the network is whole again").t
            well = await health_is(running, True, HEALS_S)
            healed.append(time.monotonic() - opened if well < float("inf") else well)
            probe = await play(running.control, running.interactions, chats(trial.rng, 4, 20.0))
            accepted = [one for one in probe.asked if one["ack"] and one["ack"]["type"] == 5]
            record.check(f"{mode}: accepted again afterwards", len(accepted) == 4, [one["ack"] for one in probe.asked])
            await judge.settled(120)
        record.figures |= {"healthy_after_s": [round(s, 2) for s in healed]}
        record.timed("a refusal comes within 2.5 s", not slow, slow[:5])
        record.timed(f"heals within {HEALS_S:g} s", max(healed) <= HEALS_S, healed)
        await trial.verdict(running, judge, settle_s=120)
    record.require()
