"""Fault 7: the disk under the store is full, then read-only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.processes import wait_for
from tests.faults.load import THINKING, Played, chats, play
from tests.faults.scenarios import kill_all
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 7
TITLE = "disk full, read-only file system"
STORES = ("sqlite",)
DISK_MIB = 12
REFUSED_WITHIN_MS = 1000.0
RED_WITHIN_S = 5.0
HEALED_WITHIN_S = 10.0

pytestmark = [
    pytest.mark.faults_full,
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small disk this test fills"),
]


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of a few megabytes in memory; unmounted whatever happens."""
    place.mkdir(parents=True)
    options = f"size={DISK_MIB}m,mode=0700"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=False).returncode:
        pytest.skip("this machine allows no mounts, so no disk can be filled or made read-only")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, how: str) -> None:
    """Make the disk `ro` or `rw`; it is busy until the last writer is quite gone."""
    command = ["mount", "-o", f"remount,{how}", str(place)]
    done = wait_for(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0, 10)
    assert done, f"the disk can't be made {how}"


def fill(place: Path) -> Path:
    """Take every byte that is left; return the file that holds them."""
    path = place / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size):
                    pass
    return path


async def health_is(running: Stage, well: bool, within_s: float) -> float:
    """Wait until every instance says so; return the seconds it took, infinite if it did not."""
    began = time.monotonic()
    while time.monotonic() - began < within_s + 20:
        states = await asyncio.to_thread(lambda: [running.healthy(k) for k in range(1, running.count + 1)])
        if all(state is well for state in states):
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    return float("inf")


def judged(trial: Trial, name: str, played: Played) -> None:
    """While nothing can be recorded nothing may be deferred, and the refusal is quick."""
    acks = [one["ack"] for one in played.asked]
    deferred = [ack for ack in acks if ack and ack["type"] == 5]
    slow = [ack["ms"] for ack in acks if ack and ack["ms"] > REFUSED_WITHIN_MS]
    trial.record.check(f"{name}: nothing is deferred that can't be recorded", not deferred, deferred[:3])
    trial.record.timed(f"{name}: refused within 1 s", not slow, slow[:5])


async def test_a_disk_that_takes_nothing_is_told_of_at_once_and_heals(trial: Trial) -> None:
    """Nothing is acked and not recorded; refusals are quick, health tells, and all heals without a restart of ours."""
    count = trial.size(20, 200)
    with small_disk(trial.directory / "disk") as disk:
        settings = {"STORE_URL": f"sqlite:///{disk}/quartet.db"}
        async with trial.stage(simulator=THINKING, settings=settings) as (running, judge):
            record = trial.record
            await play(running.control, running.interactions, chats(trial.rng, count, 20.0))
            ballast = fill(disk)
            running.note("the disk is full")
            red = await health_is(running, False, RED_WITHIN_S)
            judged(trial, "full", await play(running.control, running.interactions, chats(trial.rng, count, 20.0)))
            ballast.unlink()
            running.note("there is room again")
            healed = await health_is(running, True, HEALED_WITHIN_S)
            await play(running.control, running.interactions, chats(trial.rng, count, 20.0))
            await judge.settled(60)
            record.timed(f"full: health is red within {RED_WITHIN_S:g} s", red <= RED_WITHIN_S, red)
            record.timed(f"full: heals within {HEALED_WITHIN_S:g} s", healed <= HEALED_WITHIN_S, healed)
            await read_only(trial, running, disk, count)
            await play(running.control, running.interactions, chats(trial.rng, count, 20.0))
            record.figures |= {"full": {"red_after_s": round(red, 2), "healed_after_s": round(healed, 2)}}
            await trial.verdict(running, judge)
    trial.record.require()


async def read_only(trial: Trial, running: Stage, disk: Path, count: int) -> None:
    """A disk can only be made read-only once nobody writes: the instances die, and come back to it."""
    with running.supervisor_held():
        kill_all(running)
        await asyncio.sleep(0.2)
        remount(disk, "ro")
        running.note("the disk is read-only")
    judged(trial, "read-only", await play(running.control, running.interactions, chats(trial.rng, count, 20.0)))
    remount(disk, "rw")
    running.note("the disk can be written again")
    healed = await health_is(running, True, HEALED_WITHIN_S)
    trial.record.figures |= {"read_only": {"healed_after_s": round(healed, 2)}}
    trial.record.timed(f"read-only: heals within {HEALED_WITHIN_S:g} s", healed <= HEALED_WITHIN_S, healed)
