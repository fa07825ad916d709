"""What every job store promises (app/jobs/store.py), whatever lies underneath.

`two` are two stores on the same data, as two instances' processes would have them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import LeaseLost, StoreUnavailable
from app.jobs.job import Finish, Job, LeaseRequest, NewJob, Outcome, Repeat, ServedBecause
from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.store import JobStore, PutLimits, PutResult

NOW = 1_800_000_000.0
LEASE_S = 20.0
KINDS = {"chat": 100, "image": 100, "video": 100}


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[JobStore, JobStore]]:
    """Two stores on one file."""
    engines = [SqliteEngine(tmp_path / "jobs.db", MIGRATIONS) for _ in range(2)]
    for engine in engines:
        await engine.open()
    yield SqliteJobStore(engines[0]), SqliteJobStore(engines[1])
    for engine in engines:
        await engine.close()


@pytest.fixture
def store(two: tuple[JobStore, JobStore]) -> JobStore:
    """The first of the two."""
    return two[0]


def new(job_id: str = "1", *, home: int = 1, kind: str = "chat", user: str = "5", at: float = NOW) -> NewJob:
    """Return a job to be put."""
    return NewJob(job_id, kind, user, home, at, at + 885, b'{"id":"' + job_id.encode() + b'"}')


def request(owner: int = 1, limit: int = 10, now: float = NOW, **fields: object) -> LeaseRequest:
    """Return a lease request for every kind."""
    return LeaseRequest(owner=owner, limit=limit, now=now, lease_s=LEASE_S, kinds=KINDS, **fields)  # type: ignore[arg-type]


async def leased(store: JobStore, job_id: str = "1", owner: int = 1) -> Job:
    """Put a job and lease it."""
    await store.put(new(job_id, home=owner))
    (job,) = await store.lease(request(owner))
    return job


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

    async def test_released_to_others_is_not_given_back_at_once(self, two: tuple[JobStore, JobStore]) -> None:
        """For a while a job that came back for want of a key goes to others only; then its home may try again."""
        job = await leased(two[0])
        await two[0].release(job, counted=False, avoid_until=NOW + 3)
        assert await two[0].lease(request(1, now=NOW + 1)) == []
        (elsewhere,) = await two[1].lease(request(2, now=NOW + 1, steal_after_s=0))
        await two[1].release(elsewhere, counted=False, avoid_until=NOW + 1)
        assert len(await two[0].lease(request(1, now=NOW + 5))) == 1


class TestLease:
    async def test_gives_a_job_to_one_only(self, two: tuple[JobStore, JobStore]) -> None:
        """Two instances that lease at the same time never get the same job."""
        await asyncio.gather(*(two[0].put(new(str(n))) for n in range(40)))
        later = NOW + 10
        taken = await asyncio.gather(
            *(two[n % 2].lease(request(n % 2 + 1, limit=5, now=later, held=("none",))) for n in range(2))
        )
        ids = [job.id for jobs in taken for job in jobs]
        assert len(ids) == len(set(ids)) == 10

    async def test_takes_the_oldest_of_its_home_first(self, store: JobStore) -> None:
        """Jobs come in the order they were accepted, the own home's before others'."""
        for job_id, home in (("a", 2), ("b", 1), ("c", 1)):
            await store.put(new(job_id, home=home))
        jobs = await store.lease(request(1, now=NOW + 10))
        assert [job.id for job in jobs] == ["b", "c", "a"]
        assert jobs[2].because is ServedBecause.HOME_BUSY

    async def test_leaves_a_live_home_its_jobs_for_a_while(self, store: JobStore) -> None:
        """Another home's job is taken only after it waited `steal_after_s`; a dead home's at once."""
        await store.put(new(home=2))
        assert await store.lease(request(1, now=NOW + 1, steal_after_s=2)) == []
        (job,) = await store.lease(request(1, now=NOW + 1, steal_after_s=2, dead=(2,)))
        assert job.because is ServedBecause.HOME_DOWN

    async def test_takes_sooner_what_a_home_is_known_not_to_serve(self, store: JobStore) -> None:
        """A full home's jobs, and those its keys can't serve, are taken after the shorter wait, and it is said why."""
        for job_id, home, kind in (("full", 2, "chat"), ("spent", 3, "image"), ("fine", 3, "chat")):
            await store.put(new(job_id, home=home, kind=kind))
        soon = request(1, now=NOW + 0.5, steal_known_s=0.25, full=(2,), spent=((3, "image"),))
        assert {(job.id, job.because) for job in await store.lease(soon)} == {
            ("full", ServedBecause.HOME_BUSY),
            ("spent", ServedBecause.HOME_SPENT),
        }

    async def test_lets_users_take_turns(self, store: JobStore) -> None:
        """One user's flood does not delay the others: everybody's first job goes before anybody's second."""
        for n in range(6):
            await store.put(new(f"flood-{n}", user="1"))
        for user in ("2", "3"):
            await store.put(new(f"single-{user}", user=user))
        first = await store.lease(request(limit=3))
        assert [job.id for job in first] == ["flood-0", "single-2", "single-3"]
        await store.put(new("late", user="4"))
        held = tuple(job.id for job in first)
        second = await store.lease(request(limit=2, held=held))
        assert [job.id for job in second] == ["late", "flood-1"]

    async def test_bounds_what_one_user_runs(self, two: tuple[JobStore, JobStore]) -> None:
        """No user runs more than the limit at once, over all instances; the rest waits until one has ended."""
        for n in range(4):
            await two[0].put(new(str(n), user="1", home=n % 2 + 1))
        first = await two[0].lease(request(1, user_limit=2, now=NOW + 5))
        assert len(first) == 2
        assert await two[1].lease(request(2, user_limit=2, now=NOW + 5)) == []
        await two[0].finish(first[0], Finish(Outcome.ANSWERED, NOW + 6))
        assert len(await two[1].lease(request(2, user_limit=2, now=NOW + 6))) == 1

    async def test_takes_only_what_it_can_serve(self, store: JobStore) -> None:
        """Kinds without budget stay in the queue, and no more of a kind is taken than there is budget for."""
        await store.put(new("1", kind="chat"))
        await store.put(new("2", kind="image"))
        await store.put(new("3", kind="image"))
        jobs = await store.lease(replace(request(), kinds={"chat": 0, "image": 1}))
        assert [job.id for job in jobs] == ["2"]

    async def test_ends_when_it_runs_out(self, store: JobStore) -> None:
        """A job whose lease was not renewed goes to somebody else, with a larger fencing number, counted again."""
        first = await leased(store)
        assert await store.lease(request(2, now=NOW + LEASE_S - 1)) == []
        (second,) = await store.lease(request(2, now=NOW + LEASE_S + 1))
        assert second.fence > first.fence
        assert (second.attempts, second.because) == (2, ServedBecause.RECOVERED)

    async def test_lasts_while_it_is_renewed(self, store: JobStore) -> None:
        """Renewal moves the end; what is no longer held is named."""
        job = await leased(store)
        assert list(await store.renew(1, {job.id: job.fence}, until=NOW + 60)) == []
        assert await store.lease(request(2, now=NOW + LEASE_S + 1)) == []
        assert list(await store.renew(1, {job.id: job.fence - 1, "unknown": 1}, until=NOW + 60)) == [job.id, "unknown"]

    async def test_gives_suspects_one_at_a_time(self, store: JobStore) -> None:
        """Symptom: beside a job that killed its process three times, innocent ones ended with an apology too. Cause:
        all of them were leased together again and counted together. Rule: of jobs that were in two crashes an instance
        is given one at a time, and fresh ones as ever.
        """
        for n in range(3):
            await store.put(new(f"old-{n}"))
        for crash in range(2):
            assert len(await store.lease(request(now=NOW + crash * 60))) == 3
        await store.put(new("fresh"))
        later = NOW + 200
        first = await store.lease(request(now=later))
        assert [job.id for job in first] == ["old-0", "fresh"]
        held = tuple(job.id for job in first)
        assert await store.lease(request(now=later, held=held, suspects=1)) == []
        await store.finish(first[0], Finish(Outcome.ANSWERED, later))
        (second,) = await store.lease(request(now=later, held=held))
        assert second.id == "old-1"

    async def test_of_a_dead_instance_is_taken_at_once(self, store: JobStore) -> None:
        """An instance known to be dead does not keep its jobs until their leases run out."""
        await leased(store)
        (job,) = await store.lease(request(2, now=NOW + 3, dead=(1,)))
        assert job.because is ServedBecause.RECOVERED

    async def test_of_an_earlier_life_is_taken_at_once(self, store: JobStore) -> None:
        """A restarted instance takes what its earlier life ran; what it runs itself it leaves alone."""
        job = await leased(store)
        assert await store.lease(request(1, held=(job.id,))) == []
        (again,) = await store.lease(request(1))
        assert again.fence > job.fence

    async def test_of_an_earlier_life_is_taken_by_others_too(self, store: JobStore) -> None:
        """What an instance was leased before its present life began is nobody's; its later leases are its own."""
        await leased(store, "before")
        assert await store.lease(request(2, now=NOW + 1, lives={1: NOW - 5})) == []
        (job,) = await store.lease(request(2, now=NOW + 1, lives={1: NOW + 0.5}))
        assert (job.id, job.because) == ("before", ServedBecause.RECOVERED)

    async def test_fencing_keeps_the_old_holder_out(self, store: JobStore) -> None:
        """With an old fencing number nothing can be changed any more."""
        old = await leased(store)
        (current,) = await store.lease(request(2, now=NOW + LEASE_S + 1))
        for change in (
            store.checkpoint(old, {"step": "late"}),
            store.keep(old, b"late"),
            store.release(old, counted=False),
            store.finish(old, Finish(Outcome.FAILED, NOW)),
        ):
            with pytest.raises(LeaseLost):
                await change
        await store.finish(current, Finish(Outcome.ANSWERED, NOW + 30, "openai"))

    async def test_one_job_can_be_leased_by_name(self, store: JobStore) -> None:
        """A job nobody serves can be leased by its id; one that is served can't, until its lease runs out."""
        await store.put(new())
        job = await store.lease_one("1", owner=2, now=NOW, lease_s=LEASE_S)
        assert job is not None and job.fence == 1
        assert await store.lease_one("1", owner=3, now=NOW, lease_s=LEASE_S) is None
        assert await store.lease_one("1", owner=3, now=NOW + LEASE_S + 1, lease_s=LEASE_S) is not None
        assert await store.lease_one("unknown", owner=3, now=NOW, lease_s=LEASE_S) is None


class TestRelease:
    async def test_uncounted_takes_the_attempt_back(self, store: JobStore) -> None:
        """A job handed back in good order is leased again as if for the first time, but fenced."""
        job = await leased(store)
        await store.release(job, counted=False)
        (again,) = await store.lease(request())
        assert (again.attempts, again.fence) == (1, 2)

    async def test_counted_keeps_it(self, store: JobStore) -> None:
        """A counted release counts."""
        job = await leased(store)
        await store.release(job, counted=True)
        (again,) = await store.lease(request())
        assert again.attempts == 2


class TestCheckpoint:
    async def test_is_there_for_the_next_run(self, store: JobStore) -> None:
        """The next holder sees the facts and the kept result."""
        job = await leased(store)
        await store.checkpoint(job, {"step": "submitted", "task_id": "작업-1"})
        await store.keep(job, b"\x00result")
        (again,) = await store.lease(request(2, now=NOW + 60))
        assert again.checkpoint == {"step": "submitted", "task_id": "작업-1"}
        assert again.result == b"\x00result"

    async def test_can_pin_a_job_to_its_owner(self, store: JobStore) -> None:
        """A pinned job is leased by no other instance, however dead its owner; its owner gets it back."""
        job = await leased(store)
        await store.checkpoint(job, {"task_id": "1"}, pin=True)
        assert await store.lease(request(2, now=NOW + 600, dead=(1,))) == []
        (back,) = await store.lease(request(1, now=NOW + 600))
        await store.release(back, counted=False)
        assert await store.lease(request(2, now=NOW + 600, dead=(1,))) == []
        assert len(await store.lease(request(1, now=NOW + 600))) == 1

    async def test_a_pinned_job_can_still_be_ended_by_others(self, store: JobStore) -> None:
        """Somebody has to tell its user if the owner never comes back."""
        job = await leased(store)
        await store.checkpoint(job, {"task_id": "1"}, pin=True)
        late = NOW + 860
        assert [one.id for one in await store.unserved(now=late)] == [job.id]
        taken = await store.lease_one(job.id, owner=2, now=late, lease_s=LEASE_S)
        assert taken is not None
        await store.finish(taken, Finish(Outcome.EXPIRED, late))


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

    async def test_is_forgotten_in_the_end(self, store: JobStore) -> None:
        """Old finished jobs are dropped, open and newer ones are not."""
        job = await leased(store)
        await store.put(new("2"))
        await store.finish(job, Finish(Outcome.ANSWERED, NOW))
        assert await store.forget(finished_before=NOW - 1) == 0
        assert await store.forget(finished_before=NOW + 1) == 1
        assert (await store.counts()).total_waiting == 1


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


async def test_a_store_that_is_closed_says_so(tmp_path: Path) -> None:
    """Using a closed store raises `StoreUnavailable` instead of waiting for ever."""
    engine = SqliteEngine(tmp_path / "closed.db", MIGRATIONS)
    await engine.open()
    await engine.close()
    with pytest.raises(StoreUnavailable):
        await SqliteJobStore(engine).put(new())


class TestStopAndRepeat:
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

    async def test_stop_running(self, two: tuple[JobStore, JobStore]) -> None:
        """Who asked, or a moderator, stops a running job from any instance; only its owner is told to."""
        for name in ("1", "2", "3"):
            await two[0].put(new(name))
        jobs = await two[0].lease(request())
        assert not await two[1].stop("1", user_id="6")
        assert await two[1].stop("1", user_id="5")
        assert await two[1].stop("2", user_id=None)
        assert set(await two[0].stops(1)) == {"1", "2"}
        assert set(await two[1].stops(2)) == set()
        await two[0].finish(jobs[0], Finish(Outcome.ANSWERED, NOW))
        assert set(await two[0].stops(1)) == {"2"}
        assert not await two[1].stop("1", user_id="5")
        assert not await two[1].stop("unknown", user_id="5")

    async def test_stop_waiting(self, two: tuple[JobStore, JobStore]) -> None:
        """A waiting job that is to be stopped says so with its next lease, which needs no budget."""
        await two[0].put(new("1"))
        await two[0].put(new("2"))
        assert await two[0].stop("2", user_id="5")
        nothing = replace(request(), kinds={"chat": 0})
        (job,) = await two[0].lease(nothing)
        assert (job.id, job.stop) == ("2", True)
        assert await two[0].lease(replace(nothing, held=["2"])) == []
        (other,) = await two[0].lease(replace(request(), held=["2"]))
        assert (other.id, other.stop) == ("1", False)

    async def test_parts_and_end(self, store: JobStore) -> None:
        """What was recorded of an answer's parts, and a moved end, are there for the next lease; an old lease fails."""
        job = await leased(store)
        parts = [{"n": 1, "state": "sent", "id": "77"}, {"n": 2, "state": "sending"}]
        await store.record_parts(job, parts)
        await store.extend(job, NOW + 5000)
        await store.release(job, counted=False)
        (again,) = await store.lease(request())
        assert (list(again.parts), again.expires_at) == (parts, NOW + 5000)
        await store.finish(again, Finish(Outcome.ANSWERED, NOW))
        assert list(await store.parts(again.id)) == parts
        assert list(await store.parts("unknown")) == []
        for write in (store.record_parts(job, []), store.extend(job, NOW)):
            with pytest.raises(LeaseLost):
                await write
