"""What nginx costs before an instance, what its routing script costs, and what four instances give on two cores."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import environment

if TYPE_CHECKING:
    from bench.proxy_report import Round
    from bench.proxy_runs import Bench, Connections, Seen

RESULT = "proxy"
SIGNED_PER_SECOND = 14_000
QUICK_ROUNDS, QUICK_SECONDS = 2, 2.0


def main(arguments: Sequence[str]) -> int:
    """Measure and report; 1 if the figures are worthless, or with `--strict` if a target is missed."""
    wanted = _parse(arguments)
    environment.ensure("bench.proxy", arguments)

    from bench import machine, proxy_report, saving, targets  # only now: they need what was just made sure of
    from ops.failures import OpsError

    if len(os.sched_getaffinity(0)) < 2:
        print("This compares two cores with one, and there is only one here.")
        return 1
    warning = machine.busy()
    try:
        bench, version = _bench(wanted)
    except OpsError as error:
        print(error)
        return 1
    described = {**machine.description(), "nginx": version}
    print(machine.line(described), *([warning] if warning else []), sep="\n")
    seen, counted = _measured(wanted.rounds, bench)
    goals = proxy_report.targets(seen, counted, by_time=bool(warning))
    faults = proxy_report.faults(seen, counted)
    print(*proxy_report.lines(seen, counted), *(goal.line() for goal in goals), sep="\n")
    print(*(f"WORTHLESS: {fault}\n" for fault in faults), sep="", end="")
    result = {"machine": described, "options": saving.options(wanted), **proxy_report.as_json(seen, counted, goals)}
    for path in saving.places(RESULT, wanted.json, save=wanted.save and not faults):
        saving.write_json(path, result)
    if wanted.save and not faults:
        _draw(seen)
    return 1 if faults else targets.exit_code(goals, strict=wanted.strict)


def _bench(wanted: argparse.Namespace) -> tuple[Bench, str]:
    """Return what runs need, and nginx's version; raise `OpsError` if nginx is missing and can't be installed."""
    from bench.front import version
    from bench.interactions import Signer
    from bench.measure import Plan
    from bench.proxy_runs import Bench, Place
    from ops.nginx import ensure_nginx

    found = ensure_nginx()
    return Bench(found, Signer.make(), Plan(wanted.seconds, wanted.connections), Place.here()), version(found)


def _measured(count: int, bench: Bench) -> tuple[list[Round], Connections]:
    """Measure `count` rounds and count connections once, showing progress."""
    from bench.interactions import presigned
    from bench.proxy_runs import COUNTED

    size = max(COUNTED, int(SIGNED_PER_SECOND * (bench.plan.seconds + bench.plan.warm_up_s)))
    rounds: list[Round] = []
    for number in range(1, count + 1):

        def show(seen: Seen, number: int = number) -> None:
            _show(f"round {number} of {count}: {seen.name} {seen.acks_per_second:,.0f} acks/s")

        requests = presigned(bench.signer, size)
        rounds.append(bench.round(requests, show))
    _show(f"counting the connections of {COUNTED:,} interactions")
    return rounds, bench.connections(presigned(bench.signer, COUNTED))


def _draw(seen: Sequence[Round]) -> None:
    from bench import charts, proxy_report, saving
    from bench.proxy_runs import BEHIND, DIRECT, FOUR

    labels = {
        "one alone, one core": DIRECT,
        "one and nginx, one core": BEHIND,
        "four, nginx and the load, two cores": FOUR,
    }
    values = {label: proxy_report.spread(seen, name, lambda one: one.acks_per_second) for label, name in labels.items()}
    title = "Acks per second, each on disk: median, least to most"
    charts.bars(saving.RESULTS / f"{RESULT}.png", title, values, strong=list(labels)[-1])


def _show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench proxy", description=__doc__)
    parser.add_argument("--rounds", type=int, help="rounds, each of one run of everything (default 5)")
    parser.add_argument("--seconds", type=float, help="seconds of a run, after a warm-up of one (default 4)")
    parser.add_argument(
        "--connections", type=int, default=64, help="keep-alive connections for each instance (default 64)"
    )
    parser.add_argument("--quick", action="store_true", help="two rounds of short runs: about a minute")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--save", action="store_true", help="write figures and chart to bench/results")
    wanted = parser.parse_args(arguments)
    wanted.rounds = wanted.rounds or (QUICK_ROUNDS if wanted.quick else 5)
    wanted.seconds = wanted.seconds or (QUICK_SECONDS if wanted.quick else 4.0)
    if not (1 <= wanted.rounds <= 100 and 0 < wanted.seconds <= 60 and 1 <= wanted.connections <= 200):
        parser.error("expected 1 to 100 rounds of at most 60 seconds over 1 to 200 connections")
    return wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
