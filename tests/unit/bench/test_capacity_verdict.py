"""How the capacity benchmark reads a ledger: what counts, and what is found to be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from bench.capacity.cells import Cell, Mode, Plan, Users, Work
from bench.capacity.verdict import Load, Result, Span, judge, quantile
from simulator.ledger import Event

PLAN = Plan(openai_rpm=4, stability_rpm=2, minimax_rpd=3, windows=1)
CHAT = Cell(Mode.QUARTET, Users.ZIPF, Work.CHAT)
SPAN = Span(started=80.0, t0=100.0, t1=220.0)


class Book:
    """A ledger made by hand."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, t: float, event: str, **fields: Any) -> int:
        """Append an event and return its number."""
        self.events.append({"n": len(self.events) + 1, "t": t, "wall": t, "event": event, **fields})
        return len(self.events)

    def call(self, t: float, key: str = "set-1", provider: str = "openai", **more: Any) -> None:
        """A costly call; `status`, `outcome`, `admitted`, `fault` and `prompt` may be given."""
        admitted, prompt = more.get("admitted", True), more.get("prompt", f"prompt at {t} of {key}")
        who = {"provider": provider, "key": key, "costly": True, "route": provider, "prompt": prompt}
        fault = {"fault": more["fault"]} if "fault" in more else {}
        number = self.add(t, "provider_call", admitted=admitted, **who, **fault)
        status, outcome = more.get("status", 200), more.get("outcome", "ok")
        self.add(t + 0.1, "provider_done", call=number, status=status, outcome=outcome, **who)

    def interaction(
        self, name: str, sent: float, final: float | None, *, kind: int = 5, head: str = "an answer"
    ) -> None:
        """An interaction that is acked at once and, unless `final` is None, gets its last word then."""
        self.add(sent, "sent", interaction=name, copy=1)
        self.add(sent + 0.01, "acked", interaction=name, type=kind, ms=10.0)
        if final is not None:
            seen = {"message": f"m{name}", "visible": f"text of {name}", "final": True, "head": head}
            self.add(final, "webhook", interaction=name, status=200, age_s=final - sent, **seen)

    def judged(self, cell: Cell = CHAT, still_open: frozenset[str] = frozenset()) -> Result:
        """Return the verdict on what was written."""
        return judge(cell, PLAN, sorted(self.events, key=lambda event: event["n"]), SPAN, still_open, Load())


@pytest.mark.parametrize(
    ("t", "share"),
    [(99.9, 0.0), (100.0, 0.0), (115.0, 0.25), (130.0, 0.5), (160.0, 1.0), (190.0, 0.5), (205.0, 0.25), (220.0, 0.0)],
)
def test_a_call_counts_with_the_share_of_the_intervals_that_hold_it(t: float, share: float) -> None:
    """With one-minute intervals that begin between 100 and 160 s the weight rises to 1 at 160 s and falls again."""
    assert SPAN.share(t) == pytest.approx(share)


def test_longer_intervals_have_a_flat_middle() -> None:
    """Intervals of two minutes beginning between 0 and 60 s all hold what lies between 60 and 120 s."""
    span = Span(0.0, 0.0, 180.0)
    assert [span.share(t) for t in (30.0, 60.0, 90.0, 120.0, 150.0)] == pytest.approx([0.5, 1.0, 1.0, 1.0, 0.5])


def test_keys_used_to_the_full_have_a_use_of_one() -> None:
    """Four keys that start their four calls a minute without pause are used 1.0, wherever their bursts lie."""
    for burst_at in (0.0, 17.0, 59.0):
        book = Book()
        for key in range(1, 5):
            for minute in range(5):
                for number in range(4):
                    book.call(burst_at + 60 * minute + number / 10, f"set-{key}")
        result = book.judged()
        assert result.allowed == {"openai": 16}
        assert result.use == pytest.approx(1.0)
        assert result.calls_by_set == pytest.approx({f"set-{key}": 4.0 for key in range(1, 5)})


def test_only_calls_that_were_done_count() -> None:
    """Refused, failed, cut off and faulty calls, and calls that cost nothing, are no use of a key."""
    book = Book()
    book.call(160.0)
    book.call(160.0, "set-2", admitted=False, status=429, outcome="over_rpm")
    book.call(160.0, "set-3", status=401, outcome="rejected_key", fault="401")
    book.call(160.0, "set-4", status=200, outcome="caller_gone")
    book.add(160.0, "provider_call", provider="openai", key="set-1", costly=False, admitted=True)
    result = book.judged()
    assert result.done == 1.0
    assert result.limited == 1
    assert result.faulty_calls == 1


def test_a_limit_per_day_counts_from_the_start() -> None:
    """MiniMax's day holds the whole run: a call before the measured interval counts fully."""
    book = Book()
    for at in (81.0, 90.0, 219.0):
        book.call(at, provider="minimax")
    result = book.judged(Cell(Mode.QUARTET, Users.ZIPF, Work.MIXED))
    assert result.calls["minimax"] == 3
    assert result.allowed == {"openai": 16, "stability": 8, "minimax": 12}
    assert result.use_of("minimax") == pytest.approx(0.25)


def test_with_faults_two_key_sets_remain_to_be_used() -> None:
    """What the limits allow is what the two sets allow that are neither dead nor answering 429."""
    assert Book().judged(Cell(Mode.QUARTET, Users.ZIPF, Work.CHAT, faults=True)).allowed == {"openai": 8}


def test_windows_over_a_limit_are_found_where_no_key_refused() -> None:
    """Five calls of a key that allows four a minute are one too many, even if each was let through."""
    book = Book()
    book.add(80.0, "key", provider="openai", key="set-1", limits={"rpm": 4, "rpd": None, "in_flight": None})
    for number in range(5):
        book.call(100.0 + number)
    assert book.judged().windows_over == 1


def test_answer_times_are_those_of_answers_in_the_interval() -> None:
    """Median and 95th percentile leave out apologies and what was answered before or after; all are counted."""
    book = Book()
    book.interaction("1", 90.0, 99.0)
    book.interaction("2", 100.0, 103.0)
    book.interaction("3", 100.0, 107.0)
    book.interaction("4", 100.0, 101.0, head="⚠️ sorry")
    result = book.judged()
    assert (result.p50_s, result.p95_s) == (7.0, 7.0)
    assert (result.sent, result.accepted, result.answered, result.apologies) == (4, 4, 3, 1)


def test_waiting_is_not_lost_and_lost_is_not_waiting() -> None:
    """Accepted and unanswered is lost, unless the job still waits in the store; what was refused is owed nothing."""
    book = Book()
    book.interaction("1", 100.0, None)
    book.interaction("2", 100.0, None)
    book.interaction("3", 100.0, None, kind=4)
    book.events[-1] |= {"message": "m3", "visible": "full", "final": True}
    result = book.judged(still_open=frozenset({"2"}))
    assert result.lost == ["1"]
    assert (result.accepted, result.refused, result.waiting) == (2, 1, 1)


def test_answered_or_paid_for_twice_is_found() -> None:
    """A second final message and a prompt that was worked on twice both show; a retry after a 429 is none."""
    book = Book()
    book.interaction("1", 100.0, 101.0)
    book.add(102.0, "webhook", interaction="1", status=200, message="m1b", visible="another", final=True, age_s=2.0)
    book.call(110.0, prompt="same")
    book.call(111.0, "set-2", prompt="same")
    book.call(112.0, "set-3", prompt="retried", status=429, outcome="fault_429", fault="429")
    book.call(113.0, "set-4", prompt="retried")
    assert book.judged().twice == ["1", "same"]


def test_quantiles_take_a_value_that_was_measured() -> None:
    """Nearest rank: the median of four is the third, the 95th percentile of four the last, of nothing there is none."""
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.95) == 4.0
    assert quantile([], 0.5) is None
