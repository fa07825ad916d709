"""What the rounds say together: medians with their spread, and ratios round by round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.contestants import BARE, HIKARI, QUARTET
from bench.measure import Measurement
from bench.targets import Target

GOALS = {HIKARI: 1.5, BARE: 0.9}
"""Quartet's acks per second over those of others, at least."""

Round = Mapping[str, Measurement]
"""One measurement of each contestant, by name, taken in turns with the same requests."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the smallest and the largest value."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def to(self, digits: int) -> str:
        """Write it as `median (least–most)`."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"


def spread(rounds: Sequence[Round], name: str, value: Callable[[Measurement], float]) -> Spread:
    """Return the spread of a value of one contestant over the rounds."""
    return Spread.of([value(round_[name]) for round_ in rounds])


def ratio(rounds: Sequence[Round], rival: str) -> Spread:
    """Return Quartet's acks per second over the rival's, each pair taken from the same round."""
    return Spread.of([round_[QUARTET].acks_per_second / round_[rival].acks_per_second for round_ in rounds])


def cpu_ratio(rounds: Sequence[Round], rival: str) -> Spread:
    """Return the rival's processor time for an ack over Quartet's: the same comparison, less disturbed by neighbours.

    It does not see time that a server spends waiting.
    """
    return Spread.of([round_[rival].cpu_us / round_[QUARTET].cpu_us for round_ in rounds if round_[QUARTET].cpu_us])


def rivals(rounds: Sequence[Round]) -> Sequence[str]:
    """Return the names of the others."""
    return [name for name in rounds[0] if name != QUARTET]


def targets(rounds: Sequence[Round]) -> Sequence[Target]:
    """Return what is to be reached beside each rival that was measured; times are compared round by round, too."""
    found = [
        Target(f"acks/s, {QUARTET} / {rival}", ratio(rounds, rival).median, goal)
        for rival, goal in GOALS.items()
        if rival in rounds[0]
    ]
    if HIKARI in rounds[0]:
        slower = Spread.of([round_[QUARTET].p99_ms / round_[HIKARI].p99_ms for round_ in rounds])
        found.append(Target(f"p99, {QUARTET} / {HIKARI}", slower.median, 1.0, at_most=True))
    return found


def faults(rounds: Sequence[Round]) -> Sequence[str]:
    """Return what makes the figures worthless: errors, silence, lost or unasked jobs, a load generator at its limit."""
    found = []
    for number, round_ in enumerate(rounds, start=1):
        for name, seen in round_.items():
            where = f"round {number}, {name}"
            if seen.errors:
                found.append(f"{where}: {seen.errors} errors, the first: {seen.first_error}")
            if not seen.acks:
                found.append(f"{where}: nothing was acked")
            if seen.lost:
                found.append(f"{where}: {seen.lost} acked interactions are not on disk")
            if seen.unasked:
                found.append(f"{where}: {seen.unasked} jobs on disk were never acked")
            if seen.load_busy > BUSIEST_LOAD:
                found.append(f"{where}: the load generator used {seen.load_busy:.0%} of its core")
    return found


BUSIEST_LOAD = 0.8


def lines(rounds: Sequence[Round]) -> Sequence[str]:
    """Return the report as lines of text."""
    text = [f"{'':14}{'acks/s':>26}{'p50 ms':>22}{'p99 ms':>24}{'CPU µs/ack':>20}"]
    for name in rounds[0]:
        rate = spread(rounds, name, lambda seen: seen.acks_per_second).to(0)
        p50 = spread(rounds, name, lambda seen: seen.p50_ms).to(1)
        p99 = spread(rounds, name, lambda seen: seen.p99_ms).to(1)
        cpu = spread(rounds, name, lambda seen: seen.cpu_us).to(0)
        text.append(f"{name:14}{rate:>26}{p50:>22}{p99:>24}{cpu:>20}")
    text += [
        f"{QUARTET} / {rival}: {ratio(rounds, rival).to(2)}, by processor time {cpu_ratio(rounds, rival).to(2)}"
        for rival in rivals(rounds)
    ]
    acked = sum(round_[QUARTET].acks for round_ in rounds)
    if not faults(rounds):
        text.append(f"Each of the {acked:,} acks of {QUARTET} (and of its warm-ups) was found on disk after kill -9.")
    return text


def as_json(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return everything that was measured, and the ratios."""
    return {
        "rounds": [{name: asdict(seen) for name, seen in round_.items()} for round_ in rounds],
        "acks_per_second": {
            name: asdict(spread(rounds, name, lambda seen: seen.acks_per_second)) for name in rounds[0]
        },
        "ratios": {rival: asdict(ratio(rounds, rival)) for rival in rivals(rounds)},
        "cpu_ratios": {rival: asdict(cpu_ratio(rounds, rival)) for rival in rivals(rounds)},
        "faults": list(faults(rounds)),
    }
