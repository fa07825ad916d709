"""The report compares within rounds, and says when its figures are worth nothing."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from bench import machine, report
from bench.measure import Measurement

GOOD = Measurement(
    contestant="quartet",
    acks=1000,
    errors=0,
    first_error="",
    seconds=1.0,
    acks_per_second=1000.0,
    p50_ms=1.0,
    p99_ms=2.0,
    cpu_us=100.0,
    load_busy=0.2,
    lost=0,
    unasked=0,
)


def _round(ours: float, theirs: float, **more: object) -> dict[str, Measurement]:
    rival = replace(GOOD, contestant="hikari", acks_per_second=theirs, lost=None, unasked=None)
    return {"quartet": replace(GOOD, acks_per_second=ours, **more), "hikari": rival}  # type: ignore[arg-type]


def test_the_ratio_is_taken_pair_by_pair() -> None:
    """A round in which the whole machine was slow does not move it; two medians would give 1000 / 1000."""
    rounds = [_round(1000, 500), _round(3000, 1500), _round(100, 1000)]
    assert report.ratio(rounds, "hikari") == report.Spread(2.0, 0.1, 2.0)


def test_the_processor_time_is_compared_the_other_way_round() -> None:
    """Who needs half the time for an ack is twice as good."""
    rounds = [_round(1000, 500, cpu_us=50.0), _round(1000, 500, cpu_us=200.0), _round(1000, 500)]
    assert report.cpu_ratio(rounds, "hikari") == report.Spread(1.0, 0.5, 2.0)


def test_sound_rounds_have_no_fault_and_say_what_was_checked() -> None:
    """The last line tells how many acks were found on disk."""
    rounds = [_round(1000, 500)] * 2
    assert report.faults(rounds) == []
    assert "2,000 acks" in report.lines(rounds)[-1]


def test_errors_losses_and_a_busy_load_generator_are_faults() -> None:
    """Each is named with its round and server, and the report no longer claims that all was found."""
    for spoilt, word in (
        ({"lost": 1}, "not on disk"),
        ({"unasked": 2}, "never acked"),
        ({"errors": 3, "first_error": "500"}, "3 errors"),
        ({"acks": 0}, "nothing was acked"),
        ({"load_busy": 0.95}, "95%"),
    ):
        rounds = [_round(1000, 500), _round(1000, 500, **spoilt)]
        (fault,) = report.faults(rounds)
        assert fault.startswith("round 2, quartet")
        assert word in fault
        assert not any("found on disk" in line for line in report.lines(rounds))


def test_the_json_holds_every_measurement() -> None:
    """Whoever doubts a median can compute it anew."""
    found = report.as_json([_round(1000, 500), _round(900, 600)])
    assert [round_["quartet"]["acks_per_second"] for round_ in found["rounds"]] == [1000, 900]
    assert found["ratios"]["hikari"] == {"median": 1.75, "least": 1.5, "most": 2.0}


def test_a_busy_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads rates from a shared machine is warned; a quiet one says nothing."""
    cores = len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "getloadavg", lambda: (cores * 3.0, 0.0, 0.0))
    assert "trust the processor times" in machine.busy()
    monkeypatch.setattr(os, "getloadavg", lambda: (cores * 0.1, 0.0, 0.0))
    assert machine.busy() == ""
