"""The benchmark of growth: what is measured, with which stores, and what it reports."""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.jobs.schema import MIGRATIONS, OLDEST_COMPATIBLE
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_engine import SqliteEngine
from bench.growth import report
from bench.growth.cells import ON_REDIS, REDIS, SQLITE, STEPS, Axis, Cell, cells
from bench.growth.run import Seen, together
from bench.growth.stores import RedisServer, SqliteFile, Store
from bench.interactions import FIRST_ID, ID_STEP, Signer, presigned, user_of
from bench.load import Run
from tests.redis_kit import require_redis

GOOD = Seen(
    acks=100, acks_per_second=1000.0, p50_ms=5.0, p99_ms=9.0, cpu_us=200.0, load_busy=0.3, errors=0, first_error="",
    lost=0, store_mib=7.0,
)  # fmt: skip


@pytest.fixture(params=[SQLITE, REDIS])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Either store, empty."""
    if request.param == REDIS:
        require_redis()
    with contextlib.closing(SqliteFile(tmp_path) if request.param == SQLITE else RedisServer(tmp_path)) as made:
        yield made


def test_every_axis_is_measured_in_series_and_the_store_matters_where_it_does() -> None:
    """All axes on SQLite, two on Redis; each series begins with its smallest size."""
    series = cells(list(Axis), [SQLITE, REDIS], quick=False)
    assert [some[0].axis for some in series] == [*Axis, *ON_REDIS]
    for some in series:
        assert [cell.size for cell in some] == sorted(STEPS[some[0].axis])


def test_a_filled_store_is_what_was_asked_for_and_is_emptied_of_a_run_only(store: Store) -> None:
    """What a run put is missed once it is cleared; what was filled in stays, and can be leased."""
    store.fill(500, 3)
    size = store.mib()
    run_ids = [str(FIRST_ID + number * ID_STEP) for number in range(3)]
    assert store.lost(run_ids) == 3
    assert store.lease_ms() > 0
    store.clear(run_ids)
    assert store.lost(run_ids) == 3
    assert store.mib() >= size * 0.9


def test_the_file_holds_finished_jobs_of_the_last_day_and_those_that_wait(tmp_path: Path) -> None:
    """Finished ones are within the history of a day, so that no instance forgets them; nobody's waiting job is late."""
    store = SqliteFile(tmp_path)
    store.fill(500, 7)

    async def look() -> tuple[int, int]:
        engine = SqliteEngine(tmp_path / "quartet.db", MIGRATIONS, OLDEST_COMPATIBLE)
        await engine.open()
        try:
            jobs = SqliteJobStore(engine)
            return len(await jobs.history(limit=1000)), (await jobs.counts()).total_waiting
        finally:
            await engine.close()

    assert asyncio.run(look()) == (500, 7)


def test_bodies_have_the_size_asked_for() -> None:
    """From a short one in a thread to the largest that is likely; smaller than possible is refused."""
    for size in (1024, 2048, 8192, 16384):
        tail = presigned(Signer.make(), 1, size=size).tails[0]
        assert len(tail.partition(b"\r\n\r\n")[2]) == size
    with pytest.raises(ValueError, match="at least"):
        presigned(Signer.make(), 1, size=100)


def test_users_are_as_many_as_asked_for() -> None:
    """Each comes in turn."""
    assert len({user_of(number, 10) for number in range(1000)}) == 10
    assert len({user_of(number, 100_000) for number in range(1000)}) == 1000


def test_runs_at_the_same_time_count_as_one() -> None:
    """Acks add up; time does not."""
    one = Run(array("l", [1]), array("d", [0.1]), 0, "", 2.0, 0.5)
    other = Run(array("l", [2, 3]), array("d", [0.2, 0.3]), 1, "500", 2.5, 0.5)
    both = together([one, other])
    assert list(both.acked) == [1, 2, 3]
    assert (both.errors, both.first_error, both.elapsed_s, both.cpu_s) == (1, "500", 2.5, 0.5)


def test_the_table_shows_each_size_and_faults_are_named() -> None:
    """A lost job makes the figures worthless."""
    cell, larger = Cell(Axis.KEPT, 0), Cell(Axis.KEPT, 10_000)
    results = {cell: [GOOD, GOOD], larger: [GOOD, replace(GOOD, lost=2)]}
    text = report.table(results, {cell: [1.0, 3.0], larger: [2.0]})
    assert "| 10,000 | 1,000 (1,000–1,000) | 9.0 (9.0–9.0) | 200 (200–200) | 7 | 2.0 (2.0–2.0) |" in text
    (fault,) = report.faults(results)
    assert "round 2, SQLite: 10,000 finished jobs kept: 2 acked interactions are not in the store" in fault
