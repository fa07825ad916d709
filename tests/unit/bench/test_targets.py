"""A target says honestly whether it was reached."""

from __future__ import annotations

from bench.targets import Target, exit_code


def test_a_reached_target_says_so() -> None:
    """The goal itself is enough, from either side."""
    assert Target("speed", 1.5, 1.5).line() == "speed: 1.50 (target ≥ 1.50): reached"
    assert Target("wait", 20.0, 25.0, at_most=True, digits=0, unit=" ms").line() == (
        "wait: 20 ms (target ≤ 25 ms): reached"
    )


def test_a_missed_target_says_by_how_much() -> None:
    """Even if rounding hides the gap."""
    assert Target("speed", 0.96, 1.5).line().endswith("missed by 0.54")
    assert Target("wait", 30.0, 25.0, at_most=True, digits=0, unit=" ms").line().endswith("missed by 5 ms")
    assert Target("speed", 1.4999, 1.5).line().endswith("missed by 0.0%")


def test_a_missed_target_fails_the_run_only_if_it_should() -> None:
    """`--strict` decides."""
    missed, reached = Target("a", 1, 2), Target("b", 2, 2)
    assert exit_code([missed, reached], strict=False) == 0
    assert exit_code([missed, reached], strict=True) == 1
    assert exit_code([reached], strict=True) == 0
