"""One measurement: start a contestant, warm it up, load it, kill it, count what it kept."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.contestants import Contestant
from bench.interactions import Requests, Signer, ping
from bench.load import Run, load
from bench.processes import ROOT, ServerProcess, cores, on_core

WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a contestant is loaded."""

    seconds: float
    connections: int
    warm_up_s: float = WARM_UP_S


@dataclass(frozen=True, slots=True)
class Measurement:
    """One contestant, once. Times in milliseconds, `cpu_us` is the server's own processor time for each ack.

    `load_busy` is how much of its core the load generator used; near 1 it would be the load that was measured.
    `lost` and `unasked` compare what was acked, warm-up included, with what is on disk; None for who records nothing.
    """

    contestant: str
    acks: int
    errors: int
    first_error: str
    seconds: float
    acks_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    load_busy: float
    lost: int | None
    unasked: int | None


def measure(contestant: Contestant, requests: Requests, signer: Signer, plan: Plan) -> Measurement:
    """Measure a contestant with `requests`, or as many of them as it answers in time."""
    server_core, load_core = cores()
    raw = requests.to(contestant.path)
    numbers = iter(range(len(raw)))
    with data_directory() as directory:
        with contestant.start(signer, directory, server_core) as process:
            process.wait_until_answering(ping(signer, contestant.path))
            process.wait_until_quiet()
            with on_core(load_core):
                warm_up, run, cpu_s = uvloop.run(_load(process, raw, numbers, plan))
            process.check()
        acked = {requests.ids[number] for number in itertools.chain(warm_up.acked, run.acked)}
        recorded = None if contestant.recorded is None else set(contestant.recorded(directory))
    return Measurement(
        contestant=contestant.name,
        acks=len(run.acked),
        errors=warm_up.errors + run.errors,
        first_error=warm_up.first_error or run.first_error,
        seconds=run.elapsed_s,
        acks_per_second=run.per_second,
        p50_ms=run.latency_ms(0.5),
        p99_ms=run.latency_ms(0.99),
        cpu_us=1e6 * cpu_s / max(1, len(run.acked)),
        load_busy=run.cpu_s / run.elapsed_s,
        lost=None if recorded is None else len(acked - recorded),
        unasked=None if recorded is None else len(recorded - acked),
    )


async def _load(
    process: ServerProcess, raw: Sequence[bytes], numbers: Iterator[int], plan: Plan
) -> tuple[Run, Run, float]:
    warm_up = await load(process.port, raw, numbers, connections=plan.connections, seconds=plan.warm_up_s)
    busy = process.cpu_s()
    run = await load(process.port, raw, numbers, connections=plan.connections, seconds=plan.seconds)
    return warm_up, run, process.cpu_s() - busy


@contextmanager
def data_directory() -> Iterator[Path]:
    """Make a directory on the checkout's own disk (a temporary one may be memory) and remove it at the end."""
    parent = ROOT / "data"
    parent.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
