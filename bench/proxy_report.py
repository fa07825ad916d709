"""What the rounds of `bench proxy` say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.proxy_runs import BEHIND, DIRECT, FOUR, PLAIN, ROUTED, Connections, Seen
from bench.report import Spread
from bench.targets import Target

LEAST_SHARE = 0.75
MOST_SCRIPT_US = 20.0
LEAST_GAIN = 1.6

Round = Mapping[str, Seen]


def spread(rounds: Sequence[Round], name: str, value: Callable[[Seen], float]) -> Spread:
    """Return the spread of a value of one run over the rounds."""
    return Spread.of([value(round_[name]) for round_ in rounds])


def share(rounds: Sequence[Round]) -> Spread:
    """Return the part of an instance's rate that is left when nginx is before it on the same core, round by round."""
    return Spread.of([round_[BEHIND].acks_per_second / round_[DIRECT].acks_per_second for round_ in rounds])


def cpu_share(rounds: Sequence[Round]) -> Spread:
    """Return the same by processor time for each ack, which a neighbour on the machine hardly disturbs."""
    return Spread.of([round_[DIRECT].processor_us / round_[BEHIND].processor_us for round_ in rounds])


def script_us(rounds: Sequence[Round]) -> Spread:
    """Return what the routing script adds to nginx's processor time for a request, round by round, in microseconds."""
    return Spread.of([round_[ROUTED].nginx_us - round_[PLAIN].nginx_us for round_ in rounds])


def gain(rounds: Sequence[Round]) -> Spread:
    """Return the rate of four instances over that of one alone, the load's time given back, round by round."""
    return Spread.of([round_[FOUR].own_rate / round_[DIRECT].own_rate for round_ in rounds])


def cpu_gain(rounds: Sequence[Round]) -> Spread:
    """Return the same if both cores did nothing but acks: twice what one costs alone over what it costs with all."""
    return Spread.of([2 * round_[DIRECT].processor_us / round_[FOUR].processor_us for round_ in rounds])


def cpu_gain_behind(rounds: Sequence[Round]) -> Spread:
    """Return the same beside one instance that has nginx before it on its core."""
    return Spread.of([2 * round_[BEHIND].processor_us / round_[FOUR].processor_us for round_ in rounds])


def gain_behind(rounds: Sequence[Round]) -> Spread:
    """Return the rate of four instances over that of one with nginx on one core, round by round."""
    return Spread.of([round_[FOUR].own_rate / round_[BEHIND].own_rate for round_ in rounds])


def targets(rounds: Sequence[Round], counted: Connections, *, by_time: bool) -> list[Target]:
    """Return what should be reached; `by_time` judges by processor time, since others keep the rates down."""
    how = "by processor time" if by_time else "by rate"
    seen_share, seen_gain = (cpu_share, cpu_gain) if by_time else (share, gain)
    most = float(counted.clients)
    return [
        Target(f"one instance behind nginx / alone, {how}", seen_share(rounds).median, LEAST_SHARE),
        Target("the routing script", script_us(rounds).median, MOST_SCRIPT_US, at_most=True, digits=1, unit=" µs"),
        Target("connections opened at nginx", counted.at_nginx, most, at_most=True, digits=0),
        Target("connections opened at the instance", counted.at_instance, most, at_most=True, digits=0),
        Target(f"four instances on two cores / one, {how}", seen_gain(rounds).median, LEAST_GAIN),
    ]


def faults(rounds: Sequence[Round], counted: Connections) -> list[str]:
    """Return what makes the figures worthless."""
    numbered = enumerate(rounds, start=1)
    found = [
        f"round {number}, {fault}" for number, round_ in numbered for one in round_.values() for fault in one.faults()
    ]
    return [*found, *counted.faults()]


def lines(rounds: Sequence[Round], counted: Connections) -> list[str]:
    """Return the report as lines of text."""
    columns: Sequence[tuple[str, Callable[[Seen], float], int]] = (
        ("acks/s", lambda seen: seen.acks_per_second, 0),
        ("p50 ms", lambda seen: seen.p50_ms, 1),
        ("p99 ms", lambda seen: seen.p99_ms, 1),
        ("instance µs/ack", lambda seen: seen.instances_us, 0),
        ("nginx µs/ack", lambda seen: seen.nginx_us, 1),
    )
    text = [f"{'':18}" + "".join(f"{title:>24}" for title, *_ in columns)]
    for name in rounds[0]:
        cells = (spread(rounds, name, value).to(digits) for _, value, digits in columns)
        text.append(f"{name:18}" + "".join(f"{cell:>24}" for cell in cells))
    shares = " on the same cores, its time given back" if rounds[0][FOUR].load_shares else " on a third core"
    return [
        *text,
        f"one behind nginx / alone: {share(rounds).to(2)} by rate, {cpu_share(rounds).to(2)} by processor time",
        f"the routing script: {script_us(rounds).to(1)} µs of nginx's processor time for a request",
        f"four behind nginx / one alone: {gain(rounds).to(2)} by rate (the load{shares}), "
        f"{cpu_gain(rounds).to(2)} by processor time",
        f"four behind nginx / one behind nginx on one core: {gain_behind(rounds).to(2)} by rate, "
        f"{cpu_gain_behind(rounds).to(2)} by processor time",
        f"{counted.acks:,} interactions of {counted.clients} clients: {counted.at_nginx} connections opened at nginx, "
        f"{counted.at_instance} at the instance",
    ]


def as_json(rounds: Sequence[Round], counted: Connections, goals: Sequence[Target]) -> dict[str, Any]:
    """Return everything that was measured, and the figures that are judged."""
    figures = {
        "share": share,
        "cpu_share": cpu_share,
        "script_us": script_us,
        "gain": gain,
        "cpu_gain": cpu_gain,
        "gain_behind": gain_behind,
        "cpu_gain_behind": cpu_gain_behind,
    }
    return {
        "rounds": [{name: asdict(seen) for name, seen in round_.items()} for round_ in rounds],
        "connections": asdict(counted),
        **{name: asdict(figure(rounds)) for name, figure in figures.items()},
        "targets": [{**asdict(goal), "reached": goal.reached} for goal in goals],
        "faults": faults(rounds, counted),
    }
