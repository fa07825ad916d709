"""The last minute's times until "thinking…"."""

from __future__ import annotations

import pytest

from app.ack_times import EDGES_S, WINDOW_S, AckFigures, AckTimes


def test_nothing_yet() -> None:
    """No interaction, no figures."""
    assert AckTimes().figures(5.0) == AckFigures(0, None, None)


def test_half_and_nearly_all() -> None:
    """Of 99 quick ones and one slow one, half took a good millisecond, and 99 % no more than the quick ones' most."""
    times = AckTimes()
    for _ in range(99):
        times.observe(0.0012)
    times.observe(1.2)
    found = times.figures(0.0)
    assert found.count == 100
    assert found.p50_s == pytest.approx(0.00125, abs=0.00026)
    assert found.p99_s == pytest.approx(0.0015)


def test_what_is_beyond_the_last_class() -> None:
    """It is told as no less than the last class's end."""
    times = AckTimes()
    times.observe(20.0)
    assert times.figures(0.0) == AckFigures(1, EDGES_S[-1], EDGES_S[-1])


def test_a_minute_later_it_is_forgotten() -> None:
    """Asked once a second, each time counts for a minute and no longer; what is kept is bounded."""
    times = AckTimes()
    counted = []
    for second in range(200):
        if second == 10:
            times.observe(0.001)
        counted.append(times.figures(float(second)).count)
    assert counted == [0] * 10 + [1] * int(WINDOW_S) + [0] * (190 - int(WINDOW_S))
    assert len(times._seen) <= WINDOW_S + 2
