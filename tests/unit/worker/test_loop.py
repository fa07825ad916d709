"""The worker's loop: never more than it may, never later than it must, and nothing left when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.commands.base import Answer, JobContext
from app.discord.replies import Message
from app.jobs.job import Job, JobState, LeaseRequest
from app.worker.loop import HEALTHY_WITHIN_S, POLL_S, RETRY_S, STOP_POLL_S, Worker
from tests.kit.waiting import wait_turns_until
from tests.unit.worker.bench_worker import Bench, answering


class Working:
    """A worker with two slots on a bench; its jobs run until `go` is set."""

    def __init__(self, bench: Bench, slots: int = 2, **fields: Any) -> None:
        self.bench = bench
        self.go = asyncio.Event()
        self.now_running = 0
        self.most_running = 0
        bench.command("chat", self.run)
        values: dict[str, Any] = {"slots": slots, "day_limits": {}, **fields}
        self.worker = Worker(
            leases=bench.leases, runner=bench.runner, commands=bench.commands, keys=bench.keys,
            overview=bench.overview, clock=bench.clock, chores={"rescue": bench.rescue.keep_looking}, **values,
        )  # fmt: skip

    async def run(self, _context: JobContext) -> Answer:
        self.now_running += 1
        self.most_running = max(self.most_running, self.now_running)
        try:
            await self.go.wait()
        finally:
            self.now_running -= 1
        return Answer(Message("the answer"), "openai")

    async def put(self, *job_ids: str) -> None:
        for job_id in job_ids:
            await self.bench.store.put(self.bench.new(job_id))

    def states(self) -> list[JobState]:
        return [row.state for row in self.bench.store.rows.values()]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.clock.auto_advance = False
    return bench


@pytest.fixture
async def working(bench: Bench) -> AsyncIterator[Working]:
    """A started worker; in the end it is stopped and must have left no task behind."""
    before = asyncio.all_tasks()
    working = Working(bench)
    await working.worker.start()
    yield working
    await working.worker.stop(0.01)
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}
    assert len(bench.leases) == 0


async def test_never_runs_more_than_its_slots(working: Working) -> None:
    """Ten jobs and two slots: two at once, all in the end."""
    await working.put(*map(str, range(10)))
    await working.bench.clock.advance(3)
    assert (working.worker.running, working.worker.free) == (2, 0)
    working.go.set()
    await wait_turns_until(lambda: set(working.states()) == {JobState.DONE}, "all jobs are done")
    assert working.most_running == 2


async def test_a_recorded_job_is_leased_at_once(working: Working) -> None:
    """Being notified is enough: no time passes until the job runs."""
    await working.bench.clock.advance(POLL_S * 1.5)
    elapsed = working.bench.clock.elapsed
    await working.put("1")
    working.worker.notify()
    await wait_turns_until(lambda: working.now_running == 1, "the job runs")
    assert working.bench.clock.elapsed == elapsed


async def test_a_job_nobody_spoke_of_is_found(working: Working) -> None:
    """Another instance may have recorded it: the queue is looked at a few times a second."""
    await working.put("1")
    await working.bench.clock.advance(POLL_S)
    assert working.now_running == 1


async def test_a_stop_that_was_asked_for_elsewhere_is_heard_soon(working: Working) -> None:
    """The store tells within a quarter of a second, and again after it failed; other jobs run on."""
    bench = working.bench
    await working.put("1", "2")
    await bench.clock.advance(POLL_S)
    bench.store.fail("stops", 1)
    await bench.store.stop("1", user_id="5")
    await bench.clock.advance(STOP_POLL_S + RETRY_S + STOP_POLL_S)
    assert working.states() == [JobState.DONE, JobState.RUNNING]
    assert "⏹" in bench.discord.finals[0].content


async def test_a_stop_that_came_here_is_heard_at_once(working: Working) -> None:
    """No time passes until the command has ended."""
    await working.put("1")
    await working.bench.clock.advance(POLL_S)
    elapsed = working.bench.clock.elapsed
    working.worker.stop_job("1")
    await wait_turns_until(lambda: working.states() == [JobState.DONE], "the job has ended")
    assert working.bench.clock.elapsed == elapsed


async def test_nobody_asks_for_stops_while_nothing_runs(working: Working) -> None:
    """An idle instance leaves the store alone."""
    await working.bench.clock.advance(10 * STOP_POLL_S)
    assert "stops" not in working.bench.store.calls


async def test_what_an_earlier_life_left_is_picked_up(bench: Bench) -> None:
    """After a restart both a waiting job and one left running are served."""
    job = await bench.lease("1")
    bench.leases.drop(job)
    await bench.store.put(bench.new("2"))
    working = Working(bench)
    working.go.set()
    await working.worker.start()
    await wait_turns_until(lambda: working.states() == [JobState.DONE, JobState.DONE], "both are served")
    assert bench.store.rows["1"].job.attempts == 2
    await working.worker.stop(0.01)


async def test_survives_a_store_that_fails_for_a_while(working: Working) -> None:
    """Health turns red while the store fails; afterwards leasing goes on by itself."""
    bench, worker = working.bench, working.worker
    await bench.clock.advance(1)
    assert worker.healthy() == {"store": True, "worker": True}
    await working.put("1")
    bench.store.fail("lease", 10**6)
    await bench.clock.advance(HEALTHY_WITHIN_S + 2)
    assert not worker.healthy()["worker"]
    bench.store.failing.clear()
    await bench.clock.advance(2)
    assert (working.now_running, worker.healthy()["worker"]) == (1, True)


async def test_a_broken_chore_begins_again(bench: Bench) -> None:
    """A bug in one look at the queue does not end all looking."""
    working = Working(bench)
    await working.worker.start()
    taking = bench.leases.take
    bench.leases.take = None  # type: ignore[assignment, method-assign]
    await bench.clock.advance(2)
    bench.leases.take = taking  # type: ignore[method-assign]
    await working.put("1")
    await bench.clock.advance(2)
    assert working.now_running == 1
    await working.worker.stop(0.01)


async def test_without_slots_nothing_is_leased(bench: Bench) -> None:
    """`MAX_CONCURRENT_JOBS=0` still gives signs of life and tells who waits, but takes no job."""
    working = Working(bench, slots=0)
    await working.worker.start()
    await working.put("1")
    working.worker.notify()
    await bench.clock.advance(5)
    assert "lease" not in bench.store.calls
    assert (working.states(), len(bench.discord.shown)) == ([JobState.WAITING], 1)
    assert working.worker.healthy() == {"store": True, "worker": True}
    await working.worker.stop(0.01)


async def test_the_day_s_limit_is_never_overrun(bench: Bench) -> None:
    """Of a kind with two jobs left today two are taken, however many slots are free."""
    working = Working(bench, slots=10, day_limits={"chat": 3})
    await bench.overview.count_done(1, "chat")
    await working.worker.start()
    await working.put(*map(str, range(5)))
    working.worker.notify()
    await bench.clock.advance(2)
    assert working.now_running == 2
    working.go.set()
    await bench.clock.advance(2)
    assert working.states().count(JobState.DONE) == 2
    await working.worker.stop(0.01)


async def test_a_drain_lets_running_jobs_finish(working: Working) -> None:
    """What runs is answered, what waits is left to others, and the others hear of the drain."""
    await working.put("1", "2", "3")
    await working.bench.clock.advance(POLL_S)
    stopping = asyncio.create_task(working.worker.stop(5))
    await wait_turns_until(lambda: working.worker.draining, "the drain began")
    working.bench.command("chat", answering())
    working.go.set()
    await stopping
    assert working.states() == [JobState.DONE, JobState.DONE, JobState.WAITING]
    assert (working.worker.running, working.bench.store.rows["3"].job.fence) == (0, 0)


async def test_a_drain_hands_back_what_is_late_uncounted(working: Working) -> None:
    """A job that is not done in time goes back as if it had never been leased."""
    await working.put("1", "2")
    await working.bench.clock.advance(POLL_S)
    assert working.now_running == 2
    await working.worker.stop(0.01)
    assert [(row.state, row.job.attempts) for row in working.bench.store.rows.values()] == [(JobState.WAITING, 0)] * 2
    assert working.bench.discord.finals == []


async def test_a_job_leased_while_the_drain_begins_is_not_forgotten(bench: Bench) -> None:
    """Symptom: a job came back with an attempt counted after an orderly restart.

    Cause: the drain counted its jobs while a lease was under way, and cut that off. Rule: it waits for the lease, and
    the job is then handed back, or done, like any other.
    """
    working = Working(bench)
    await working.put("1")
    stopping: list[asyncio.Task[None]] = []
    lease = bench.store.lease

    async def slow(request: LeaseRequest) -> list[Job]:
        stopping.append(asyncio.create_task(working.worker.stop(0.01)))
        jobs = await lease(request)
        for _ in range(50):
            await asyncio.sleep(0)  # on disk, but not told yet
        return jobs

    bench.store.lease = slow  # type: ignore[method-assign]
    await working.worker.start()
    await wait_turns_until(lambda: bool(stopping), "the drain began within the lease")
    await stopping[0]
    assert [(row.state, row.job.attempts) for row in bench.store.rows.values()] == [(JobState.WAITING, 0)]
    assert bench.store.rows["1"].job.fence == 1
    assert len(bench.leases) == 0


async def test_a_lost_lease_frees_its_slot(working: Working) -> None:
    """What somebody else took over is stopped here, without a word, and the next job starts."""
    await working.put("1", "2", "3")
    await working.bench.clock.advance(POLL_S)
    working.bench.store.steal("1")
    await working.bench.clock.advance(6)
    assert working.states() == [JobState.RUNNING] * 3
    assert (working.now_running, working.bench.store.rows["1"].owner) == (2, 9)
    assert working.bench.discord.finals == []
