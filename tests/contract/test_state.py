"""What every cluster, counter and call log promises (app/balancing/state.py), seen by two instances at once."""

from __future__ import annotations

import asyncio

import pytest

from app.balancing.budget import KeySnapshot, KeyState
from app.balancing.redis_state import RedisCallLog, RedisCluster, RedisCounters
from app.balancing.sqlite_state import SqliteCallLog, SqliteCluster, SqliteCounters
from app.balancing.state import CallLog, Cluster, Counters, InstanceSnapshot
from app.errors import StoreUnavailable
from app.jobs.redis_engine import RedisEngine
from tests.contract.engines import Engine, engines

__all__ = ["engines"]

NOW = 1_800_000_000.0
TODAY, YESTERDAY = "2027-01-15", "2027-01-14"


def cluster_on(engine: Engine) -> Cluster:
    return RedisCluster(engine) if isinstance(engine, RedisEngine) else SqliteCluster(engine)


def counters_on(engine: Engine) -> Counters:
    return RedisCounters(engine) if isinstance(engine, RedisEngine) else SqliteCounters(engine)


def log_on(engine: Engine) -> CallLog:
    return RedisCallLog(engine) if isinstance(engine, RedisEngine) else SqliteCallLog(engine)


@pytest.fixture
def clusters(engines: tuple[Engine, Engine]) -> tuple[Cluster, Cluster]:
    return cluster_on(engines[0]), cluster_on(engines[1])


@pytest.fixture
def counters(engines: tuple[Engine, Engine]) -> tuple[Counters, Counters]:
    return counters_on(engines[0]), counters_on(engines[1])


@pytest.fixture
def logs(engines: tuple[Engine, Engine]) -> tuple[CallLog, CallLog]:
    return log_on(engines[0]), log_on(engines[1])


class TestCluster:
    async def test_a_sign_of_life_is_seen_by_all_as_it_was_given(self, clusters: tuple[Cluster, Cluster]) -> None:
        """Every field arrives, keys and their budgets included."""
        key = KeySnapshot(KeyState.COOLING, minute_limit=10, minute_used=3, day_limit=5, day_used=5, rest_s=1.5)
        given = InstanceSnapshot(
            3, pid=42, address="10.0.0.3:8000", version="1", started_at=NOW, running=2, slots=10, draining=True,
            keys={"openai": key, "minimax": KeySnapshot()},
        )  # fmt: skip
        await clusters[0].beat(given, now=NOW)
        (beat,) = await clusters[1].heartbeats()
        assert (beat.beat_at, beat.snapshot) == (NOW, given)

    async def test_the_last_sign_replaces_the_one_before(self, clusters: tuple[Cluster, Cluster]) -> None:
        """One entry for each instance, the newest."""
        for second in range(3):
            await asyncio.gather(
                *(clusters[n % 2].beat(InstanceSnapshot(n, running=second), now=NOW + second) for n in (1, 2))
            )
        beats = await clusters[0].heartbeats()
        assert [(b.snapshot.instance, b.snapshot.running, b.beat_at) for b in beats] == [
            (1, 2, NOW + 2),
            (2, 2, NOW + 2),
        ]

    async def test_who_leaves_is_forgotten(self, clusters: tuple[Cluster, Cluster]) -> None:
        """Only that one; leaving twice, or without having come, is no fault."""
        await clusters[0].beat(InstanceSnapshot(1), now=NOW)
        await clusters[1].beat(InstanceSnapshot(2), now=NOW)
        for instance in (1, 1, 7):
            await clusters[1].leave(instance)
        assert [beat.snapshot.instance for beat in await clusters[0].heartbeats()] == [2]


class TestCounters:
    async def test_all_additions_count(self, counters: tuple[Counters, Counters]) -> None:
        """Of two instances adding at once no addition is lost, and each hears a different new value."""
        values = await asyncio.gather(*(counters[n % 2].add(TODAY, "calls") for n in range(100)))
        assert sorted(values) == list(range(1, 101))
        assert await counters[1].values(TODAY) == {"calls": 100}

    async def test_days_and_names_are_apart(self, counters: tuple[Counters, Counters]) -> None:
        """What is counted under one day and name changes no other."""
        await counters[0].add(TODAY, "a", 5)
        await counters[0].add(TODAY, "b")
        await counters[1].add(YESTERDAY, "a", 2)
        assert await counters[1].values(TODAY) == {"a": 5, "b": 1}
        assert await counters[0].values(YESTERDAY) == {"a": 2}
        assert await counters[0].values("2020-01-01") == {}

    async def test_old_days_are_forgotten(self, counters: tuple[Counters, Counters]) -> None:
        """Those before the day named, and no other."""
        await counters[0].add(TODAY, "a")
        await counters[0].add(YESTERDAY, "a")
        await counters[1].forget(before_day=TODAY)
        assert (await counters[0].values(YESTERDAY), await counters[0].values(TODAY)) == ({}, {"a": 1})


class TestCallLog:
    async def test_calls_are_seen_by_the_next_life(self, logs: tuple[CallLog, CallLog]) -> None:
        """Starts within the window in order, and the day's count, for that key only."""
        counts = [await logs[0].record("1:openai", day=TODAY, at=NOW + n) for n in range(5)]
        await logs[1].record("2:openai", day=TODAY, at=NOW)
        assert counts == [1, 2, 3, 4, 5]
        assert await logs[1].since("1:openai", NOW + 2) == [NOW + 3, NOW + 4]
        assert await logs[1].of_day("1:openai", TODAY) == 5
        assert await logs[1].of_day("1:openai", YESTERDAY) == 0

    async def test_no_call_is_lost_between_two(self, logs: tuple[CallLog, CallLog]) -> None:
        """Two lives of one instance recording at once count every call."""
        counts = await asyncio.gather(*(logs[n % 2].record("1:minimax", day=TODAY, at=NOW) for n in range(60)))
        assert sorted(counts) == list(range(1, 61))

    async def test_calls_are_counted_by_the_minute(self, logs: tuple[CallLog, CallLog]) -> None:
        """Those of whole minutes, both ends' included, for each key that was asked for; without a call, no minute."""
        minute = NOW // 60 * 60
        for at in (minute - 0.01, minute, minute + 59.99, minute + 60, minute + 120, minute + 180):
            await logs[0].record("1:openai", day=TODAY, at=at)
        await logs[1].record("2:openai", day=TODAY, at=minute + 61)
        found = await logs[1].by_minute(["1:openai", "2:openai", "3:openai"], since=minute + 30, until=minute + 150)
        first = int(minute // 60)
        assert {key: dict(counts) for key, counts in found.items()} == {
            "1:openai": {first: 2, first + 1: 1, first + 2: 1}, "2:openai": {first + 1: 1}, "3:openai": {},
        }  # fmt: skip

    async def test_more_old_starts_than_one_write_drops(self, logs: tuple[CallLog, CallLog]) -> None:
        """All of them go, whosever they are; the young ones stay."""
        await asyncio.gather(*(logs[0].record(f"{n % 3}:openai", day=TODAY, at=NOW - n) for n in range(1, 2101)))
        for n in range(3):
            await logs[0].record(f"{n}:openai", day=TODAY, at=NOW)
        await logs[1].forget(before=NOW)
        assert [await logs[0].since(f"{n}:openai", 0) for n in range(3)] == [[NOW]] * 3

    async def test_old_starts_are_forgotten_but_not_the_day(self, logs: tuple[CallLog, CallLog]) -> None:
        """The window's starts go; what was used of the day stays."""
        for second in range(4):
            await logs[0].record("1:openai", day=TODAY, at=NOW + second)
        await logs[1].forget(before=NOW + 2)
        assert await logs[0].since("1:openai", 0) == [NOW + 2, NOW + 3]
        assert await logs[0].of_day("1:openai", TODAY) == 4


async def test_a_closed_store_says_that_it_can_not_serve(engines: tuple[Engine, Engine]) -> None:
    """`StoreUnavailable`, not an error of the library underneath."""
    await engines[0].close()
    for attempt in (
        cluster_on(engines[0]).heartbeats(),
        cluster_on(engines[0]).beat(InstanceSnapshot(1), now=NOW),
        counters_on(engines[0]).add(TODAY, "a"),
        log_on(engines[0]).since("1:openai", 0),
    ):
        with pytest.raises(StoreUnavailable):
            await attempt
