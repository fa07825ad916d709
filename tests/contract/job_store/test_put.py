"""What is recorded, what is not, and how it can be taken back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.jobs.job import Finish, Outcome, ServedBecause
from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.store import JobStore, PutLimits, PutResult
from tests.contract.job_store.kit import NOW, new, request


class TestPut:
    async def test_records_once(self, two: tuple[JobStore, JobStore]) -> None:
        """The second put of an id is a duplicate, from whichever instance, and changes nothing."""
        assert await two[0].put(new()) is PutResult.ACCEPTED
        assert await two[1].put(new(home=3)) is PutResult.DUPLICATE
        assert (await two[1].counts()).waiting == {1: 1}

    async def test_concurrent_copies_make_one_job(self, two: tuple[JobStore, JobStore]) -> None:
        """Of many copies put at once through both instances exactly one is accepted for each id."""
        copies = [two[n % 2].put(new(str(n // 10))) for n in range(500)]
        results = await asyncio.gather(*copies)
        assert results.count(PutResult.ACCEPTED) == 50
        assert results.count(PutResult.DUPLICATE) == 450
        assert (await two[0].counts()).total_waiting == 50

    async def test_keeps_the_payload_and_everything_else(self, store: JobStore) -> None:
        """What is leased is what was put."""
        put = new("18446744073709551615", home=4, kind="video", user="18446744073709551614")
        await store.put(put)
        (job,) = await store.lease(request(4))
        assert (job.id, job.kind, job.user_id, job.home) == (put.id, "video", put.user_id, 4)
        assert (job.received_at, job.expires_at, job.payload) == (put.received_at, put.expires_at, put.payload)
        assert (job.attempts, job.because, dict(job.checkpoint), job.result) == (1, ServedBecause.HOME, {}, None)

    async def test_is_bounded(self, store: JobStore) -> None:
        """Beyond the bound a job is refused and not recorded; a duplicate of an accepted one is still a duplicate."""
        results = await asyncio.gather(*(store.put(new(str(n)), PutLimits(max_waiting=3)) for n in range(5)))
        assert results.count(PutResult.ACCEPTED) == 3
        assert results.count(PutResult.FULL) == 2
        assert await store.put(new("0"), PutLimits(max_waiting=3)) is PutResult.DUPLICATE
        await store.lease(request(limit=1))
        assert await store.put(new("9"), PutLimits(max_waiting=3)) is PutResult.ACCEPTED

    async def test_keeps_a_users_quota(self, two: tuple[JobStore, JobStore]) -> None:
        """A user's jobs of the day are counted in every state and over all instances; other users' are not."""
        limits = PutLimits(user_quota=3, day_start=NOW - 100)
        await two[0].put(new("yesterday", at=NOW - 200), limits)
        results = await asyncio.gather(*(two[n % 2].put(new(str(n)), limits) for n in range(6)))
        assert results.count(PutResult.ACCEPTED) == 3
        assert results.count(PutResult.QUOTA) == 3
        for job in await two[0].lease(request(limit=3)):
            await two[0].finish(job, Finish(Outcome.ANSWERED, NOW))
        assert await two[1].put(new("more"), limits) is PutResult.QUOTA
        assert await two[1].put(new("other", user="6"), limits) is PutResult.ACCEPTED
        assert [await two[1].accepted(user, since=NOW - 100) for user in ("5", "6", "7")] == [3, 1, 0]
        assert await two[0].accepted("5", since=NOW - 300) == 4

    async def test_takes_nothing_new_while_closed(self, store: JobStore) -> None:
        """While closed a new job is refused; a copy of an accepted one is a duplicate still."""
        await store.put(new("1"))
        closed = PutLimits(closed=True)
        assert await store.put(new("1"), closed) is PutResult.DUPLICATE
        assert await store.put(new("2"), closed) is PutResult.CLOSED

    async def test_outlives_the_process(self, tmp_path: Path) -> None:
        """A job accepted before the store was closed is there when it is opened again."""
        for expected in (PutResult.ACCEPTED, PutResult.DUPLICATE):
            engine = SqliteEngine(tmp_path / "again.db", MIGRATIONS)
            await engine.open()
            assert await SqliteJobStore(engine).put(new()) is expected
            await engine.close()

    async def test_can_be_withdrawn_until_leased(self, store: JobStore) -> None:
        """A waiting job can be taken back; one that somebody works on can't."""
        waiting, served = replace(new("1"), put_by="a"), replace(new("2"), put_by="a")
        await store.put(waiting)
        assert await store.withdraw(waiting)
        assert (await store.counts()).total_waiting == 0
        await store.put(served)
        await store.lease(request())
        assert not await store.withdraw(served)
        assert await store.withdraw(new("never put"))

    async def test_is_not_withdrawn_once_a_copy_found_it(self, two: tuple[JobStore, JobStore]) -> None:
        """Symptom: an interaction deferred by one instance was lost. Cause: another, which had put a copy of it too
        slowly, took the job back. Rule: what a copy has found may be withdrawn by nobody, and never what another put.
        """
        slow, copy = replace(new("1"), put_by="slow"), replace(new("1"), put_by="copy")
        await two[0].put(slow)
        assert await two[1].put(copy) is PutResult.DUPLICATE
        await two[0].withdraw(slow)
        await two[1].withdraw(copy)
        assert (await two[0].counts()).total_waiting == 1
        together = [replace(new("2"), put_by=name) for name in ("a", "b")]
        await asyncio.gather(*(two[0].put(job) for job in together))
        await asyncio.gather(*(two[0].withdraw(job) for job in together))
        assert (await two[0].counts()).total_waiting == 2


async def test_a_store_that_is_closed_says_so(tmp_path: Path) -> None:
    """Using a closed store raises `StoreUnavailable` instead of waiting for ever."""
    engine = SqliteEngine(tmp_path / "closed.db", MIGRATIONS)
    await engine.open()
    await engine.close()
    with pytest.raises(StoreUnavailable):
        await SqliteJobStore(engine).put(new())
