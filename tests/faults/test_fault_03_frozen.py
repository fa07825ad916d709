"""Fault 3: an instance is frozen for longer than its leases, then wakes in the middle of its old work."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.faults.load import THINKING, chats, play
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 3
TITLE = "SIGSTOP for longer than a lease, then SIGCONT"
SLOW_ACK_MS = 650.0
"""A frozen instance costs nginx 700 ms before it asks another."""
SETTLED_AFTER_S = 1.5
SLOW_SHARE = 0.25

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(1200)]


async def freeze(running: Stage, instance: int, seconds: float) -> tuple[float, float]:
    """Freeze an instance; return from when to when."""
    began = running.send(instance, signal.SIGSTOP).t
    await asyncio.sleep(seconds)
    return began, running.send(instance, signal.SIGCONT).t


async def test_what_wakes_up_late_changes_nothing(trial: Trial) -> None:
    """Others take over, each user gets one answer, nothing stale shows after it, and nginx avoids the frozen one."""
    frozen_s, times = trial.size((5.0, 2), (60.0, 10))
    lease_s = trial.size("3", "20")
    rate = trial.size(10.0, 8.0)
    order = [trial.rng.randrange(1, 5) for _ in range(times)]
    total_s = times * (frozen_s + 1.0) + 1.0
    asks = chats(trial.rng, int(rate * total_s), rate)
    async with trial.stage(settings={"LEASE_S": lease_s}, simulator=THINKING) as (running, judge):

        async def freezing() -> list[tuple[float, float]]:
            spans = []
            for instance in order:
                await asyncio.sleep(1.0)
                spans.append(await freeze(running, instance, frozen_s))
            return spans

        played, spans = await asyncio.gather(play(running.control, running.interactions, asks), freezing())
        await trial.verdict(running, judge)
        record = trial.record
        record.timed("every interaction was acked", not played.failed, [one["ack"] for one in played.failed][:5])
        acks = [
            ack["ms"]
            for ack in judge.of("acked")
            if any(began + SETTLED_AFTER_S <= ack["t"] - ack["ms"] / 1000 <= ended for began, ended in spans)
        ]
        slow = [ms for ms in acks if ms >= SLOW_ACK_MS]
        taken_over = [
            found
            for kill, (_, ended) in zip((h for h in running.happenings if "SIGSTOP" in h.what), spans, strict=True)
            for found in judge.interrupted(kill, [f"set-{kill.instance}"])
            if found.seconds < ended - kill.t
        ]
        record.figures |= {
            "frozen_s": frozen_s,
            "lease_s": float(lease_s),
            "acks_while_frozen": len(acks),
            "slow_acks_while_frozen": len(slow),
            "taken_over_while_frozen": len(taken_over),
            "longest_takeover_s": max((found.seconds for found in taken_over), default=None),
        }
        record.check("others took over while it was frozen", bool(taken_over))
        record.timed(
            f"nginx stops sending there: at most {SLOW_SHARE:.0%} of the acks wait for a timeout",
            len(slow) <= SLOW_SHARE * len(acks),
            f"{len(slow)} of {len(acks)}",
        )
    record.require()
