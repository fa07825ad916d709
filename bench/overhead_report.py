"""What the parts of `bench overhead` say together: lines, targets, a caution, JSON, and the chart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import charts
from bench.calls import MOST_OF_LITELLM, CallFigures
from bench.crowd import ACK_P99_MS, CrowdFigures
from bench.latency import MEDIAN_MS, P99_MS, LatencyFigures, Times
from bench.report import Spread
from bench.targets import Target

BUSIEST_MACHINE = 0.9
"""A machine busier than this shows how long things wait for a processor."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The rounds of each part; empty or None if it was not asked for."""

    latency: Sequence[LatencyFigures] = ()
    crowd: Sequence[CrowdFigures] = ()
    calls: CallFigures | None = None


def _spread(rounds: Sequence[Any], value: Callable[[Any], float]) -> Spread:
    return Spread.of([value(one) for one in rounds])


def targets(seen: Seen) -> list[Target]:
    """Return each target beside what was measured: medians over the rounds."""
    goals = []
    if seen.latency:
        for what, times in (("lease to provider request", _before), ("provider's last byte to answer", _after)):
            p50 = _spread(seen.latency, lambda one, times=times: times(one).p50_ms).median  # type: ignore[misc]
            p99 = _spread(seen.latency, lambda one, times=times: times(one).p99_ms).median  # type: ignore[misc]
            goals.append(Target(f"{what}, median", p50, MEDIAN_MS, at_most=True, digits=1, unit=" ms"))
            goals.append(Target(f"{what}, p99", p99, P99_MS, at_most=True, digits=1, unit=" ms"))
    if seen.crowd:
        p99 = _spread(seen.crowd, lambda one: one.ack_p99_ms).median
        count = seen.crowd[0].streams
        goals += [
            Target(f"ack p99 beside {count:,} streams", p99, ACK_P99_MS, at_most=True, digits=0, unit=" ms"),
            Target("streams at once", min(one.growing for one in seen.crowd), count, digits=0),
            Target("not acked", sum(one.failed_acks for one in seen.crowd), 0, at_most=True, digits=0),
            Target("429 of our own making", sum(one.answers.rate_limited for one in seen.crowd), 0, at_most=True,
                   digits=0),
            Target("whole in the end", min(one.answers.whole for one in seen.crowd), count, digits=0),
        ]  # fmt: skip
    if seen.calls is not None:
        shares = {
            "waiting": seen.calls.wait_ms,
            "processor time": seen.calls.cpu_ms,
            "processor time, 40 at once": seen.calls.cpu_many_ms,
        }
        goals += [
            Target(f"of LiteLLM's addition to a call, {what}", seen.calls.share(of), MOST_OF_LITELLM, at_most=True)
            for what, of in shares.items()
        ]
    return goals


def _before(one: LatencyFigures) -> Times:
    return one.before


def _after(one: LatencyFigures) -> Times:
    return one.after


def lines(seen: Seen) -> list[str]:
    """Return the report."""
    return [*_latency_lines(seen.latency), *_crowd_lines(seen.crowd), *(_call_lines(seen.calls) if seen.calls else [])]


def _latency_lines(rounds: Sequence[LatencyFigures]) -> list[str]:
    if not rounds:
        return []
    text = [f"{'40 jobs running, ms':38}{'median':>20}{'p99':>24}"]
    for what, times in (("lease to the provider request", _before), ("provider's last byte to the answer", _after)):
        p50 = _spread(rounds, lambda one, times=times: times(one).p50_ms).to(1)  # type: ignore[misc]
        p99 = _spread(rounds, lambda one, times=times: times(one).p99_ms).to(1)  # type: ignore[misc]
        text.append(f"{what:38}{p50:>20}{p99:>24}")
    jobs, open_ = sum(one.jobs for one in rounds), sum(one.unfinished for one in rounds)
    text.append(f"over {jobs:,} jobs, {open_} of them without an end; {_surroundings(rounds)}")
    return text


def _crowd_lines(rounds: Sequence[CrowdFigures]) -> list[str]:
    if not rounds:
        return []
    return [
        f"{rounds[0].streams:,} answers at once on four instances behind nginx, for "
        f"{_spread(rounds, lambda one: one.held_s).to(1)} s; acks meanwhile: {sum(one.acks for one in rounds):,}",
        f"ack, ms: {_spread(rounds, lambda one: one.ack_p50_ms).to(1)} median, "
        f"{_spread(rounds, lambda one: one.ack_p99_ms).to(1)} p99, {_spread(rounds, lambda one: one.ack_most_ms).to(0)}"
        f" longest; the watcher itself was {_spread(rounds, lambda one: one.watcher_lag_p99_ms).to(1)} late (p99)",
        f"first token to first visible word, ms: {_spread(rounds, lambda one: one.answers.first_word_p50_ms).to(0)} "
        f"median, {_spread(rounds, lambda one: one.answers.first_word_p95_ms).to(0)} p95; edits a second: "
        f"{_spread(rounds, lambda one: one.answers.edits_per_second_p50).to(2)}",
        _surroundings(rounds),
    ]


def _surroundings(rounds: Sequence[LatencyFigures] | Sequence[CrowdFigures]) -> str:
    """Say what else could explain a time: the simulators' own lag, a machine without processor time to spare."""
    return (
        "simulators' event loops late by (p99, ms): Discord "
        f"{_spread(rounds, lambda one: one.discord_lag.p99_ms).to(1)}, "
        f"OpenAI {_spread(rounds, lambda one: one.openai_lag.p99_ms).to(1)}; cores used by the system "
        f"{_spread(rounds, lambda one: one.cores).to(2)}, by the simulators "
        f"{_spread(rounds, lambda one: one.discord_lag.cores + one.openai_lag.cores).to(2)}; machine "
        f"{_spread(rounds, lambda one: 100 * one.machine_busy).to(0)} % busy"
    )


def _call_lines(calls: CallFigures) -> list[str]:
    text = [f"{'added to a call of the bare SDK, ms':38}{'litellm':>24}{'quartet':>24}{'share':>8}"]
    rows: Mapping[str, Mapping[str, Spread]] = {
        "waiting, one at a time": calls.wait_ms,
        "processor time, one at a time": calls.cpu_ms,
        "processor time, 40 at a time": calls.cpu_many_ms,
    }
    for what, of in rows.items():
        share = of["quartet"].median / max(1e-9, of["litellm"].median)
        text.append(f"{what:38}{of['litellm'].to(1):>24}{of['quartet'].to(1):>24}{share:>8.2f}")
    bare = calls.bare_ms
    text.append(f"{'(the bare call itself, waiting)':38}{bare['litellm'].to(1):>24}{bare['quartet'].to(1):>24}")
    text += [
        f"{name}: " + ", ".join(f"{package} {version}" for package, version in versions.items())
        for name, versions in calls.versions.items()
    ]
    return text


def cautions(seen: Seen) -> list[str]:
    """Return what keeps times from being the product's: they then say how busy the machine is."""
    rounds: list[LatencyFigures | CrowdFigures] = [*seen.latency, *seen.crowd]
    busy = [one for one in rounds if one.machine_busy > BUSIEST_MACHINE]
    if not busy:
        return []
    return [
        f"The machine had no processor time to spare in {len(busy)} of {len(rounds)} runs: waiting is part of these."
    ]


def as_json(seen: Seen, goals: Sequence[Target]) -> dict[str, Any]:
    """Return everything that was measured, and the verdicts."""
    return {
        "latency": [asdict(one) for one in seen.latency],
        "crowd": [asdict(one) for one in seen.crowd],
        "calls": asdict(seen.calls) if seen.calls else None,
        "targets": [{**asdict(goal), "reached": goal.reached} for goal in goals],
    }


def draw(path: Path, calls: CallFigures) -> None:
    """Write the chart of what is added to a call."""
    values = {
        "LiteLLM's Router: waiting": calls.wait_ms["litellm"],
        "Quartet, five commits to disk included: waiting": calls.wait_ms["quartet"],
        "LiteLLM's Router: processor time": calls.cpu_many_ms["litellm"],
        "Quartet: processor time": calls.cpu_many_ms["quartet"],
    }
    charts.bars(path, "Milliseconds added to a call of the bare SDK", values, strong=list(values)[1])
