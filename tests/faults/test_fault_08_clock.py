"""Fault 8: one instance's wall clock jumps in mid-job."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.supervisor import Supervisor
from ops.system import MARKER, load_system
from tests.faults.load import THINKING, Ask, chats, play
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 8
TITLE = "clock jumps of 15 min and 1 h on one instance"
JUMPS_S = (900, -900, 3600, -3600)
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

pytestmark = [
    pytest.mark.faults_full,
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed (Debian's package faketime)"),
]


class Clock:
    """The wall clock of one instance, in a file that libfaketime reads at every look at the time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(0)

    def set(self, offset_s: int) -> None:
        """Set the clock forward or back from the true time; durations stay true."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f"{offset_s:+d}\n")
        fresh.replace(self.path)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process see it."""
        own = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_NO_CACHE": "1"}
        return {**own, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}

    def works(self) -> bool:
        """Whether a process under this clock sees a wrong wall clock and true durations."""
        self.set(-3600)
        look = [sys.executable, "-c", "import time; print(time.time(), time.monotonic())"]
        seen = subprocess.run(look, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True)
        wall, monotonic = map(float, seen.stdout.split())
        off, drift = wall - time.time(), monotonic - time.monotonic()
        self.set(0)
        return abs(off + 3600) < 5 and abs(drift) < 5


@contextlib.contextmanager
def under(clock: Clock, running: Stage, number: int) -> Iterator[None]:
    """Run one instance under that clock instead of under the supervisor."""
    system = load_system(running.paths.run)
    assert system is not None
    Supervisor(system.socket).stop(f"instance-{number}")
    command = [sys.executable, "-m", "ops", "instance", str(number), "--port", str(running.base + 2 + number)]
    environment = {**os.environ, **clock.environment, MARKER: str(running.paths.run), "QUARTET_CWD": str(running.tree)}
    with running.paths.log(f"instance-{number}").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--env-file", str(running.env_file)], cwd=running.tree, env=environment, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def test_a_jumping_clock_loses_and_doubles_nothing(trial: Trial) -> None:
    """Everyone accepted is answered once, whatever one instance takes for the time."""
    times, rate, hold_s = trial.size((1, 8.0, 4.0), (5, 10.0, 10.0))
    jumps = [jump for _ in range(times) for jump in trial.rng.sample(JUMPS_S, len(JUMPS_S))]
    number = trial.rng.randrange(1, 5)
    clock = Clock(trial.directory / "clock")
    trial.record.check("the clock can be set for one process alone", await asyncio.to_thread(clock.works))
    async with trial.stage(simulator=THINKING) as (running, judge):
        with under(clock, running, number):
            await running.all_healthy()
            failed = []
            for jump in jumps:
                asks = chats(trial.rng, int(rate * hold_s), rate)
                sending = asyncio.create_task(play(running.control, running.interactions, asks))
                await asyncio.sleep(hold_s / 4)
                clock.set(jump)
                running.note(f"the clock of instance {number} is off by {jump:+d} s", number)
                await asyncio.sleep(hold_s / 2)
                clock.set(0)
                running.note(f"the clock of instance {number} is right again", number)
                failed += (await sending).failed
                await judge.settled(60)
            # What a wrong clock may have left behind must not last: everybody asks once more.
            last = await play(running.control, running.interactions, each_home(trial, 4))
            await trial.verdict(running, judge)
        record = trial.record
        record.figures |= {"instance": number, "not_acked_while_off": len(failed), "why": sorted(set(map(why, failed)))}
        record.timed("once the clock is right everybody is acked", not last.failed, [why(one) for one in last.failed])
    record.require()


def each_home(trial: Trial, users: int) -> list[Ask]:
    """Some users of every home."""
    return chats(trial.rng, users * 4, 20.0)


def why(one: dict[str, object]) -> str:
    """Why an ack failed."""
    ack = one["ack"]
    return str(ack["reason"]) if isinstance(ack, dict) else "no ack"
