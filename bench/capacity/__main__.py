"""What four key sets give: calls done against one set, the functional split and the modulo alone."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from bench.capacity import chart
from bench.capacity.cells import Cell, Plan, all_cells, choose, quick_cells
from bench.capacity.report import Results, as_json, conditions, markdown, summary, table, targets
from bench.capacity.run import run_wave
from bench.capacity.verdict import Result
from bench.machine import description, line
from bench.processes import ROOT

TABLE_WIDTH = 150
START_AND_STOP_S = 7.0
T = TypeVar("T")

RESULTS = ROOT / "bench" / "results" / "capacity.json"


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="./deploy-multi.sh bench capacity", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cells: about 6 minutes in all")
    parser.add_argument("--cells", help="only these, as patterns: 'quartet/*/chat,one-set/*'")
    parser.add_argument("--list", action="store_true", help="name all cells and end")
    parser.add_argument("--parallel", type=int, default=5, help="systems at once (default 5)")
    parser.add_argument("--windows", type=int, default=1, help="minutes of the measured interval (default 1)")
    parser.add_argument("--rpm", type=int, default=60, help="OpenAI requests per minute and key (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help=f"where to write the figures (a full run: {RESULTS.name})")
    parser.add_argument("--chart", type=Path, metavar="JSON", help="only draw the chart of an earlier run, beside it")
    parser.add_argument("--markdown", type=Path, metavar="JSON", help="only print an earlier run's table as Markdown")
    parser.add_argument("--keep", type=Path, help="leave each cell's ledger and logs in this directory")
    return parser


def main() -> int:
    """Run the chosen cells; 0 if every target they have was reached."""
    options, console = arguments().parse_args(), wide_console()
    if options.chart:
        chart_beside(options.chart, console)
        return 0
    if options.markdown:
        print(markdown(json.loads(options.markdown.read_text())))
        return 0
    try:
        cells = choose(options.cells.split(","), all_cells()) if options.cells else None
    except ValueError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    cells = cells or (quick_cells() if options.quick else all_cells())
    if options.list:
        console.print("\n".join(cell.name for cell in cells), markup=False)
        return 0
    plan = Plan(openai_rpm=options.rpm, windows=options.windows, seed=options.seed)
    where = options.json or (RESULTS if not options.cells and not options.quick else None)
    return measure(cells, plan, options.parallel, options.keep, where, console)


def measure(
    cells: Sequence[Cell], plan: Plan, parallel: int, keep: Path | None, where: Path | None, console: Console
) -> int:
    """Run the cells, show and with `where` write what came out; 0 if all of it is as it should be."""
    machine = description()
    try:
        results = asyncio.run(ended_orderly(run_all(cells, plan, parallel, keep, console)))
    except asyncio.CancelledError:
        console.print("Ended; every system was stopped.")
        return 130
    judged = targets(results)
    console.print(table(results))
    console.print(conditions(results), markup=False)
    console.print(line(machine), markup=False, style="dim")
    console.print(summary(judged))
    if where is not None:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(json.dumps(as_json(results, plan, machine), indent=1, ensure_ascii=False) + "\n")
        console.print(f"Figures: {where}", markup=False)
        chart_beside(where, console)
    return 0 if len(results) == len(cells) and all(target.reached for target in judged) else 1


def chart_beside(figures: Path, console: Console) -> None:
    """Draw the chart of a run's JSON file next to it."""
    picture = figures.with_suffix(".png")
    if not chart.available():
        console.print("No chart: matplotlib is missing (./deploy-multi.sh bench installs it).")
        return
    try:
        chart.draw(json.loads(figures.read_text()), picture)
    except ValueError as error:
        console.print(f"No chart: {error}", markup=False)
    else:
        console.print(f"Chart: {picture}", markup=False)


def wide_console() -> Console:
    """Return a console that does not squeeze the table: a file or a pipe has no width of its own."""
    console = Console()
    return console if console.is_terminal else Console(width=TABLE_WIDTH)


async def ended_orderly(work: Coroutine[Any, Any, T]) -> T:
    """Turn Ctrl-C and SIGTERM into a cancellation, so that no system stays behind."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    asked = False

    def end() -> None:
        nonlocal asked
        if not asked:  # a second Ctrl-C must not interrupt the clearing away
            asked = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    return await task


async def run_all(cells: Sequence[Cell], plan: Plan, parallel: int, keep: Path | None, console: Console) -> Results:
    """Run the cells, `parallel` at a time, and return them in the order given, without those that did not start."""

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    waves = [cells[at : at + parallel] for at in range(0, len(cells), parallel)]
    minutes = sum(max(plan.run_s(cell.work) for cell in wave) + len(wave) * START_AND_STOP_S for wave in waves) / 60
    say(f"{len(cells)} cells in {len(waves)} waves of {parallel}: about {minutes:.0f} minutes")
    results: dict[Cell, Result] = {}
    for number, wave in enumerate(waves, start=1):
        results |= await run_wave(wave, plan, keep, say)
        done = ", ".join(f"{cell.name} {results[cell].done:.0f}" for cell in wave if cell in results)
        say(f"wave {number} of {len(waves)}: calls {done}")
    return results


if __name__ == "__main__":
    sys.exit(main())
