"""Memory of an idle instance, its start and shutdown, and whether anything grows over 200,000 interactions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import environment

RESULT = "memory"
INTERACTIONS, QUICK_INTERACTIONS = 200_000, 20_000
ROUNDS, QUICK_ROUNDS = 5, 3


def main(arguments: Sequence[str]) -> int:
    """Measure and report; 1 if the figures are worthless, or with `--strict` if a target is missed."""
    wanted = _parse(arguments)
    environment.ensure("bench.memory", arguments)

    from bench import charts, machine, saving, targets  # only now: they need what was just made sure of
    from bench.memory import idle, report, steady

    described = machine.description()
    print(machine.line(described))
    if warning := machine.busy():
        print(warning)
    samples = [idle.sample() for _ in range(wanted.rounds)]
    goals = report.idle_targets(samples)
    print(*report.idle_lines(samples), sep="\n", flush=True)
    seen, faults = None, []
    if wanted.interactions:
        seen = steady.run(wanted.interactions, wanted.warm_up)
        goals, faults = goals + report.steady_targets(seen), report.faults(seen)
        print(*report.steady_lines(seen), sep="\n")
    print(*(goal.line() for goal in goals), *(f"WORTHLESS: {fault}" for fault in faults), sep="\n")
    result = {"machine": described, "options": saving.options(wanted), **report.as_json(samples, seen)}
    save = wanted.save and not faults
    for path in saving.places(RESULT, wanted.json, save=save):
        saving.write_json(path, result)
    if save and seen is not None and charts.available():
        report.draw(saving.RESULTS / f"{RESULT}.png", seen)
    return 1 if faults else targets.exit_code(goals, strict=wanted.strict)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench memory", description=__doc__)
    parser.add_argument("--rounds", type=int, help=f"how often an instance is started (default {ROUNDS})")
    parser.add_argument(
        "--interactions", type=int, help=f"how many go through one (default {INTERACTIONS:,}; 0: idle only)"
    )
    parser.add_argument("--warm-up", type=float, default=150.0, help="seconds of the same before them (default 150)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} starts, {QUICK_INTERACTIONS:,} of them")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--save", action="store_true", help="write figures and chart to bench/results")
    wanted = parser.parse_args(arguments)
    if wanted.rounds is None:
        wanted.rounds = QUICK_ROUNDS if wanted.quick else ROUNDS
    if wanted.interactions is None:
        wanted.interactions = QUICK_INTERACTIONS if wanted.quick else INTERACTIONS
    if not (1 <= wanted.rounds <= 100 and (wanted.interactions == 0 or 1000 <= wanted.interactions <= 10_000_000)):
        parser.error("expected 1 to 100 rounds, and 0 or 1,000 to 10,000,000 interactions")
    if not 0 <= wanted.warm_up <= 3600:
        parser.error("expected a warm-up of at most an hour")
    return wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
