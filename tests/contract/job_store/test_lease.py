"""Who is given which job, and that nobody else changes it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.errors import LeaseLost
from app.jobs.job import Finish, Outcome, ServedBecause
from app.jobs.store import JobStore
from tests.contract.job_store.kit import LEASE_S, NOW, leased, new, request


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

    async def test_whose_answer_got_lost_counts_no_attempt(self, store: JobStore) -> None:
        """Symptom: a job was ended as one that kills its process, though no process had died. Cause: three times the
        answer to its lease got lost, and each counted as an attempt. Rule: what this very life of the instance was
        given and never got counts once; what an earlier life was given counts as ever.
        """
        await store.put(new())
        fences = [0]
        for n in range(4):
            (job,) = await store.lease(request(now=NOW + n, since=NOW))
            assert job.attempts == 1
            assert job.fence > fences[-1]
            fences.append(job.fence)
        (restarted,) = await store.lease(request(now=NOW + 9, since=NOW + 8))
        assert restarted.attempts == 2

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
        assert job is not None and job.fence > 0
        assert await store.lease_one("1", owner=3, now=NOW, lease_s=LEASE_S) is None
        assert await store.lease_one("1", owner=3, now=NOW + LEASE_S + 1, lease_s=LEASE_S) is not None
        assert await store.lease_one("unknown", owner=3, now=NOW, lease_s=LEASE_S) is None


class TestRelease:
    async def test_uncounted_takes_the_attempt_back(self, store: JobStore) -> None:
        """A job handed back in good order is leased again as if for the first time, but fenced."""
        job = await leased(store)
        await store.release(job, counted=False)
        (again,) = await store.lease(request())
        assert again.attempts == 1
        assert again.fence > job.fence

    async def test_counted_keeps_it(self, store: JobStore) -> None:
        """A counted release counts."""
        job = await leased(store)
        await store.release(job, counted=True)
        (again,) = await store.lease(request())
        assert again.attempts == 2

    async def test_released_to_others_is_not_given_back_at_once(self, two: tuple[JobStore, JobStore]) -> None:
        """For a while a job that came back for want of a key goes to others only; then its home may try again."""
        job = await leased(two[0])
        await two[0].release(job, counted=False, avoid_until=NOW + 3)
        assert await two[0].lease(request(1, now=NOW + 1)) == []
        (elsewhere,) = await two[1].lease(request(2, now=NOW + 1, steal_after_s=0))
        await two[1].release(elsewhere, counted=False, avoid_until=NOW + 1)
        assert len(await two[0].lease(request(1, now=NOW + 5))) == 1
