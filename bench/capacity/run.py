"""Runs cells: for each a real system on a stage of its own, an open-loop load, and then the ledger's word."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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


@dataclass(frozen=True, slots=True)
class Running:
    """A started cell."""

    cell: Cell
    stage: Stage
    system: System

    @property
    def paths(self) -> Paths:
        """Where its files lie."""
        return Paths(Path(self.system.data_dir))


async def run_wave(cells: Sequence[Cell], plan: Plan, keep: Path | None, say: Say) -> dict[Cell, Result]:
    """Measure some cells at the same time; those that don't start are said and left out.

    All systems are started, one after the other, before any load: a start takes more of the processors than a load.
    With `keep` each cell's ledger and logs are left there.
    """
    with ExitStack() as stack:
        running: list[Running] = []
        directories: list[Path] = []
        try:
            for cell in cells:
                directories.append(stack.enter_context(data_directory()))
                say(f"{cell.name}: starting")
                try:
                    running.append(await _to_its_end(_start, cell, plan, directories[-1]))
                except (OpsError, OSError) as error:  # the other cells' figures are still worth having
                    say(f"{cell.name}: {error}")
            say(f"running {len(running)} systems under load")
            loads = await asyncio.gather(*(_load(one, plan) for one in running))
        finally:
            await asyncio.gather(*(asyncio.to_thread(stop, Paths(path), _silent) for path in directories))
        # Everything has ended now: what was running is finished or handed back, and the ledgers are complete.
        results = {}
        for one, (span, load) in zip(running, loads, strict=True):
            results[one.cell] = await _judge(one, plan, span, load)
            if keep is not None:
                copy = keep / one.cell.name.replace("/", "-")
                shutil.copytree(one.paths.data_dir, copy, dirs_exist_ok=True, ignore=_secrets)
        return results


async def _to_its_end(start: Callable[[Cell, Plan, Path], Running], cell: Cell, plan: Plan, path: Path) -> Running:
    """Start in a thread; if this is cancelled meanwhile, wait for the thread: only what has started can be stopped."""
    task = asyncio.create_task(asyncio.to_thread(start, cell, plan, path))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


async def _judge(one: Running, plan: Plan, span: Span, load: Load) -> Result:
    events = await asyncio.to_thread(read_ledger, one.stage.ledger)
    still_open = await _open_jobs(one.stage.settings.sqlite_path)
    return judge(one.cell, plan, events, span, still_open, load)


def _silent(text: str) -> None:
    pass


def _start(cell: Cell, plan: Plan, directory: Path) -> Running:
    """Start a system and wait until its instances know each other; again, should somebody have taken a port."""
    paths = Paths(directory)
    for attempt in range(1, START_TRIES + 1):
        stage = build_stage(cell, plan, directory)
        simulator = (stage.simulator_url, stage.simulator_command)
        try:
            system = native.start(stage.file, stage.settings, _silent, simulator)
            break
        except (OpsError, OSError):
            if attempt == START_TRIES:
                raise
    everyone = list(range(1, len(system.ports) + 1))
    pages = [f"http://127.0.0.1:{port}/stats" for port in system.ports]

    def acquainted() -> bool:
        return all((get_json(page) or {}).get("alive") == everyone for page in pages)

    if not wait_for(acquainted, ACQUAINTED_WITHIN_S):
        stop(paths, _silent)
        raise OpsError(f"the instances did not see each other within {ACQUAINTED_WITHIN_S:.0f} s")
    return Running(cell, stage, system)


async def _load(one: Running, plan: Plan) -> tuple[Span, Load]:
    cell, stage = one.cell, one.stage
    planned = await asyncio.to_thread(arrivals, cell, plan)
    async with ControlClient(stage.simulator_url, stage.control_token) as control:
        for fault in faults_of(cell, plan):
            await control.fault(**fault)
        started = time.monotonic() + HEAD_START_S
        span = Span(started, started + plan.warm_up_s, started + plan.run_s(cell.work))
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send_all(control, stage.target, planned, started))
            await _sleep_until(span.t0)
            before = Usage.of(processes_of(one.paths))
            await _sleep_until(span.t1)
            used = Usage.of(processes_of(one.paths)).since(before)
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


def _secrets(directory: str, names: list[str]) -> list[str]:
    """Name what can't or must not be copied: sockets, and files with keys, simulated as they are."""
    return [name for name in names if name.endswith((".sock", "env.multi", "simulator.json"))]
