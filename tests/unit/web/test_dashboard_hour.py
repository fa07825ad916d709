"""The last hour as the dashboard has it: exact, bounded, and read piece by piece."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from app.balancing.keyset import MINIMAX, OPENAI, key_name
from app.jobs.job import FinishedJob, Outcome, ServedBecause
from app.web.dashboard import hour as hour_module
from app.web.dashboard.hour import CALLS_EVERY_S, MINUTES, MOST_FAULTS, OVERLAP_S, PAGE, CallHour, JobHour, first_minute
from tests.unit.commands.test_instant import finished
from tests.unit.edge.kit import Bench, MemoryStore
from tests.unit.worker.memory import MemoryCalls


class CountingStore(MemoryStore):
    """Notes how many lines each reading returned."""

    def __init__(self) -> None:
        super().__init__()
        self.returned: list[int] = []

    async def history(self, **asked: Any) -> Sequence[FinishedJob]:
        lines = await super().history(**asked)
        self.returned.append(len(lines))
        return lines


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.store = CountingStore()
    return made


def ids(bench: Bench) -> list[int]:
    """What the store's readings returned."""
    assert isinstance(bench.store, CountingStore)
    return bench.store.returned


async def test_each_minute_has_what_ended_in_it(bench: Bench) -> None:
    """Answers, those given elsewhere, and jobs without an answer; a job its user stopped is neither."""
    now = bench.clock.now() // 60 * 60 + 30
    kinds: list[dict[str, Any]] = [
        {"because": ServedBecause.HOME},
        {"because": ServedBecause.HOME_BUSY},
        {"because": ServedBecause.HOME, "outcome": Outcome.FAILED, "error": "ProviderTimeout"},
        {"because": ServedBecause.HOME, "outcome": Outcome.STOPPED},
        {"because": ServedBecause.RECOVERED, "outcome": Outcome.EXPIRED},
    ]
    for ago in (0, 60, 600, 3599 - 30, 3700):
        for kind in kinds:
            number = len(bench.store.finished)
            bench.store.finished.append(finished(number, bench, ago=bench.clock.now() - now + ago, **kind))
    hour = JobHour(bench.store)
    await hour.refresh(now)
    minutes = hour.minutes(now)
    full = {MINUTES - 1, MINUTES - 2, MINUTES - 11, 0}
    for index, minute in enumerate(minutes):
        wanted = (2, 1, 2) if index in full else (0, 0, 0)
        assert (minute.answered, minute.elsewhere, minute.failed) == wanted, index
    assert hour.because() == {"home": 12, "home_busy": 4, "recovered": 4}
    assert [job.error for job in hour.faults()] == ["", "ProviderTimeout"] * 4
    assert hour.measured() == (4.0, 4.0)


async def test_a_user_counts_once_and_as_long_as_an_hour(bench: Bench) -> None:
    """However many jobs, in whatever order they are read; an hour after the last one the user is gone."""
    start = bench.clock.now()
    for n, (user, home, ago) in enumerate(
        [("4", 1, 1800), ("4", 1, 5), ("8", 1, 1700), ("5", 2, 3000), ("5", 2, 2900)]
    ):
        bench.store.finished.append(finished(n, bench, user=user, ago=ago, home=home))
    hour = JobHour(bench.store)
    await hour.refresh(start)
    assert hour.users_by_home() == {1: 2, 2: 1}
    await hour.refresh(start + 1000)
    assert hour.users_by_home() == {1: 2}
    await hour.refresh(start + 3500)
    assert hour.users_by_home() == {1: 1}
    await hour.refresh(start + 8000)
    assert hour.users_by_home() == {} and hour.because() == {} and hour.faults() == []


async def test_only_what_is_new_is_read(bench: Bench) -> None:
    """After the first time a look costs what came since, with a few seconds twice, and counts nothing twice."""
    now = bench.clock.now()
    bench.store.finished = [finished(n, bench, ago=n / 2) for n in range(1200)]
    hour = JobHour(bench.store)
    await hour.refresh(now)
    assert sum(ids(bench)) == pytest.approx(1200, abs=5)
    ids(bench).clear()
    bench.store.finished.append(finished(5000, bench, ago=OVERLAP_S - 1))  # its commit took a while
    await hour.refresh(now)
    assert sum(ids(bench)) <= 2 * OVERLAP_S + 2
    assert sum(hour.because().values()) == 1201


async def test_many_jobs_that_ended_at_one_moment(bench: Bench) -> None:
    """More of them than a page has are all counted, or the reading ends all the same."""
    now = bench.clock.now()
    bench.store.finished = [finished(n, bench, ago=100) for n in range(PAGE - 1)]
    bench.store.finished += [finished(PAGE + n, bench, ago=101) for n in range(10)]
    hour = JobHour(bench.store)
    await hour.refresh(now)
    assert sum(hour.because().values()) == PAGE + 9
    bench.store.finished += [finished(5000 + n, bench, ago=1) for n in range(2 * PAGE)]
    await JobHour(bench.store).refresh(now)
    assert len(ids(bench)) < 10


async def test_an_hour_with_too_many_jobs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are counted, and it is told since when."""
    monkeypatch.setattr(hour_module, "MOST_PAGES", 3)
    now = bench.clock.now()
    bench.store.finished = [finished(n, bench, ago=n) for n in range(3000)]
    hour = JobHour(bench.store)
    await hour.refresh(now)
    assert 3 * PAGE - 3 <= sum(hour.because().values()) <= 3 * PAGE
    assert hour.whole_since == pytest.approx(now - 3 * PAGE, abs=5)
    hour.forget()
    bench.store.finished = bench.store.finished[:100]
    await hour.refresh(now)
    assert hour.whole_since < now - 3600


async def test_what_is_kept_is_bounded(bench: Bench) -> None:
    """The faults that are listed have a bound, and nothing of an hour that is over stays."""
    now = bench.clock.now()
    bench.store.finished = [
        finished(n, bench, ago=n % 3000, user=str(n), outcome=Outcome.FAILED, error="ProviderTimeout")
        for n in range(900)
    ]
    hour = JobHour(bench.store)
    await hour.refresh(now)
    faults = hour.faults()
    assert len(faults) == MOST_FAULTS
    assert [job.finished_at for job in faults] == sorted((job.finished_at for job in faults), reverse=True)
    assert faults[0].finished_at == now
    bench.store.finished = []
    await hour.refresh(now + 8000)
    assert (hour._minutes, hour._last_minute, hour._seen) == ({}, {}, {})


async def test_whatever_comes_the_counts_are_those_of_the_store(bench: Bench) -> None:
    """Random traffic and random looks: at each look every figure is what one would count in the store's history."""
    rng = random.Random(20_261_123)
    store, now = bench.store, bench.clock.now()
    hour = JobHour(store)
    for number in range(1500):
        now += rng.choice((0, 0.2, 3, 40))
        ended = now - rng.random() * (OVERLAP_S - 1)
        user = rng.randrange(12)
        outcome = rng.choice((Outcome.ANSWERED, Outcome.ANSWERED, Outcome.FAILED))
        ago = bench.clock.now() - ended
        store.finished.append(finished(number, bench, ago=ago, user=str(user), home=user % 4 + 1, outcome=outcome))
        await hour.refresh(now)
        if number % 50:
            continue
        lines = [line for line in store.finished if line.finished_at // 60 >= first_minute(now)]
        assert sum(minute.answered for minute in hour.minutes(now)) == sum(
            line.outcome is Outcome.ANSWERED for line in lines
        )
        users = {(line.home, line.user_id) for line in lines}
        assert hour.users_by_home() == {
            home: sum(one == home for one, _ in users) for home in {home for home, _ in users}
        }


async def test_the_calls_of_each_key(bench: Bench) -> None:
    """By the minute, oldest first; a key that was not used has none; what is read again is not counted twice."""
    calls, now = MemoryCalls(), bench.clock.now() // 60 * 60 + 10.0
    for at in (now - 3500, now - 61, now - 60, now):
        await calls.record(key_name(1, OPENAI), day="", at=at)
    await calls.record(key_name(2, MINIMAX), day="", at=now - 4000)
    hour = CallHour(calls, 2)
    for later in (0, CALLS_EVERY_S):
        await hour.refresh(now + later)
        counts = hour.counts(1, OPENAI, now)
        assert {index: count for index, count in enumerate(counts) if count} == {0: 1, 58: 2, 59: 1}
    assert len(counts) == MINUTES and hour.counts(2, MINIMAX, now) == ()
    await calls.record(key_name(1, OPENAI), day="", at=now - 60)
    await hour.refresh(now + CALLS_EVERY_S + 1)
    assert sum(hour.counts(1, OPENAI, now)) == 4  # looked at a second ago
    await hour.refresh(now + 50)
    shifted = hour.counts(1, OPENAI, now + 50)
    assert {index: count for index, count in enumerate(shifted) if count} == {57: 3, 58: 1}
