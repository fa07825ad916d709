"""The guard lets noise pass and a gross loss not."""

from __future__ import annotations

from dataclasses import replace

from bench.guard import LEAST, PAIRS, ratio, verdict
from bench.measure import Measurement

PAIR = Measurement(
    contestant="any", acks=1000, errors=0, first_error="", seconds=1.0, acks_per_second=1000.0, p50_ms=1.0, p99_ms=2.0,
    cpu_us=100.0, load_busy=0.2, lost=None, unasked=None,
)  # fmt: skip


def test_two_good_pairs_pass_at_once() -> None:
    """A sound instance costs the tests two pairs."""
    assert verdict([0.66], LEAST) is None
    assert verdict([0.66, LEAST], LEAST) is True


def test_three_pairs_spoilt_by_a_neighbour_do_not_fail_it() -> None:
    """As long as two good ones are possible, it goes on."""
    assert verdict([0.5, 0.4, 0.55], LEAST) is None
    assert verdict([0.5, 0.4, 0.55, 0.7, 0.61], LEAST) is True


def test_a_gross_loss_fails_as_soon_as_it_is_certain() -> None:
    """One lucky pair does not save it."""
    assert verdict([0.4] * (PAIRS - 1), LEAST) is False
    assert verdict([0.4, 0.4, 0.7, 0.4, 0.4], LEAST) is False


def test_the_ratio_is_of_processor_time_and_errors_never_pass() -> None:
    """Twice the processor time is half the speed; a pair with an error counts as none."""
    ours, bare = replace(PAIR, cpu_us=200.0), PAIR
    assert ratio(ours, bare) == 0.5
    assert ratio(replace(PAIR, errors=1), bare) == 0.0
    assert ratio(ours, replace(PAIR, acks=0)) == 0.0
