"""What one key may still do: no window overrun, no rest cut short, no day forgotten."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.balancing.budget import (
    COOL_DEFAULT_S,
    COOL_LEAST_S,
    COOL_LONGEST_S,
    DAY_S,
    DEAD_REST_S,
    LATE_MOST_S,
    PLENTY,
    SPENT_REST_S,
    WINDOW_MARGIN_S,
    WINDOW_S,
    Allowance,
    KeyBudget,
    KeyState,
    day_of,
    next_day,
)
from app.providers.base import RateHints
from tests.kit.clock import FakeClock

NOON = 1_760_011_200.0 - 1_760_011_200.0 % DAY_S + DAY_S / 2


def pass_time(clock: FakeClock, seconds: float) -> None:
    """Let time pass where nobody sleeps."""
    clock._elapsed += seconds


def budget_of(clock: FakeClock, *, jitter: float = 0.0, **allowance: int) -> KeyBudget:
    return KeyBudget(clock, Allowance(**allowance), random=lambda: jitter)


def starts(budget: KeyBudget) -> bool:
    """Start a call if one may start now."""
    reserved = budget.reserve()
    if reserved is not None:
        budget.sent(reserved)
    return reserved is not None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(1, 8)),
        st.tuples(st.just("pass"), st.floats(0, 40, allow_nan=False)),
        st.tuples(st.just("done"), st.just(0)),
        st.tuples(st.just("jump"), st.floats(-4000, 4000, allow_nan=False)),
        st.tuples(st.just("cool"), st.floats(0, 30, allow_nan=False)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(limit=st.integers(1, 6), steps=STEPS)
def test_no_window_of_sixty_seconds_holds_more_than_the_limit(limit: int, steps: list[tuple[str, float]]) -> None:
    """Whatever the order of calls, pauses, clock jumps, rests and restarts: at most `limit` starts in any 60 s."""
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock, per_minute=limit)
    sent: list[float] = []
    reserved: list[float] = []
    for step, value in steps:
        if step == "reserve":
            reserved += [at for _ in range(int(value)) if (at := budget.reserve()) is not None]
        elif step == "pass":
            pass_time(clock, value)  # recording a call takes time, and only then it goes out
            for at in reserved:
                budget.sent(at)
            sent += [clock.elapsed] * len(reserved)
            reserved.clear()
        elif step == "done" and budget.in_flight:
            budget.done()
        elif step == "jump":
            clock.jump(value)
        elif step == "cool":
            budget.cool(value)
        elif step == "restart":
            reserved.clear()
            budget = budget_of(clock, per_minute=limit)
            budget.restore(ages_s=[clock.elapsed - at for at in sent if clock.elapsed - at < WINDOW_S])
    for first in sent:
        assert sum(first <= at < first + WINDOW_S for at in sent) <= limit


@settings(max_examples=100, deadline=None)
@given(rests=st.lists(st.tuples(st.sampled_from(["cool", "guess", "spend", "reject"]), st.floats(0, 900)), max_size=8))
def test_a_rest_is_never_shortened(rests: list[tuple[str, float]]) -> None:
    """No later word lets a key start before the longest rest it was told."""
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock)
    until = 0.0
    for kind, seconds in rests:
        if kind == "cool":
            budget.cool(seconds)
            until = max(until, clock.elapsed + seconds)
        elif kind == "guess":
            budget.cool(None)
            until = max(until, clock.elapsed + COOL_DEFAULT_S)
        elif kind == "spend":
            budget.spend()
            until = max(until, clock.elapsed + SPENT_REST_S)
        else:
            budget.reject()
            until = max(until, clock.elapsed + DEAD_REST_S)
        budget.succeeded()
        assert clock.elapsed + budget.wait_s() >= until - 1e-6
        pass_time(clock, 7)


def test_the_window_opens_again() -> None:
    """After the wait it named, a full budget has room for one more."""
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock, per_minute=3)
    for _ in range(3):
        assert starts(budget)
        pass_time(clock, 5)
    assert not starts(budget)
    assert (budget.room(), budget.snapshot().usable) == (0, False)
    pass_time(clock, budget.wait_s())
    assert budget.room() == 1
    assert starts(budget) and not starts(budget)


def test_a_call_that_may_have_arrived_late_is_counted_late() -> None:
    """Symptom: a 429 at 60.5 s sharp. Cause: the call before had arrived late, so the provider's window began late.

    Rule: an answer that began later than the quickest of late moves its call's window by as much, up to a bound.
    """
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock, per_minute=3)

    def call(answered_after: float) -> None:
        reserved = budget.reserve()
        assert reserved is not None
        sent = budget.sent(reserved)
        pass_time(clock, answered_after)
        budget.heard(sent)

    for seconds in (0.2, 0.9, 9.0):
        call(seconds)
    waits = []
    for _ in range(3):
        waits.append(clock.elapsed + budget.wait_s())
        pass_time(clock, budget.wait_s())
        assert starts(budget)
    opens = WINDOW_S + WINDOW_MARGIN_S
    assert waits == pytest.approx([opens, 0.2 + 0.7 + opens, 1.1 + LATE_MOST_S + opens])


async def test_concurrency_can_not_overrun() -> None:
    """A hundred tasks that ask at once get exactly the limit."""
    budget = budget_of(FakeClock(NOON, auto_advance=False), per_minute=10)

    async def ask() -> bool:
        await asyncio.sleep(0)
        return starts(budget)

    assert sum(await asyncio.gather(*(ask() for _ in range(100)))) == 10


def test_calls_in_flight_are_bounded() -> None:
    """The next may start when one ends."""
    budget = budget_of(FakeClock(NOON, auto_advance=False), max_in_flight=2)
    assert starts(budget) and starts(budget) and not starts(budget)
    budget.done()
    assert (budget.room(), starts(budget)) == (1, True)


def test_a_day_begins_at_midnight_utc() -> None:
    """A used day waits until 00:00 UTC, not a second longer."""
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock, per_day=2)
    assert starts(budget) and starts(budget) and not starts(budget)
    assert budget.wait_s() == pytest.approx(DAY_S / 2)
    pass_time(clock, DAY_S / 2 - 1)
    assert not starts(budget)
    pass_time(clock, 1)
    assert starts(budget)
    assert budget.snapshot().day_used == 1


def test_a_day_may_begin_at_another_hour() -> None:
    """Where the provider's day begins at 16:00 UTC, so does ours."""
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock, per_day=1, day_starts_at=16 * 3600)
    assert starts(budget)
    assert budget.wait_s() == pytest.approx(4 * 3600)
    assert day_of(NOON, 16 * 3600) != day_of(NOON)
    assert next_day(NOON, 16 * 3600) == NOON + 4 * 3600


def test_a_restart_forgets_nothing() -> None:
    """What earlier lives used of the day and of the window counts on."""
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock, per_day=10, per_minute=2)
    budget.restore(used_today=9, ages_s=[50, 10])
    assert budget.room() == 0
    pass_time(clock, budget.wait_s())
    assert (budget.room(), starts(budget), budget.room()) == (1, True, 0)
    assert budget.wait_s() > 3600


@pytest.mark.parametrize("rest", ["reject", "spend"])
def test_after_a_long_rest_one_call_probes(rest: str) -> None:
    """Symptom: ten jobs at once called with a key that had been rejected before.

    Cause: when the rest was over the key counted as well. Rule: one call finds out; the others wait for its success.
    """
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock)
    getattr(budget, rest)()
    assert budget.snapshot().state in (KeyState.DEAD, KeyState.SPENT)
    pass_time(clock, budget.wait_s())
    assert (budget.room(), starts(budget), starts(budget), budget.room()) == (1, True, False, 0)
    budget.succeeded()
    assert (budget.snapshot().state, budget.room()) == (KeyState.READY, PLENTY)


def test_a_probe_that_fails_rests_again() -> None:
    """A key that is still rejected is out after that one call."""
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock)
    for _ in range(3):
        budget.reject()
        assert not starts(budget)
        pass_time(clock, DEAD_REST_S)
        assert starts(budget) and not starts(budget)
        budget.done()


def test_resting_for_no_time_is_still_a_pause() -> None:
    """Symptom: a 429 with `retry-after: 0` had one job leased, called and handed back in a circle.

    Cause: the key was usable again at once. Rule: there is a least rest.
    """
    budget = budget_of(FakeClock(NOON, auto_advance=False))
    budget.cool(0)
    assert budget.wait_s() == pytest.approx(COOL_LEAST_S)


def test_a_guess_doubles_until_a_call_succeeds() -> None:
    """Where the provider names no time, each rest is longer, up to a bound, and the first success forgets it."""
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock)
    rests = []
    for _ in range(6):
        budget.cool(None)
        rests.append(budget.wait_s())
        pass_time(clock, budget.wait_s())
    assert rests == [20, 40, 80, 160, 300, 300]
    assert max(rests) == COOL_LONGEST_S
    budget.succeeded()
    budget.cool(None)
    assert budget.wait_s() == COOL_DEFAULT_S


def test_what_the_provider_says_is_left_narrows_the_window() -> None:
    """Somebody else may use the same account: its own word counts until its own reset."""
    clock = FakeClock(NOON, auto_advance=False)
    budget = budget_of(clock, per_minute=100)
    assert starts(budget)
    budget.learn(RateHints(limit=100, remaining=2, reset_s=30))
    assert [starts(budget) for _ in range(3)] == [True, True, False]
    pass_time(clock, 30)
    assert starts(budget)
