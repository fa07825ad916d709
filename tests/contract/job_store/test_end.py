"""How jobs end, what is left of them, and what is told of those that have not ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.errors import LeaseLost
from app.jobs.job import Finish, Outcome, Repeat
from app.jobs.store import JobStore, PutResult
from tests.contract.job_store.kit import NOW, leased, new, request


class TestFinish:
    async def test_is_for_good(self, store: JobStore) -> None:
        """A finished job is not leased, put or finished again, and stands in the history."""
        job = await leased(store)
        await store.finish(job, Finish(Outcome.ANSWERED, NOW + 5, "openai"))
        assert await store.lease(request(1, now=NOW + 600)) == []
        assert await store.put(new()) is PutResult.DUPLICATE
        with pytest.raises(LeaseLost):
            await store.finish(job, Finish(Outcome.FAILED, NOW + 6))
        (line,) = await store.history(user_id="5")
        assert (line.served_by, line.outcome, line.provider) == (1, Outcome.ANSWERED, "openai")
        assert (line.started_at, line.finished_at) == (NOW, NOW + 5)

    async def test_history_is_newest_first_and_by_user(self, store: JobStore) -> None:
        """History is of one user or of all, newest first, within the limit."""
        for n in range(4):
            await store.put(new(str(n), user=str(n % 2)))
        for n, job in enumerate(await store.lease(request())):
            await store.finish(job, Finish(Outcome.ANSWERED, NOW + n))
        assert [line.id for line in await store.history(user_id="1")] == ["3", "1"]
        assert [line.id for line in await store.history(limit=3)] == ["3", "2", "1"]
        assert [line.id for line in await store.history(since=NOW + 3)] == ["3"]
        assert [line.id for line in await store.history(since=NOW + 2, until=NOW + 3)] == ["2"]

    async def test_is_forgotten_in_the_end(self, store: JobStore) -> None:
        """Old finished jobs are dropped, open and newer ones are not."""
        job = await leased(store)
        await store.put(new("2"))
        await store.finish(job, Finish(Outcome.ANSWERED, NOW))
        assert await store.forget(finished_before=NOW - 1) == 0
        assert await store.forget(finished_before=NOW + 1) == 1
        assert (await store.counts()).total_waiting == 1


class TestRepeat:
    async def test_keeps_of_the_payload_what_it_is_told_to(self, store: JobStore) -> None:
        """A finished job may be kept shorter; without a word about it, it is kept as it was."""
        for job_id, body in (("short", b'{"short":1}'), ("whole", None)):
            job = await leased(store, job_id)
            await store.finish(job, Finish(Outcome.ANSWERED, NOW, repeat=Repeat.ALWAYS, body=body))
            found = await store.repeatable(job_id, user_id="5")
            assert found is not None and found.payload == (body or job.payload)
        gone = await leased(store, "gone")
        await store.finish(gone, Finish(Outcome.ANSWERED, NOW, body=b"{}"))
        assert await store.repeatable("gone", user_id="5") is None

    async def test_repeats_a_job_once(self, two: tuple[JobStore, JobStore]) -> None:
        """A job that ended repeatable can be done again by its user, once, whoever is asked at the same time."""
        job = await leased(two[0], "first")
        await two[0].finish(job, Finish(Outcome.FAILED, NOW, repeat=Repeat.ONCE))
        assert await two[1].repeatable("first", user_id="6") is None
        found = await two[1].repeatable("first", user_id="5")
        assert found is not None and (found.kind, found.payload) == ("chat", job.payload)
        again = [replace(new(str(n)), repeats="first") for n in range(4)]
        results = await asyncio.gather(*(two[n % 2].put(again[n]) for n in range(4)))
        assert results.count(PutResult.ACCEPTED) == 1
        assert results.count(PutResult.GONE) == 3
        assert await two[0].repeatable("first", user_id="5") is None

    async def test_an_ordinary_end_leaves_nothing_to_repeat(self, store: JobStore) -> None:
        """What a user wrote is forgotten with the end of the job."""
        job = await leased(store)
        await store.finish(job, Finish(Outcome.ANSWERED, NOW))
        assert await store.repeatable("1", user_id="5") is None

    async def test_repeat_always(self, two: tuple[JobStore, JobStore]) -> None:
        """A job that may always be repeated is, any number of times, until its user's payloads are forgotten."""
        await two[0].finish(await leased(two[0], "first"), Finish(Outcome.ANSWERED, NOW, repeat=Repeat.ALWAYS))
        for again in ("2", "3"):
            assert await two[1].put(replace(new(again), repeats="first")) is PutResult.ACCEPTED
        assert await two[1].put(replace(new("4", user="6"), repeats="first")) is PutResult.GONE
        assert await two[1].forget_payloads("6") == 0
        assert await two[1].forget_payloads("5") == 1
        assert await two[0].repeatable("first", user_id="5") is None
        assert await two[0].put(replace(new("5"), repeats="first")) is PutResult.GONE
        assert [job.payload for job in await two[0].lease(request())] == [new(n).payload for n in ("2", "3")]

    async def test_forgotten_while_it_runs(self, two: tuple[JobStore, JobStore]) -> None:
        """What was asked is dropped when the job ends, if its user has had everything forgotten by then."""
        job = await leased(two[0], "first")
        await two[0].put(new("second"))
        await two[0].put(new("other", user="6"))
        assert await two[1].forget_payloads("5") == 0
        jobs = [job, *await two[0].lease(request(held=["first"]))]
        assert {job.id: job.payload for job in jobs} == {n: new(n).payload for n in ("first", "second", "other")}
        for job in jobs:
            await two[0].finish(job, Finish(Outcome.ANSWERED, NOW, repeat=Repeat.ALWAYS))
        assert await two[1].repeatable("first", user_id="5") is None
        assert await two[1].repeatable("second", user_id="5") is None
        assert await two[1].repeatable("other", user_id="6") is not None
        await two[0].put(new("later"))
        (later,) = await two[0].lease(request())
        await two[0].finish(later, Finish(Outcome.ANSWERED, NOW, repeat=Repeat.ALWAYS))
        assert await two[1].repeatable("later", user_id="5") is not None


class TestQueue:
    async def test_counts_by_home(self, store: JobStore) -> None:
        """Waiting and running are counted for each home."""
        for job_id, home in (("1", 1), ("2", 1), ("3", 2)):
            await store.put(new(job_id, home=home))
        await store.lease(request(limit=1))
        counts = await store.counts()
        assert (counts.waiting, counts.running) == ({1: 1, 2: 1}, {1: 1})

    async def test_says_who_waits(self, store: JobStore) -> None:
        """Jobs nobody works on are listed oldest first, by home if asked."""
        for job_id, home in (("1", 1), ("2", 2), ("3", 1)):
            await store.put(new(job_id, home=home))
        assert [job.id for job in await store.unserved(now=NOW)] == ["1", "2", "3"]
        assert [job.id for job in await store.unserved(now=NOW, home=1)] == ["1", "3"]
