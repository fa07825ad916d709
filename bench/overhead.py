"""What the product adds to a provider's own time, beside LiteLLM too, and acks while a crowd's answers grow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bench import environment

if TYPE_CHECKING:
    from bench.overhead_report import Seen

RESULT = "overhead"
PARTS = ("latency", "crowd", "calls")
T = TypeVar("T")


def main(arguments: Sequence[str]) -> int:
    """Measure and report; with `--strict` 1 if a target is missed."""
    wanted = _parse(arguments)
    environment.ensure("bench.overhead", arguments)

    from bench import charts, machine, overhead_report, saving, targets  # only now: what they need is here
    from ops.failures import OpsError

    described = machine.description()
    print(machine.line(described))
    if warning := machine.busy():
        print(warning)
    try:
        seen = _measured(wanted)
    except OpsError as error:
        print(error)
        return 1
    goals = overhead_report.targets(seen)
    print(*overhead_report.lines(seen), *overhead_report.cautions(seen), *(goal.line() for goal in goals), sep="\n")
    result = {"machine": described, "options": saving.options(wanted), **overhead_report.as_json(seen, goals)}
    name = "-".join([RESULT, *(wanted.part or ())])  # one part's figures are no other's
    for path in saving.places(name, wanted.json, save=wanted.save):
        saving.write_json(path, result)
    if wanted.save and seen.calls is not None and charts.available():
        overhead_report.draw(saving.RESULTS / f"{RESULT}.png", seen.calls)
    return targets.exit_code(goals, strict=wanted.strict)


def _measured(wanted: argparse.Namespace) -> Seen:
    from bench import calls, crowd, latency
    from bench.overhead_report import Seen

    parts = wanted.part or PARTS
    return Seen(
        latency=_rounds("latency", wanted, lambda: latency.measure(wanted.seconds)) if "latency" in parts else (),
        crowd=_rounds("crowd", wanted, lambda: crowd.measure(wanted.streams, wanted.seconds, wanted.tokens))
        if "crowd" in parts
        else (),
        calls=calls.measure(wanted.rounds, wanted.calls) if "calls" in parts else None,
    )


def _rounds(part: str, wanted: argparse.Namespace, measure: Callable[[], T]) -> list[T]:
    """Measure a part as often as is wanted, each time with everything started anew."""
    seen = []
    for number in range(1, wanted.rounds + 1):
        print(f"{part}, round {number} of {wanted.rounds} ...", file=sys.stderr, flush=True)
        seen.append(measure())
    return seen


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench overhead", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part (may be given again)")
    parser.add_argument("--rounds", type=int, help="rounds of each part (default 5)")
    parser.add_argument("--seconds", type=float, help="seconds of a measurement of latency or the crowd (default 10)")
    parser.add_argument("--streams", type=int, help="answers at once (default 1000)")
    parser.add_argument("--tokens", type=float, default=4, help="tokens a second of each answer (default 4)")
    parser.add_argument("--calls", type=int, help="calls of each kind in a round (default 200)")
    parser.add_argument(
        "--quick", action="store_true", help="one round, 200 answers at once: about a minute and a half"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--save", action="store_true", help="write figures and chart to bench/results")
    wanted = parser.parse_args(arguments)
    wanted.rounds = wanted.rounds or (1 if wanted.quick else 5)
    wanted.seconds = wanted.seconds or (6.0 if wanted.quick else 10.0)
    wanted.streams = wanted.streams or (200 if wanted.quick else 1000)
    wanted.calls = wanted.calls or (80 if wanted.quick else 200)
    if not (1 <= wanted.rounds <= 50 and 1 <= wanted.seconds <= 120 and 0 < wanted.tokens <= 1000):
        parser.error("expected 1 to 50 rounds of 1 to 120 seconds, and up to 1000 tokens a second")
    if not (1 <= wanted.streams <= 4000 and 40 <= wanted.calls <= 10_000):
        parser.error("expected 1 to 4000 streams and 40 to 10000 calls")
    return wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
