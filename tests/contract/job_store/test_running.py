"""What is recorded of a job that runs: for its next run, and that it is to be stopped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import LeaseLost
from app.jobs.job import Finish, Outcome
from app.jobs.store import JobStore
from tests.contract.job_store.kit import LEASE_S, NOW, leased, new, request


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

    async def test_a_pinned_job_that_is_stopped_is_anybodys(self, store: JobStore) -> None:
        """Symptom: who stopped a video whose instance was dead heard nothing for minutes. Cause: the job stayed tied to
        that instance, though there was nothing left to do but to tell its user.
        """
        job = await leased(store)
        await store.checkpoint(job, {"step": "submitted"}, pin=True)
        assert await store.stop(job.id, user_id=None)
        (taken,) = await store.lease(request(2, now=NOW + 600, dead=(1,)))
        await store.release(taken, counted=False)
        (again,) = await store.lease(request(3, now=NOW + 600, steal_after_s=1.0))
        assert again.stop and dict(again.checkpoint) == {"step": "submitted"}

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


class TestStop:
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
