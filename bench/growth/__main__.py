"""How acks grow dearer: jobs kept and waiting, instances, bodies and users, on SQLite and on Redis."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import charts, machine, saving
from bench.growth import report
from bench.growth.cells import REDIS, SQLITE, Axis, Cell, cells
from bench.growth.run import Seen, measure
from bench.growth.stores import RedisServer, SqliteFile, Store
from bench.interactions import Signer
from bench.measure import Plan, data_directory

RESULT = "growth"
OF_THE_QUEUE = (Axis.KEPT, Axis.WAITING)


def main(arguments: Sequence[str]) -> int:
    """Measure and report; 1 if figures are worthless."""
    wanted = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # so that servers and files go, too
    described = machine.description()
    print(machine.line(described))
    if warning := machine.busy():
        print(warning)
    stores = [SQLITE] if wanted.no_redis else [SQLITE, REDIS]
    if REDIS in stores and shutil.which("redis-server") is None:
        print("Without Redis: redis-server is not installed (./deploy-multi.sh test installs it).")
        stores.remove(REDIS)
    plan = Plan(wanted.seconds, wanted.connections)
    results: dict[Cell, list[Seen]] = {}
    leases: dict[Cell, list[float]] = {}
    for some in cells(wanted.only, stores, quick=wanted.quick):
        fitting = [cell for cell in some if cell.axis is not Axis.KEPT or cell.size <= wanted.most_kept]
        _measure_series(fitting, wanted.rounds, plan, results, leases)
    faults = report.faults(results)
    print(report.table(results, leases), *(f"WORTHLESS: {fault}" for fault in faults), sep="\n")
    options = {"rounds": wanted.rounds, "seconds": wanted.seconds, "connections": wanted.connections}
    figures = {"machine": described, "options": options, **report.as_json(results, leases)}
    for path in saving.places(RESULT, wanted.json, save=wanted.save and not faults):
        saving.write_json(path, figures)
    if wanted.save and not faults and charts.available():
        report.draw(results, saving.RESULTS / f"{RESULT}.png")
    elif wanted.save and not faults:
        print(charts.MISSING)
    return 1 if faults else 0


def _measure_series(
    series: Sequence[Cell], rounds: int, plan: Plan, results: dict[Cell, list[Seen]], leases: dict[Cell, list[float]]
) -> None:
    """Fill a store for each size, then measure them in turns."""
    signer = Signer.make()
    with ExitStack() as stack:
        stores: Mapping[Cell, Store] = {cell: _filled(cell, stack) for cell in series}
        for number in range(1, rounds + 1):
            for cell in series:
                if cell.axis in OF_THE_QUEUE:
                    leases.setdefault(cell, []).append(stores[cell].lease_ms())
                seen = measure(cell, stores[cell], signer, plan)
                results.setdefault(cell, []).append(seen)
                _show(f"round {number} of {rounds}, {cell.name}: {seen.acks_per_second:,.0f} acks/s, "
                      f"p99 {seen.p99_ms:.0f} ms, {seen.cpu_us:.0f} µs")  # fmt: skip


def _filled(cell: Cell, stack: ExitStack) -> Store:
    kinds: Mapping[str, Callable[[Path], Store]] = {SQLITE: SqliteFile, REDIS: RedisServer}
    store = kinds[cell.store](stack.enter_context(data_directory()))
    stack.callback(store.close)
    if cell.axis in OF_THE_QUEUE and cell.size:
        _show(f"filling: {cell.name}")
    store.fill(cell.of(Axis.KEPT, 0), cell.of(Axis.WAITING, 0))
    return store


def _show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _axes(text: str) -> Sequence[Axis]:
    return [Axis(name.strip()) for name in text.split(",")]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench growth", description=__doc__)
    parser.add_argument("--only", type=_axes, default=list(Axis), help=f"some of: {','.join(Axis)}")
    parser.add_argument("--rounds", type=int, help="rounds, each of one run of every size (default 5)")
    parser.add_argument("--seconds", type=float, help="seconds of a run, after a warm-up of one (default 2)")
    parser.add_argument("--connections", type=int, default=64, help="keep-alive connections (default 64)")
    parser.add_argument("--most-kept", type=int, default=1_000_000, help="leave out larger stores: a million jobs take "
                        "3 GB on disk, and on Redis in memory")  # fmt: skip
    parser.add_argument("--no-redis", action="store_true", help="SQLite only")
    parser.add_argument("--quick", action="store_true", help="two sizes of each, two short runs: about three minutes")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--save", action="store_true", help="write figures and charts to bench/results")
    wanted = parser.parse_args(arguments)
    wanted.rounds = wanted.rounds or (2 if wanted.quick else 5)
    wanted.seconds = wanted.seconds or (1.0 if wanted.quick else 2.0)
    if not (1 <= wanted.rounds <= 100 and 0 < wanted.seconds <= 60 and 16 <= wanted.connections <= 1000):
        parser.error("expected 1 to 100 rounds of at most 60 seconds over 16 to 1,000 connections")
    return wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
