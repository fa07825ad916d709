"""The tables and charts of growth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import charts
from bench.growth.cells import TITLES, Axis, Cell
from bench.growth.run import Seen
from bench.report import BUSIEST_LOAD, Spread

Results = Mapping[Cell, Sequence[Seen]]
Leases = Mapping[Cell, Sequence[float]]
"""Milliseconds of a lease, for each round, where the queue is what matters."""

SHORT = {1_000_000: "1 M", 100_000: "100 k", 10_000: "10 k", 1_000: "1 k"}


def spread(seen: Sequence[Seen], value: Callable[[Seen], float | None]) -> Spread:
    """Return the spread of a value that was measured in all rounds."""
    return Spread.of([number for one in seen if (number := value(one)) is not None])


def faults(results: Results) -> Sequence[str]:
    """Return what makes figures worthless."""
    found = []
    for cell, rounds in results.items():
        for number, seen in enumerate(rounds, start=1):
            where = f"round {number}, {cell.name}"
            if seen.errors or not seen.acks:
                found.append(f"{where}: {seen.errors} errors, the first: {seen.first_error or 'nothing was acked'}")
            if seen.lost:
                found.append(f"{where}: {seen.lost} acked interactions are not in the store")
            if cell.axis is not Axis.INSTANCES and seen.load_busy > BUSIEST_LOAD:
                found.append(f"{where}: the load generator used {seen.load_busy:.0%} of its core")
    return found


def table(results: Results, leases: Leases) -> str:
    """Return one Markdown table for each series."""
    parts = []
    for axis, store in series(results):
        cells = [cell for cell in results if (cell.axis, cell.store) == (axis, store)]
        columns = ["acks/s", "p99 ms", "CPU µs/ack", "store MiB", *_more_titles(cells[0], leases)]
        lines = [
            f"**{store}, by {TITLES[axis]}**\n",
            f"| {TITLES[axis]} | {' | '.join(columns)} |",
            "|---|" + "---|" * len(columns),
        ]
        lines += [f"| {cell.size:,} | {' | '.join(_row(cell, results[cell], leases))} |" for cell in cells]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def series(results: Results) -> Sequence[tuple[Axis, str]]:
    """Return what was measured: axes and stores, in order."""
    return list(dict.fromkeys((cell.axis, cell.store) for cell in results))


def _more_titles(cell: Cell, leases: Leases) -> Sequence[str]:
    if cell.axis is Axis.INSTANCES:
        return ["idle, ms of a core each second", "memory MiB (PSS, all)"]
    return ["a lease, ms"] if cell in leases else []


def _row(cell: Cell, seen: Sequence[Seen], leases: Leases) -> Sequence[str]:
    row = [
        spread(seen, lambda one: one.acks_per_second).to(0),
        spread(seen, lambda one: one.p99_ms).to(1),
        spread(seen, lambda one: one.cpu_us).to(0),
        f"{spread(seen, lambda one: one.store_mib).median:,.0f}",
    ]
    if cell.axis is Axis.INSTANCES:
        row += [spread(seen, lambda one: one.idle_ms).to(0), f"{spread(seen, lambda one: one.pss_mib).median:,.0f}"]
    elif cell in leases:
        row.append(Spread.of(leases[cell]).to(1))
    return row


def as_json(results: Results, leases: Leases) -> dict[str, Any]:
    """Return every run of every cell."""
    return {
        "cells": [
            {"axis": cell.axis, "size": cell.size, "store": cell.store, "lease_ms": list(leases.get(cell, ())),
             "rounds": [asdict(one) for one in seen]}
            for cell, seen in results.items()
        ],
        "faults": list(faults(results)),
    }  # fmt: skip


def draw(results: Results, path: Path) -> None:
    """Write a panel for each axis with the acks per second, and one with the processor time by what is kept."""
    found = [_panel(results, axis, "acks/s", lambda one: one.acks_per_second) for axis in _axes(results)]
    found += [_panel(results, axis, "CPU µs per ack", lambda one: one.cpu_us) for axis in _axes(results)]
    charts.panels(path, found)


def _axes(results: Results) -> Sequence[Axis]:
    return list(dict.fromkeys(axis for axis, _ in series(results)))


def _panel(results: Results, axis: Axis, what: str, value: Callable[[Seen], float]) -> charts.Panel:
    cells = [cell for cell in results if cell.axis is axis]
    sizes = list(dict.fromkeys(cell.size for cell in cells))
    lines: dict[str, list[Spread | None]] = {}
    for cell in cells:
        line = lines.setdefault(cell.store, [None] * len(sizes))
        line[sizes.index(cell.size)] = spread(results[cell], value)
    names = [f"{size // 1024} KB" if axis is Axis.BODIES else SHORT.get(size, f"{size:,}") for size in sizes]
    return charts.Panel(f"{what}, by {TITLES[axis]}", names, lines)
