"""Acks per second of one instance on one core, each recorded on disk first, against hikari and a bare server."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import environment

QUICK_ROUNDS, QUICK_SECONDS = 3, 2.0


def main(arguments: Sequence[str]) -> int:
    """Measure and report; 1 if the figures are worthless or below `--at-least`."""
    wanted = _parse(arguments)
    environment.ensure("bench.ack", arguments)

    from bench import machine, report, rounds  # only now: they need what was just made sure of
    from bench.contestants import HIKARI
    from bench.measure import Plan

    described = machine.description()
    print(machine.line(described))
    if warning := machine.busy():
        print(warning)
    seen = rounds.measured(wanted.rounds, Plan(wanted.seconds, wanted.connections), quick=wanted.quick)
    print(*report.lines(seen), sep="\n")
    faults = report.faults(seen)
    print(*(f"WORTHLESS: {fault}" for fault in faults), sep="\n" if faults else "", end="\n" if faults else "")
    if wanted.json is not None:
        result = {"machine": described, "options": {**vars(wanted), "json": None}, **report.as_json(seen)}
        wanted.json.parent.mkdir(parents=True, exist_ok=True)
        wanted.json.write_text(json.dumps(result, indent=1) + "\n")
    reached = report.ratio(seen, HIKARI).median
    if wanted.at_least is not None and reached < wanted.at_least:
        print(f"The ratio to hikari is {reached:.2f}, below {wanted.at_least:.2f}.")
        return 1
    return 1 if faults else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench acks", description=__doc__)
    parser.add_argument("--rounds", type=int, help="rounds, each of one run of every server (default 5)")
    parser.add_argument("--seconds", type=float, help="seconds of a run, after a warm-up of one (default 4)")
    parser.add_argument("--connections", type=int, default=64, help="keep-alive connections (default 64)")
    parser.add_argument("--quick", action="store_true", help="only against hikari, short runs: less than a minute")
    parser.add_argument("--at-least", type=float, help="exit 1 if the median ratio to hikari is below this")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    wanted = parser.parse_args(arguments)
    wanted.rounds = wanted.rounds or (QUICK_ROUNDS if wanted.quick else 5)
    wanted.seconds = wanted.seconds or (QUICK_SECONDS if wanted.quick else 4.0)
    if not (1 <= wanted.rounds <= 100 and 0 < wanted.seconds <= 60 and 1 <= wanted.connections <= 1000):
        parser.error("expected 1 to 100 rounds of at most 60 seconds over 1 to 1,000 connections")
    return wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
