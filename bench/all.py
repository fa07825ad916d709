"""Every benchmark, one after the other, with one table of all targets at the end."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.processes import ROOT
from bench.saving import RESULTS

INTERRUPTED = -2
_VERDICT = re.compile(r"(reached|missed( by .+)?)$|^MISSED: ")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`minutes` and `quick_minutes`: about what it takes on two quiet cores; `options`: the common ones that it has."""

    name: str
    module: str
    minutes: float
    quick_minutes: float
    options: Collection[str] = ("--quick", "--strict", "--save")


BENCHMARKS = (
    Benchmark("acks", "bench.ack", 4, 1),
    Benchmark("proxy", "bench.proxy", 5, 1),
    Benchmark("overhead", "bench.overhead", 10, 1.5),
    Benchmark("streams", "bench.streams", 0.5, 0.5, ("--save",)),
    Benchmark("memory", "bench.memory", 30, 6),
    Benchmark("store", "bench.store", 0.7, 0.7, ("--save",)),
    Benchmark("growth", "bench.growth", 20, 3, ("--quick", "--save")),
    Benchmark("capacity", "bench.capacity", 17, 6, ("--quick",)),
)
"""In this order: first what is soonest known."""


@dataclass(slots=True)
class Outcome:
    """How one ended, and the lines in which it judged itself."""

    name: str
    minutes: float
    exit_code: int
    verdicts: list[str] = field(default_factory=list)

    @property
    def missed(self) -> int:
        """How many targets were missed."""
        return sum(is_missed(line) for line in self.verdicts)

    @property
    def failed(self) -> bool:
        """Whether it ended badly for another reason than a missed target."""
        return self.exit_code != 0 and not self.missed


def main(arguments: Sequence[str]) -> int:
    """Run them; 1 if one failed, or with `--strict` if a target was missed."""
    wanted = _parse(arguments)
    chosen = [one for one in BENCHMARKS if one.name in wanted.only and one.name not in wanted.skip]
    minutes = sum(one.quick_minutes if wanted.quick else one.minutes for one in chosen)
    print(f"{', '.join(one.name for one in chosen)}: about {minutes:.0f} minutes on two quiet cores", flush=True)
    given = [name for name in ("--quick", "--strict", "--save") if getattr(wanted, name[2:])]
    outcomes = []
    for one in chosen:
        outcomes.append(run(one, given))
        if outcomes[-1].exit_code == INTERRUPTED:
            break
    print("\n".join(lines(outcomes)))
    if wanted.json is not None:
        wanted.json.parent.mkdir(parents=True, exist_ok=True)
        wanted.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=1, ensure_ascii=False) + "\n")
    bad = any(one.failed or (wanted.strict and one.missed) for one in outcomes)
    return 1 if bad or not outcomes else 0


def run(one: Benchmark, given: Collection[str]) -> Outcome:
    """Run one, showing what it says; Ctrl-C ends it in its own way and all that would follow."""
    command = [sys.executable, "-m", one.module, *(option for option in given if option in one.options)]
    print(f"\n=== {one.name} ===", flush=True)
    started, verdicts, interrupted = time.monotonic(), [], False
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None

        def pass_on(_number: int, _frame: object) -> None:
            process.send_signal(signal.SIGINT)
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGTERM, pass_on)
        while True:
            try:
                for line in process.stdout:
                    print(line, end="", flush=True)
                    if is_verdict(line):
                        verdicts.append(" ".join(line.split()))
                break
            except KeyboardInterrupt:  # the benchmark has got it as well, and says its last words
                interrupted = True
        code = process.wait()
        signal.signal(signal.SIGTERM, before)
    return Outcome(one.name, (time.monotonic() - started) / 60, INTERRUPTED if interrupted else code, verdicts)


def is_verdict(line: str) -> bool:
    """Whether a line of a benchmark's output says how a target fared."""
    return _VERDICT.search(line.strip()) is not None


def is_missed(line: str) -> bool:
    """Whether that is badly."""
    return not line.strip().endswith("reached")


def lines(outcomes: Sequence[Outcome]) -> Sequence[str]:
    """Return the table of all, and below it every target that was missed."""
    text = ["", f"{'benchmark':<12}{'minutes':>8}{'targets':>9}{'reached':>9}{'missed':>8}  ended"]
    for one in outcomes:
        ended = "with an error" if one.failed else "well"
        if one.exit_code == INTERRUPTED:
            ended = "interrupted"
        count = len(one.verdicts)
        text.append(f"{one.name:<12}{one.minutes:>8.1f}{count:>9}{count - one.missed:>9}{one.missed:>8}  {ended}")
    missed = [f"  {one.name}: {line}" for one in outcomes for line in one.verdicts if is_missed(line)]
    return [*text, *(["", "Missed:", *missed] if missed else [])]


def _names(text: str) -> Sequence[str]:
    names, known = [name.strip() for name in text.split(",")], [one.name for one in BENCHMARKS]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench all", description=__doc__)
    everything = [one.name for one in BENCHMARKS]
    parser.add_argument("--only", type=_names, default=everything, help=f"some of: {','.join(everything)}")
    parser.add_argument("--skip", type=_names, default=[], help="all but these")
    parser.add_argument("--quick", action="store_true", help="the short form of each")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--save", action="store_true", help=f"write figures and charts to {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--json", type=Path, help="write the table at the end to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
