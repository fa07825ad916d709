"""What the samples say: lines of text, targets, and the chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.charts import Panel, panels
from bench.memory import aging
from bench.memory.steady import Sample, Steady
from bench.memory.trend import Trend, fit
from bench.report import Spread
from bench.targets import Target

MOST_MEMORY_MIB = 90.0
SLOWEST_START_S = 1.5
SLOWEST_SHUTDOWN_S = 2.0

WARM_UP_SHARE = 0.25
"""This part of a run fills caches and pools, which is no growth; the trend begins after it."""

MOST_GROWTH_MIB = 2.0
MOST_DESCRIPTORS = 2.0
MOST_FILE = 1.25
LONGEST_ACK_MS = 250.0

Idle = Sequence[Mapping[str, float]]


def idle_spread(samples: Idle, name: str) -> Spread:
    """Return the spread of one figure of the idle instances."""
    return Spread.of([sample[name] for sample in samples])


def idle_lines(samples: Idle) -> list[str]:
    """Return the idle instances' figures."""
    wanted = {
        "start to the first signed interaction answered, s": ("first_answer_s", 2),
        "  of it processor time, s": ("first_answer_cpu_s", 2),
        "memory when quiet, RSS in MiB": ("rss", 1),
        "memory when quiet, PSS in MiB": ("pss", 1),
        "descriptors, threads": ("descriptors", 0),
        "SIGTERM to exit, s": ("shutdown_s", 2),
    }
    lines = [f"{label}: {idle_spread(samples, name).to(digits)}" for label, (name, digits) in wanted.items()]
    lines[4] += f", {idle_spread(samples, 'threads').to(0)}"
    return lines


def idle_targets(samples: Idle) -> list[Target]:
    """Return what an idle instance should keep to, by its medians."""
    medians = {name: idle_spread(samples, name).median for name in samples[0]}
    return [
        Target("idle RSS", medians["rss"], MOST_MEMORY_MIB, at_most=True, digits=1, unit=" MiB"),
        Target("start to first answer", medians["first_answer_s"], SLOWEST_START_S, at_most=True, unit=" s"),
        Target("shutdown when idle", medians["shutdown_s"], SLOWEST_SHUTDOWN_S, at_most=True, unit=" s"),
    ]


def settled(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return the samples after the warm-up."""
    return samples[int(WARM_UP_SHARE * len(samples)) :]


def trend(samples: Sequence[Sample], name: str) -> Trend:
    """Return how a figure grew after the warm-up."""
    seen = settled(samples)
    return fit([sample.interactions for sample in seen], [getattr(sample, name) for sample in seen])


def file_growth(seen: Steady) -> float:
    """Return the largest size of the file in the second half of the run, over the largest before, warm-up included.

    Between two looks of the housekeeping the file always grows, so only its largest sizes are compared.
    """
    peaks = [sample.file_peak_mib for sample in seen.samples]
    half = len(peaks) // 2
    return max(peaks[half:]) / max(seen.warm_up_peak_mib, *peaks[:half])


def descriptor_growth(seen: Steady) -> int:
    """Return how many descriptors more were open at the most in the second half than before.

    Connections that nobody needs for some seconds are closed: a count that falls for once is no sign of growth, but
    would make a line through all of them uncertain.
    """
    counts = [sample.descriptors for sample in seen.samples]
    half = len(counts) // 2
    return max(counts[half:]) - max(counts[:half])


def steady_lines(seen: Steady) -> list[str]:
    """Return the long run's figures."""
    first, last = settled(seen.samples)[0], seen.samples[-1]
    kept, house = seen.housekeeping, acks_ms(seen)
    lines = [
        f"{last.interactions:,} interactions accepted, leased and answered, "
        f"{last.interactions / sum(_seconds(seen)):.0f}/s; the trends are of those after {first.interactions:,}, "
        "with their 95 % intervals:",
        f"  RSS {last.rss:.1f} MiB in the end, {trend(seen.samples, 'rss').to(2)} MiB",
        f"  {last.descriptors} descriptors in the end, {trend(seen.samples, 'descriptors').to(1)}; "
        f"{last.threads} threads, {trend(seen.samples, 'threads').to(1)}",
        f"  file {last.file_mib:.1f} MiB with its log in the end; without it at most {seen.warm_up_peak_mib:.1f} "
        f"in the warm-up and {max(sample.file_peak_mib for sample in seen.samples):.1f} MiB after it; "
        f"{last.kept_jobs:,} jobs kept",
        f"  housekeeping forgot {kept.forgotten:,} jobs in {len(kept.windows)} spells and gave back "
        f"{kept.given_back_mib:.1f} MiB",
    ]
    for label, values in house.items():
        if values:
            lines.append(
                f"  {len(values):,} acks {label}: median {values[len(values) // 2]:.1f} ms, "
                f"p99 {values[int(0.99 * (len(values) - 1))]:.1f} ms, longest {values[-1]:.1f} ms"
            )
    lines.append(f"  the benchmark itself was up to {1000 * seen.late_s:.1f} ms late, which is part of these times")
    return lines


def acks_ms(seen: Steady) -> dict[str, list[float]]:
    """Return the acks' times in milliseconds, in order: those while jobs were being forgotten, and all others."""
    during, others = aging.split(seen.asked_at, seen.acked_s, seen.housekeeping)
    return {"during housekeeping": [1000 * s for s in during], "otherwise": [1000 * s for s in others]}


def steady_targets(seen: Steady) -> list[Target]:
    """Return what a long run should keep to; growth of memory counts by the upper end of its interval."""
    rss = trend(seen.samples, "rss")
    during = acks_ms(seen)["during housekeeping"]
    targets = [
        Target("growth of RSS, at most", rss.most, MOST_GROWTH_MIB, at_most=True, unit=" MiB"),
        Target("growth of descriptors", descriptor_growth(seen), MOST_DESCRIPTORS, at_most=True, digits=0),
        Target("largest file of the second half, to before", file_growth(seen), MOST_FILE, at_most=True),
    ]
    if during:
        targets.append(
            Target("longest ack during vacuum", during[-1], LONGEST_ACK_MS, at_most=True, digits=1, unit=" ms")
        )
    return targets


def faults(seen: Steady) -> list[str]:
    """Return what makes the long run's figures worthless."""
    found = list(seen.faults[:5])
    if len(seen.faults) > len(found):
        found.append(f"and {len(seen.faults) - len(found)} more")
    if not seen.housekeeping.forgotten:
        found.append("the run was too short for the instance's housekeeping, which looks once a minute")
    return found


def draw(path: Path, seen: Steady) -> None:
    """Write the chart: memory, descriptors, file and kept jobs over the run."""
    sizes = [_short(sample.interactions) if number % 4 == 3 else "" for number, sample in enumerate(seen.samples)]
    wanted = {
        "RSS, MiB": "rss",
        "descriptors": "descriptors",
        "largest file, MiB": "file_peak_mib",
        "jobs kept": "kept_jobs",
    }
    panels(path, [Panel(title, sizes, {title: _line(seen.samples, name)}) for title, name in wanted.items()])


def as_json(idle: Idle, seen: Steady | None) -> dict[str, Any]:
    """Return everything that was measured."""
    found: dict[str, Any] = {"idle": [dict(sample) for sample in idle]}
    if seen is not None:
        found["steady"] = seen.as_json()
    return found


def _line(samples: Sequence[Sample], name: str) -> list[Spread | None]:
    return [Spread.of([float(getattr(sample, name))]) for sample in samples]


def _seconds(seen: Steady) -> list[float]:
    before = [0, *(sample.interactions for sample in seen.samples)]
    return [
        (sample.interactions - earlier) / sample.per_second
        for earlier, sample in zip(before, seen.samples, strict=False)
    ]


def _short(count: int) -> str:
    return f"{count // 1000} k" if count >= 1000 else str(count)
