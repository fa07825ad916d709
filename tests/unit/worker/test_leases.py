"""The book of leases: renewed in time, given up when lost, empty in the end."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import StoreUnavailable
from app.jobs.job import JobState
from app.jobs.store import JobStore
from app.worker.leases import CONFIRM_EVERY_S, SURE_FOR_S
from tests.unit.worker.bench_worker import LEASE_S, Bench, answering


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_leases_are_renewed_long_before_they_run_out(bench: Bench) -> None:
    """At no moment of a long job is less than half of the lease left."""
    bench.clock.auto_advance = False
    await bench.lease()
    renewing = asyncio.create_task(bench.leases.keep_renewing())
    for _ in range(100):
        await bench.clock.advance(1)
        assert bench.store.rows["1"].until - bench.clock.now() >= LEASE_S / 2
    renewing.cancel()


async def test_a_lost_lease_cancels_the_work(bench: Bench) -> None:
    """Only the work on the lost job, and the book forgets it."""
    stolen, kept = await bench.lease("1"), await bench.lease("2")
    tasks = {job.id: asyncio.create_task(asyncio.Event().wait()) for job in (stolen, kept)}
    for job in (stolen, kept):
        bench.leases.work(job, tasks[job.id])  # type: ignore[arg-type]
    bench.store.steal("1")
    assert await bench.leases.renew() == ["1"]
    await asyncio.gather(tasks["1"], return_exceptions=True)
    assert (tasks["1"].cancelled(), tasks["2"].done(), len(bench.leases)) == (True, False, 1)
    tasks["2"].cancel()
    await asyncio.gather(tasks["2"], return_exceptions=True)
    await asyncio.sleep(0)
    assert len(bench.leases) == 0


async def test_the_book_is_empty_after_many_jobs(bench: Bench) -> None:
    """Whether they end, go back or are lost, no job stays in the book."""
    bench.command("chat", answering(seconds=1))
    for number in range(60):
        await bench.store.put(bench.new(str(number)))
    tasks = {}
    for job in await bench.leases.take(bench.request()):
        tasks[job.id] = asyncio.create_task(bench.runner.run(job))
        bench.leases.work(job, tasks[job.id])
    await asyncio.sleep(0)
    assert bench.leases.count("chat") == 60
    for number in range(0, 60, 3):
        bench.store.steal(str(number))
        tasks[str(number + 1)].cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    await asyncio.sleep(0)
    assert (len(bench.leases), bench.leases.count("chat")) == (0, 0)
    states = [bench.store.rows[str(number)].state for number in range(3)]
    assert states == [JobState.RUNNING, JobState.WAITING, JobState.DONE]


async def test_two_ways_of_leasing_never_take_one_job_twice(bench: Bench) -> None:
    """Leasing in bulk and leasing one at the same moment: each job has one lease, and is told or run, not both."""
    for number in range(30):
        await bench.store.put(bench.new(str(number)))
    singly = [asyncio.create_task(bench.leases.take_one(str(number))) for number in range(0, 30, 2)]
    await asyncio.sleep(0)
    taken = await bench.leases.take(bench.request())
    ones = await asyncio.gather(*singly)
    ids = [job.id for job in taken] + [job.id for job in ones if job is not None]
    assert sorted(ids, key=int) == [str(number) for number in range(30)]
    assert {row.job.fence for row in bench.store.rows.values()} == {1}


async def test_a_job_under_lease_is_not_taken_for_a_leftover(bench: Bench) -> None:
    """What this process runs is not leased again; what an earlier life left running is."""
    job = await bench.lease()
    assert await bench.leases.take(bench.request()) == []
    bench.leases.drop(job)
    (again,) = await bench.leases.take(bench.request())
    assert (again.id, again.fence, again.attempts) == ("1", 2, 2)


async def test_dropping_an_old_lease_leaves_the_new_one(bench: Bench) -> None:
    """A task that ends late does not take the job's next lease out of the book."""
    old = await bench.lease()
    await bench.store.release(old, counted=False)
    (new,) = await bench.leases.take(bench.request())
    bench.leases.drop(old)
    assert len(bench.leases) == 1
    bench.leases.drop(new)
    assert len(bench.leases) == 0


async def test_confirming_tells_who_holds_the_lease(bench: Bench) -> None:
    """True extends it; False means that somebody else is served now."""
    job = await bench.lease()
    await bench.clock.advance(10)
    assert await bench.leases.confirm(job)
    assert bench.store.rows["1"].until == bench.clock.now() + LEASE_S
    bench.store.steal("1")
    assert not await bench.leases.confirm(job)


def test_the_memory_store_is_a_job_store(bench: Bench) -> None:
    """The tests' store has the protocol's methods; a type checker holds their signatures to it."""
    store: JobStore = bench.store
    assert all(hasattr(store, name) for name in vars(JobStore) if not name.startswith("_"))
    assert JobState.WAITING.value == "waiting"


async def test_many_growing_answers_share_one_look_at_their_leases(bench: Bench) -> None:
    """However many ask, the store is written a few times a second; who has lost a lease hears it with the next look."""
    bench.clock.auto_advance = False
    for number in range(50):
        await bench.store.put(bench.new(str(number)))
    jobs = await bench.leases.take(bench.request())
    await bench.leases.seen(bench.clock.monotonic())
    bench.store.calls.clear()
    assert all(await asyncio.gather(*(bench.leases.confirm_lately(job) for job in jobs)))
    bench.store.steal("7")
    await bench.clock.advance(CONFIRM_EVERY_S)
    held = await asyncio.gather(*(bench.leases.confirm_lately(job) for job in jobs))
    assert [job.id for job, kept in zip(jobs, held, strict=True) if not kept] == ["7"]
    assert bench.store.calls == ["renew", "renew"]


async def test_a_look_from_before_a_gap_counts_for_nothing(bench: Bench) -> None:
    """An instance that others may have taken for dead looks anew, each time until it has given a sign of life."""
    bench.clock.auto_advance = False
    job = await bench.lease()
    await bench.leases.seen(bench.clock.monotonic())
    assert await bench.leases.confirm_lately(job)
    await bench.clock.advance(SURE_FOR_S)
    assert await bench.leases.confirm_lately(job)
    bench.store.steal("1")
    assert not await bench.leases.confirm_lately(job)


async def test_a_look_that_fails_is_no_yes(bench: Bench) -> None:
    """The store's failure goes to who asked, and the next one asks the store again."""
    job = await bench.lease()
    await bench.leases.seen(bench.clock.monotonic())
    bench.store.fail("renew", 1)
    with pytest.raises(StoreUnavailable):
        await bench.leases.confirm_lately(job)
    bench.store.steal("1")
    assert not await bench.leases.confirm_lately(job)


async def test_a_slow_answer_makes_no_sign_of_life_younger(bench: Bench) -> None:
    """Symptom: on a starved machine two instances answered one job. Cause: an instance counted from the store's answer,
    which came late, the others from the moment its sign of life spoke of. Rule: that moment counts.
    """
    bench.clock.auto_advance = False
    given_at = bench.clock.monotonic()
    await bench.clock.advance(SURE_FOR_S - 0.5)
    await bench.leases.seen(given_at)
    assert bench.leases.sure()
    await bench.clock.advance(0.5)
    assert not bench.leases.sure()
