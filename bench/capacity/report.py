"""Tables, targets and JSON of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from bench.capacity.cells import Cell, Mode, Plan, Work
from bench.capacity.verdict import Result

LEAST_GAIN = 3.9
LEAST_USE = 0.97
BUSY = 0.85
ONE_SET_SECONDS, FOUR_SETS_SECONDS = (5.0, 10.0), (2.0, 5.0)

Results = Mapping[Cell, Result]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure was to be, what it is, and whether that is reached."""

    what: str
    wanted: str
    got: str
    reached: bool


def gain(cell: Cell, results: Results) -> float | None:
    """Calls done as a multiple of those of one key set under the same load; None if there is no such figure."""
    base = results.get(Cell(Mode.ONE_SET, cell.users, cell.work))
    if base is None or not base.done or cell.faults or cell.work is Work.RUSH:
        return None
    return results[cell].done / base.done


def targets(results: Results) -> list[Target]:
    """Return what can be judged of what was measured."""
    found = [target for cell in results for target in _cell_targets(cell, results)]
    limited = sum(result.limited + result.windows_over for result in results.values())
    found.append(Target("calls over a limit, all cells", "0", str(limited), limited == 0))
    wrong = sum(len(result.lost) + len(result.twice) for result in results.values())
    found.append(Target("lost or twice, all cells", "0", str(wrong), wrong == 0))
    return found


def _cell_targets(cell: Cell, results: Results) -> list[Target]:
    result = results[cell]
    if cell.work is Work.RUSH:
        low, high = ONE_SET_SECONDS if cell.mode is Mode.ONE_SET else FOUR_SETS_SECONDS
        got = result.p50_s or 0.0
        return [Target(f"{cell.name}: p50", f"{low:.0f}-{high:.0f} s", f"{got:.1f} s", low <= got <= high)]
    if cell.mode is not Mode.QUARTET:
        return []
    found = []
    multiple = gain(cell, results)
    if multiple is not None:
        wanted = f"at least {LEAST_GAIN} x one set"
        found.append(Target(f"{cell.name}: calls", wanted, f"{multiple:.2f} x", multiple >= LEAST_GAIN))
    use = min(result.use_of(provider) for provider in result.allowed)
    found.append(Target(f"{cell.name}: use", f"at least {LEAST_USE}", f"{use:.3f}", use >= LEAST_USE))
    return found


def table(results: Results) -> Table:
    """Return the figures of all cells."""
    shown = Table(title="Capacity: what the key sets give", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    shown.add_column("cell", no_wrap=True)
    for name in ("calls", "of", "use", "x one set", "p50 s", "p95 s", "refused", "waiting", "over limit",
                 "lost", "twice", "cpu", "machine"):  # fmt: skip
        shown.add_column(name, justify="right", no_wrap=True)
    for cell, result in results.items():
        shown.add_row(*row(cell, results))
        if cell.work is Work.MIXED:
            for provider in result.allowed:
                parts = (
                    f"{result.calls[provider]:.0f}",
                    str(result.allowed[provider]),
                    f"{result.use_of(provider):.3f}",
                )
                shown.add_row(f"  {provider}", *parts, *[""] * 10, style="dim")
    return shown


def row(cell: Cell, results: Results) -> list[str]:
    """Return one cell's figures as text."""
    result, multiple = results[cell], gain(cell, results)
    return [
        cell.name,
        f"{result.done:.0f}",
        str(sum(result.allowed.values())) if result.allowed else "-",
        f"{result.use:.3f}" if result.use is not None else "-",
        f"{multiple:.2f}" if multiple is not None else "-",
        f"{result.p50_s:.1f}" if result.p50_s is not None else "-",
        f"{result.p95_s:.1f}" if result.p95_s is not None else "-",
        str(result.refused),
        str(result.waiting),
        str(result.limited + result.windows_over),
        str(len(result.lost)),
        str(len(result.twice)),
        f"{result.load.system_cores:.2f}",
        f"{result.load.machine_busy:.0%}",
    ]


def conditions(results: Results) -> str:
    """Say in a sentence whether the machine itself stood in the way."""
    if not results:
        return "Nothing was measured."
    busy = max(result.load.machine_busy for result in results.values())
    late_ms = max(result.load.late_ms for result in results.values())
    unsent = sum(result.load.unsent for result in results.values())
    said = f"The machine was at most {busy:.0%} busy; the latest interaction left {late_ms:.0f} ms after its time"
    said += f", {unsent} could not be sent." if unsent else "."
    return f"{said} Above {BUSY:.0%} the machine is measured too: run this with nothing else." if busy > BUSY else said


def as_json(results: Results, plan: Plan, machine: Mapping[str, str]) -> dict[str, Any]:
    """Return everything of a run as JSON values."""
    return {
        "machine": dict(machine),
        "plan": {**asdict(plan), "load_s": plan.saturated_s},
        "cells": [
            {**asdict(result), "use": result.use, "done": result.done, "x_one_set": gain(cell, results)}
            for cell, result in results.items()
        ],
        "targets": [asdict(target) for target in targets(results)],
    }


def summary(judged: Sequence[Target]) -> Table:
    """Return the targets as a table."""
    shown = Table(title="Targets", title_justify="left", box=SIMPLE)
    for name in ("what", "wanted", "got", ""):
        shown.add_column(name)
    for target in judged:
        verdict = "[green]reached[/]" if target.reached else "[red]missed[/]"
        shown.add_row(target.what, target.wanted, target.got, verdict)
    return shown


def markdown(run: Mapping[str, Any]) -> str:
    """Return a run's JSON as a Markdown table, for the documentation."""
    names = ("cell", "calls", "of", "use", "× one set", "p50 / p95 s", "over a limit", "lost / twice")
    lines = [f"| {' | '.join(names)} |", f"|---|{'--:|' * (len(names) - 1)}"]
    for cell in run["cells"]:
        use = f"{cell['use']:.3f}" if cell["use"] is not None else "–"
        multiple = f"{cell['x_one_set']:.2f}" if cell["x_one_set"] is not None else "–"
        times = " / ".join("–" if cell[name] is None else f"{cell[name]:.1f}" for name in ("p50_s", "p95_s"))
        allowed = sum(cell["allowed"].values()) or "–"
        over, wrong = cell["limited"] + cell["windows_over"], f"{len(cell['lost'])} / {len(cell['twice'])}"
        figures = (f"`{cell['name']}`", f"{cell['done']:.0f}", allowed, use, multiple, times, over, wrong)
        lines.append(f"| {' | '.join(map(str, figures))} |")
    return "\n".join(lines)
