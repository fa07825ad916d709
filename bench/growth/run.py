"""Measures one cell once: the instances on a filled store, warmed up, loaded, and killed."""

from __future__ import annotations

import asyncio
import itertools
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.contestants import quartet_environment
from bench.growth.cells import Axis, Cell
from bench.growth.stores import Store
from bench.interactions import USERS, Requests, Signer, ping, presigned, user_of
from bench.load import Run, load
from bench.measure import Plan, data_directory
from bench.processes import QUIET_S, QUIET_SHARE, QUIET_WITHIN_S, ServerProcess, cores, free_port, on_core, server

PATH = "/interactions"
SIGNED_PER_SECOND = 12_000
LARGE_BODY, SIGNED_LARGE = 4096, 6_000
"""Of large bodies fewer are answered, and fewer fit into memory."""

IDLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One run of a cell. Times in milliseconds; `cpu_us` is what all instances together used for each ack.

    `idle_ms` is the processor time that all instances take each second when nobody asks, and `pss_mib` their memory;
    None where the number of instances is not what grows.
    """

    acks: int
    acks_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    load_busy: float
    errors: int
    first_error: str
    lost: int
    store_mib: float
    idle_ms: float | None = None
    pss_mib: float | None = None


def requests_for(cell: Cell, signer: Signer, plan: Plan) -> Requests:
    """Return as many requests as the instances could answer."""
    size = cell.size if cell.axis is Axis.BODIES else None
    a_second = SIGNED_LARGE if size is not None and size > LARGE_BODY else SIGNED_PER_SECOND
    count = int(a_second * (plan.seconds + plan.warm_up_s))
    return presigned(signer, count, users=cell.of(Axis.USERS, USERS), size=size)


def measure(cell: Cell, store: Store, signer: Signer, plan: Plan) -> Seen:
    """Measure the cell; afterwards the store is as it was."""
    requests = requests_for(cell, signer, plan)
    try:
        return _measure(cell, store, requests, signer, plan)
    finally:
        store.clear(requests.ids)


def _measure(cell: Cell, store: Store, requests: Requests, signer: Signer, plan: Plan) -> Seen:
    server_core, load_core = cores() if cell.axis is not Axis.INSTANCES else (None, None)
    raw = requests.to(PATH)
    idle_ms = pss_mib = None
    with data_directory() as directory, ExitStack() as stack:
        count = cell.of(Axis.INSTANCES, 1)
        processes = [
            stack.enter_context(_instance(number, count, store, signer, directory, server_core))
            for number in range(1, count + 1)
        ]
        for process in processes:
            process.wait_until_answering(ping(signer, PATH))
        _wait_until_quiet(processes)
        if cell.axis is Axis.INSTANCES:
            idle_ms, pss_mib = _idle(processes)
        numbers = [
            iter([n for n in range(len(raw)) if user_of(n, cell.of(Axis.USERS, USERS)) % count == home])
            for home in range(count)
        ]
        with on_core(load_core):
            warm_up, run, cpu_s = uvloop.run(_loaded(processes, raw, numbers, plan))
        for process in processes:
            process.check()
        store_mib = store.mib()
    acked = [requests.ids[number] for number in itertools.chain(warm_up.acked, run.acked)]
    return Seen(
        acks=len(run.acked),
        acks_per_second=run.per_second,
        p50_ms=run.latency_ms(0.5),
        p99_ms=run.latency_ms(0.99),
        cpu_us=1e6 * cpu_s / max(1, len(run.acked)),
        load_busy=run.cpu_s / run.elapsed_s,
        errors=warm_up.errors + run.errors,
        first_error=warm_up.first_error or run.first_error,
        lost=store.lost(acked),
        store_mib=store_mib,
        idle_ms=idle_ms,
        pss_mib=pss_mib,
    )


def _instance(
    number: int, count: int, store: Store, signer: Signer, parent: Path, core: int | None
) -> AbstractContextManager[ServerProcess]:
    port, directory = free_port(), parent / f"instance-{number}"
    directory.mkdir()
    environment = {
        **quartet_environment(port, signer, directory),
        "INSTANCE_ID": str(number),
        "INSTANCE_COUNT": str(count),
        "STORE_URL": store.url,
    }
    return server(["-m", "app"], port=port, directory=directory, environment=environment, core=core)


def _wait_until_quiet(processes: Sequence[ServerProcess]) -> None:
    """Wait until what they do after their start is done, twice in a row."""
    quiet, give_up = 0, time.monotonic() + QUIET_WITHIN_S
    while quiet < 2 and time.monotonic() < give_up:
        before = _cpu_s(processes)
        time.sleep(QUIET_S)
        quiet = quiet + 1 if _cpu_s(processes) - before < QUIET_SHARE * QUIET_S * len(processes) else 0


def _idle(processes: Sequence[ServerProcess]) -> tuple[float, float]:
    before, started = _cpu_s(processes), time.perf_counter()
    time.sleep(IDLE_S)
    used = (_cpu_s(processes) - before) / (time.perf_counter() - started)
    return 1000 * used, sum(process.memory_mib()["pss"] for process in processes)


def _cpu_s(processes: Sequence[ServerProcess]) -> float:
    return sum(process.cpu_s() for process in processes)


async def _loaded(
    processes: Sequence[ServerProcess], raw: Sequence[bytes], numbers: Sequence[Iterator[int]], plan: Plan
) -> tuple[Run, Run, float]:
    warm_up = await _load(processes, raw, numbers, plan.connections, plan.warm_up_s)
    busy = _cpu_s(processes)
    run = await _load(processes, raw, numbers, plan.connections, plan.seconds)
    return warm_up, run, _cpu_s(processes) - busy


async def _load(
    processes: Sequence[ServerProcess],
    raw: Sequence[bytes],
    numbers: Sequence[Iterator[int]],
    connections: int,
    seconds: float,
) -> Run:
    """Load each instance with its users, over its share of the connections, as nginx would."""
    share = max(1, connections // len(processes))
    runs = await asyncio.gather(
        *(
            load(process.port, raw, own, connections=share, seconds=seconds)
            for process, own in zip(processes, numbers, strict=True)
        )
    )
    return together(runs)


def together(runs: Sequence[Run]) -> Run:
    """Return runs that went on at the same time, in this one process, as one."""
    return Run(
        acked=array("l", itertools.chain.from_iterable(run.acked for run in runs)),
        latencies_s=array("d", itertools.chain.from_iterable(run.latencies_s for run in runs)),
        errors=sum(run.errors for run in runs),
        first_error=next((run.first_error for run in runs if run.first_error), ""),
        elapsed_s=max(run.elapsed_s for run in runs),
        cpu_s=max(run.cpu_s for run in runs),
    )
