"""Acks per second of one instance on one core, each recorded on disk first, beside others and a bare server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import environment

if TYPE_CHECKING:
    from bench.report import Round

RESULT = "acks"
QUICK_ROUNDS, QUICK_SECONDS = 3, 2.0


def main(arguments: Sequence[str]) -> int:
    """Measure and report; 1 if the figures are worthless, below `--at-least`, or with `--strict` below a target."""
    wanted = _parse(arguments)
    environment.ensure("bench.ack", arguments)

    from bench import machine, report, rounds, saving, targets  # only now: they need what was just made sure of
    from bench.contestants import HIKARI
    from bench.measure import Plan

    described = machine.description()
    print(machine.line(described))
    if warning := machine.busy():
        print(warning)
    names = rounds.QUICK if wanted.quick else rounds.ALL
    seen = rounds.measured(wanted.rounds, Plan(wanted.seconds, wanted.connections), names)
    goals, faults = report.targets(seen), report.faults(seen)
    print(*report.lines(seen), *(goal.line() for goal in goals), *(f"WORTHLESS: {fault}" for fault in faults), sep="\n")
    result = {"machine": described, "options": saving.options(wanted), **report.as_json(seen)}
    for path in saving.places(RESULT, wanted.json, save=wanted.save and not faults):
        saving.write_json(path, result)
    if wanted.save and not faults:
        _draw(seen)
    reached = report.ratio(seen, HIKARI).median
    if wanted.at_least is not None and reached < wanted.at_least:
        print(f"The ratio to hikari is {reached:.2f}, below {wanted.at_least:.2f}.")
        return 1
    return 1 if faults else targets.exit_code(goals, strict=wanted.strict)


def _draw(seen: Sequence[Round]) -> None:
    from bench import charts, report, saving
    from bench.contestants import QUARTET

    if not charts.available():
        print(charts.MISSING)
        return
    values = {name: report.spread(seen, name, lambda one: one.acks_per_second) for name in seen[0]}
    title = "Acks per second on one core: median, least to most (only Quartet records each on disk first)"
    charts.bars(saving.RESULTS / f"{RESULT}.png", title, values, strong=QUARTET)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench acks", description=__doc__)
    parser.add_argument("--rounds", type=int, help="rounds, each of one run of every server (default 5)")
    parser.add_argument("--seconds", type=float, help="seconds of a run, after a warm-up of one (default 4)")
    parser.add_argument("--connections", type=int, default=64, help="keep-alive connections (default 64)")
    parser.add_argument("--quick", action="store_true", help="only against hikari, short runs: less than a minute")
    parser.add_argument("--at-least", type=float, help="exit 1 if the median ratio to hikari is below this")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--save", action="store_true", help="write figures and chart to bench/results")
    wanted = parser.parse_args(arguments)
    wanted.rounds = wanted.rounds or (QUICK_ROUNDS if wanted.quick else 5)
    wanted.seconds = wanted.seconds or (QUICK_SECONDS if wanted.quick else 4.0)
    if not (1 <= wanted.rounds <= 100 and 0 < wanted.seconds <= 60 and 1 <= wanted.connections <= 1000):
        parser.error("expected 1 to 100 rounds of at most 60 seconds over 1 to 1,000 connections")
    return wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
