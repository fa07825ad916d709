"""A key learns from how each call ends, and no call goes unrecorded."""

from __future__ import annotations

import asyncio

import pytest

from app.balancing.budget import Allowance, KeyState
from app.balancing.keyset import (
    CALLS_FORGOTTEN_EVERY_S,
    CALLS_KEPT_S,
    MINIMAX,
    OPENAI,
    KeySet,
    ManagedKey,
    concerns_key,
    forget_old_calls,
)
from app.errors import (
    NoKeyAvailable,
    ProviderBadAnswer,
    ProviderError,
    ProviderKeyRejected,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    StoreUnavailable,
)
from tests.kit.clock import FakeClock
from tests.unit.worker.memory import MemoryCalls


@pytest.fixture
def calls() -> MemoryCalls:
    return MemoryCalls()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto_advance=False)


def key(clock: FakeClock, calls: MemoryCalls, provider: str = OPENAI, **allowance: int) -> ManagedKey:
    return ManagedKey(provider, 1, clock, calls, Allowance(**allowance))


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ProviderRateLimited("429", retry_after=9), KeyState.COOLING),
        (ProviderQuotaExhausted("no credit"), KeyState.SPENT),
        (ProviderKeyRejected("401"), KeyState.DEAD),
        (ProviderRefused("policy"), KeyState.READY),
        (ProviderTimeout("slow"), KeyState.READY),
        (ProviderBadAnswer("cut"), KeyState.READY),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_learns_from_each_failure(
    clock: FakeClock, calls: MemoryCalls, error: ProviderError, state: KeyState
) -> None:
    """Only what concerns the key rests it; the error goes on to the caller, and nothing stays in flight."""
    managed = key(clock, calls)
    with pytest.raises(type(error)):
        async with managed.use():
            raise error
    snapshot = managed.snapshot()
    assert (snapshot.state, snapshot.in_flight) == (state, 0)
    assert snapshot.usable is (state is KeyState.READY)
    assert concerns_key(error) is (state is not KeyState.READY)


async def test_a_key_at_rest_is_not_called(clock: FakeClock, calls: MemoryCalls) -> None:
    """The caller hears how long to wait, and nothing is recorded."""
    managed = key(clock, calls, per_minute=1)
    async with managed.use():
        pass
    with pytest.raises(NoKeyAvailable) as caught:
        async with managed.use():
            raise AssertionError("must not be reached")
    assert caught.value.retry_after is not None and 59 < caught.value.retry_after < 62
    assert len(calls.starts["1:openai"]) == 1


async def test_a_call_that_can_not_be_recorded_is_not_made(clock: FakeClock, calls: MemoryCalls) -> None:
    """The store's failure reaches the caller before the provider is called."""
    managed = key(clock, calls)
    calls.broken = True
    with pytest.raises(StoreUnavailable):
        async with managed.use():
            raise AssertionError("must not be reached")
    assert managed.snapshot().in_flight == 0


async def test_a_cancelled_call_is_not_in_flight_any_more(clock: FakeClock, calls: MemoryCalls) -> None:
    """However a call ends, its place is free again, and it stays counted."""
    managed = key(clock, calls, max_in_flight=1, per_minute=5)

    async def call() -> None:
        async with managed.use():
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await clock.advance(0)
    assert managed.room() == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (managed.room(), managed.snapshot().minute_used) == (1, 1)


async def test_old_starts_of_calls_are_dropped_all_the_time(clock: FakeClock, calls: MemoryCalls) -> None:
    """Symptom: the file grew by a row for each call, for ever. Cause: nobody dropped them. Rule: what neither a window
    nor the dashboard's hour asks for goes within a minute."""
    await calls.record("1:openai", day="", at=clock.now())
    old, young = clock.now(), clock.now() + 90
    await calls.record("1:openai", day="", at=young)
    dropping = asyncio.create_task(forget_old_calls(calls, clock))
    await clock.advance(CALLS_KEPT_S)
    assert calls.starts["1:openai"] == [old, young]
    await clock.advance(CALLS_FORGOTTEN_EVERY_S)
    assert calls.starts["1:openai"] == [young]
    dropping.cancel()


async def test_a_restart_takes_over_the_window_and_the_day(clock: FakeClock, calls: MemoryCalls) -> None:
    """The next life of an instance may not use again what the last one used."""
    first = key(clock, calls, MINIMAX, per_minute=3, per_day=3)
    for _ in range(3):
        async with first.use():
            pass
    keys = KeySet([key(clock, calls, MINIMAX, per_minute=3, per_day=3), key(clock, calls)])
    await keys.restore()
    assert keys.room((MINIMAX,)) == 0
    assert keys.room((MINIMAX, OPENAI)) > 0
    assert keys.snapshots()[MINIMAX].day_used == 3


class Watching:
    """Notes what it hears of calls."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def begun(self) -> None:
        self.seen.append("begun")

    def spoke(self, seconds: float) -> None:
        self.seen.append(seconds)

    def ended(self, outcome: str, seconds: float) -> None:
        self.seen.append((outcome, seconds))


async def test_every_call_is_watched(clock: FakeClock, calls: MemoryCalls) -> None:
    """Its beginning, its first word once, then outcome and seconds, for success and failure alike."""
    managed, watch = ManagedKey(OPENAI, 1, clock, calls, Allowance()), Watching()
    async with managed.use(watch) as call:
        await clock.advance(2)
        call.spoke()
        await clock.advance(1)
        call.spoke()
    with pytest.raises(ProviderTimeout):
        async with managed.use(watch):
            raise ProviderTimeout("slow")
    assert watch.seen == ["begun", 2.0, ("ok", 3.0), "begun", ("ProviderTimeout", 0.0)]
