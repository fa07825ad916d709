"""How the overhead benchmark reads logs and ledgers, and what it says of targets, without any process."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.calls import CallFigures, Cost, Pair, figures
from bench.crowd import CrowdFigures, growing
from bench.latency import LatencyFigures, Times, leases, spans
from bench.overhead_report import Seen, as_json, cautions, lines, targets
from bench.report import Spread
from bench.simulated import Lag, lag_of
from bench.streams import Figures

AHEAD = 1_800_000_000.0
"""How far the wall clock is ahead of the monotonic one in these ledgers."""

LAG = Lag(p50_ms=0.1, p99_ms=0.5, most_ms=1.0, cores=0.1)
LATENCY = LatencyFigures(
    jobs=100, unfinished=0, before=Times(3.0, 20.0, 30.0), after=Times(4.0, 24.0, 30.0), openai_lag=LAG,
    discord_lag=LAG, cores=0.5, machine_busy=0.4,
)  # fmt: skip
ANSWERS = Figures(
    streams=10, whole=10, first_word_p50_ms=5.0, first_word_p95_ms=9.0, edits_per_second_p50=1.0,
    edits_per_second_least=0.9, rate_limited=0, cpu_share=0.5,
)  # fmt: skip
CROWD = CrowdFigures(
    streams=10, growing=10, held_s=5.0, acks=20, failed_acks=0, ack_p50_ms=5.0, ack_p99_ms=80.0, ack_most_ms=90.0,
    watcher_lag_p99_ms=1.0, answers=ANSWERS, discord_lag=LAG, openai_lag=LAG, cores=0.5, machine_busy=0.4,
)  # fmt: skip


def event(name: str, at: float, **fields: Any) -> dict[str, Any]:
    """Return a line of a ledger."""
    return {"event": name, "t": at, "wall": at + AHEAD, **fields}


def log_line(interaction: str, at: float, what: str = "job leased") -> str:
    """Return a line of an instance's log, written at this moment of the monotonic clock."""
    moment = datetime.fromtimestamp(at + AHEAD, UTC).isoformat(timespec="microseconds")
    return json.dumps({"event": what, "interaction": interaction, "timestamp": moment[:-6] + "Z"})


def one_job() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return Discord's and OpenAI's ledgers of one interaction: called at 10.004, ended at 12, answered at 12.006."""
    discord = [
        event("sent", 9.9, interaction="i1", prompts={"질문": "digest"}),
        event("webhook", 11.0, interaction="i1", ok=True, final=False, ms=1.0),
        event("webhook", 12.007, interaction="i1", ok=True, final=True, ms=1.0),
        event("webhook", 12.5, interaction="i1", ok=True, final=True, ms=1.0),
    ]
    openai = [
        event("provider_call", 10.006, n=7, prompt="digest"),
        event("provider_done", 12.0, call=7, start=10.004),
    ]
    return discord, openai


def test_a_job_is_followed_from_its_lease_over_both_ledgers() -> None:
    """From the log's lease to the call's arrival, and from its last byte to the arrival of the first final edit."""
    leased = leases([log_line("i1", 10.0), log_line("i1", 12.5, "job finished"), "not JSON at all"])
    before, after, unfinished = spans(*one_job(), leased, 9.0, 11.0)
    assert before == [pytest.approx(0.004, abs=1e-5)]
    assert after == [pytest.approx(0.006, abs=1e-5)]
    assert unfinished == 0


def test_a_job_without_its_end_is_told_and_one_of_another_time_left_out() -> None:
    """Nothing is measured of either."""
    discord, openai = one_job()
    leased = leases([log_line("i1", 10.0), log_line("i2", 10.5), log_line("i3", 99.0)])
    before, _, unfinished = spans(discord[:2], openai, leased, 9.0, 11.0)
    assert (before, unfinished) == ([], 2)


def test_the_lag_is_that_of_the_measured_time() -> None:
    """Samples from before and a half-written last line don't count; cores are processor seconds a second."""
    samples = [{"t": t, "late_s": 5.0 if t < 10 else 0.001 * t, "cpu_s": 0.5 * t} for t in range(5, 21)]
    lag = lag_of([*(json.dumps(sample) for sample in samples), '{"t": 20.5, "la'], 10, 20)
    assert [lag.most_ms, lag.cores] == pytest.approx([20, 0.5])


def test_answers_grow_at_once_from_their_first_word_to_their_last() -> None:
    """The most at once and the time for which all did; other people's answers are left out."""
    ledger = [
        *(event("provider_call", 0.0, n=n, head=head) for n, head in enumerate(["one?", "two?", "probe"])),
        *(event("provider_first", 1.0 + n, call=n) for n in range(3)),
        *(event("provider_done", 5.0 + n, call=n) for n in range(3)),
    ]
    assert growing(ledger, {"one?", "two?"}, 2) == {"growing": 2, "held_s": pytest.approx(3.0)}


def call_figures(ours: float) -> CallFigures:
    """Return figures in which LiteLLM adds 9 ms to everything, and Quartet so many."""
    pairs = [
        Pair(at_once, {"litellm": Cost(9, 9, 9), "quartet": Cost(ours, ours, ours)}, dict.fromkeys(
            ("litellm", "quartet"), Cost(5, 5, 5)))
        for at_once in (1, 40)
        for _ in range(3)
    ]  # fmt: skip
    return figures(pairs, {"litellm": {"litellm": "1"}, "quartet": {"openai": "3"}})


def test_an_addition_is_what_a_call_takes_over_the_bare_one() -> None:
    """Each cost less the bare call's, told by a process's own times."""
    told = Cost.of({"took_s": [0.01, 0.02, 0.03], "elapsed_s": 0.06, "cpu_s": 0.03})
    assert told == Cost(pytest.approx(20), pytest.approx(20), pytest.approx(10))  # type: ignore[arg-type]
    assert told.over(Cost(5, 6, 7)).median_ms == pytest.approx(15)
    assert call_figures(3.0).share({"litellm": Spread.of([9]), "quartet": Spread.of([3])}) == pytest.approx(1 / 3)


def test_good_figures_reach_every_target_and_are_told() -> None:
    """All parts have their targets, and a calm machine needs no caution."""
    seen = Seen([LATENCY], [CROWD], call_figures(3.0))
    goals = targets(seen)
    assert len(goals) == 4 + 5 + 3
    assert [goal.what for goal in goals if not goal.reached] == []
    assert cautions(seen) == []
    assert len(lines(seen)) > 8
    assert all(goal["reached"] for goal in json.loads(json.dumps(as_json(seen, goals)))["targets"])


def test_bad_figures_miss_theirs() -> None:
    """Each bad figure misses its own target and no other; a machine out of time is pointed out."""
    slow = replace(LATENCY, after=Times(6.0, 24.0, 30.0), machine_busy=0.99)
    stalled = replace(CROWD, ack_p99_ms=130.0, answers=replace(ANSWERS, rate_limited=2))
    seen = Seen([slow], [stalled], call_figures(4.0))
    missed = [goal.what for goal in targets(seen) if not goal.reached]
    assert missed[:3] == [
        "provider's last byte to answer, median", "ack p99 beside 10 streams", "429 of our own making"
    ]  # fmt: skip
    assert len(missed) == 6
    assert len(cautions(seen)) == 1
