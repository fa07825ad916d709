"""Runs one cell: a real system on a stage of its own, an open-loop load, and then the ledger's word."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_engine import SqliteEngine
from bench.capacity.cells import Cell, Plan
from bench.capacity.machine import Usage
from bench.capacity.stage import Stage, build_stage, faults_of
from bench.capacity.traffic import Arrival, arrivals
from bench.capacity.verdict import Load, Result, Span, judge
from bench.measure import data_directory
from ops import native
from ops.failures import OpsError
from ops.health import get_json
from ops.processes import processes_of, wait_for
from ops.shutdown import stop
from ops.system import Paths, System
from simulator.client import ControlClient, ControlError
from simulator.ledger import read_ledger

ACQUAINTED_WITHIN_S = 15.0
START_TRIES = 3
HEAD_START_S = 0.5
COMMANDS = {"chat": ("채팅", "질문"), "image": ("이미지", "설명"), "video": ("비디오", "설명")}

Say = Callable[[str], None]


@dataclass(slots=True)
class Sender:
    """What the load itself noticed."""

    late_s: float = 0.0
    unsent: int = 0


async def run_cell(cell: Cell, plan: Plan, starting: asyncio.Lock, keep: Path | None, say: Say) -> Result:
    """Measure one cell. Systems start one after the other (`starting`), since each looks for free ports.

    With `keep` the cell's ledger and logs are left there.
    """
    with data_directory() as directory:
        async with _running(cell, plan, directory, starting) as (stage, system):
            say(f"{cell.name}: running")
            span, load = await _load(cell, plan, stage, system)
        # Everything has ended now: what was running is finished or handed back, and the ledger is complete.
        events = await asyncio.to_thread(read_ledger, stage.ledger)
        still_open = await _open_jobs(stage.settings.sqlite_path)
        if keep is not None:
            shutil.copytree(directory, keep / cell.name.replace("/", "-"), dirs_exist_ok=True, ignore=_sockets)
    return judge(cell, plan, events, span, still_open, load)


@asynccontextmanager
async def _running(
    cell: Cell, plan: Plan, directory: Path, starting: asyncio.Lock
) -> AsyncIterator[tuple[Stage, System]]:
    paths = Paths(directory)
    try:
        async with starting:
            stage, system = await asyncio.to_thread(_start, cell, plan, paths.data_dir)
        yield stage, system
    finally:
        await asyncio.to_thread(stop, paths, lambda _: None)


def _start(cell: Cell, plan: Plan, directory: Path) -> tuple[Stage, System]:
    """Start the system and wait until its instances know each other; again, should somebody have taken a port."""
    for attempt in range(1, START_TRIES + 1):
        stage = build_stage(cell, plan, directory)
        simulator = (stage.simulator_url, stage.simulator_command)
        try:
            system = native.start(stage.file, stage.settings, lambda _: None, simulator)
            break
        except (OpsError, OSError):
            if attempt == START_TRIES:
                raise
    everyone = list(range(1, len(system.ports) + 1))
    pages = [f"http://127.0.0.1:{port}/stats" for port in system.ports]
    if not wait_for(
        lambda: all((get_json(page) or {}).get("alive") == everyone for page in pages), ACQUAINTED_WITHIN_S
    ):
        raise OpsError(f"{cell.name}: the instances did not see each other within {ACQUAINTED_WITHIN_S:.0f} s.")
    return stage, system


async def _load(cell: Cell, plan: Plan, stage: Stage, system: System) -> tuple[Span, Load]:
    paths = Paths(Path(system.data_dir))
    planned = await asyncio.to_thread(arrivals, cell, plan)
    async with ControlClient(stage.simulator_url, stage.control_token) as control:
        for fault in faults_of(cell, plan):
            await control.fault(**fault)
        started = time.monotonic() + HEAD_START_S
        span = Span(started, started + plan.warm_up_s, started + plan.run_s(cell.work))
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send_all(control, stage.target, planned, started))
            await _sleep_until(span.t0)
            before = Usage.of(processes_of(paths))
            await _sleep_until(span.t1)
            used = Usage.of(processes_of(paths)).since(before)
        sender = sending.result()
    return span, Load(used.cores, used.machine_busy, sender.late_s * 1000, sender.unsent)


async def _send_all(control: ControlClient, target: str, planned: Sequence[Arrival], started: float) -> Sender:
    """Send each at its time, whatever became of those before it."""
    sender = Sender()
    async with asyncio.TaskGroup() as group:
        for arrival in planned:
            await _sleep_until(started + arrival.at_s)
            sender.late_s = max(sender.late_s, time.monotonic() - started - arrival.at_s)
            group.create_task(_send(control, target, arrival, sender))
    return sender


async def _send(control: ControlClient, target: str, arrival: Arrival, sender: Sender) -> None:
    command, option = COMMANDS[arrival.kind]
    try:
        await control.interact(target, command, {option: arrival.prompt}, user_id=str(arrival.user_id))
    except (ControlError, httpx2.HTTPError):
        sender.unsent += 1


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


async def _open_jobs(path: Path) -> set[str]:
    """Ids of the jobs that wait in the store after the system's end: accepted, and owed an answer by the next start."""
    engine = SqliteEngine(path, MIGRATIONS)
    await engine.open()
    try:
        waiting = await SqliteJobStore(engine).unserved(now=time.time() + 3600, limit=1_000_000)
        return {job.id for job in waiting}
    finally:
        await engine.close()


def _sockets(directory: str, names: list[str]) -> list[str]:
    """Name what can't or must not be copied: sockets, and files with keys, simulated as they are."""
    return [name for name in names if name.endswith((".sock", "env.multi", "simulator.json"))]
