"""The job store on a server that fails, restarts, fails over or fills up, and what it leaves behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import redis.exceptions

from app.errors import LeaseLost, StoreUnavailable
from app.jobs.job import Finish, Outcome, Repeat
from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_store import RedisJobStore
from app.jobs.store import PutLimits, PutResult
from tests.contract.job_store.kit import LEASE_S, NOW, leased, new, request
from tests.redis_kit import RedisServer, free_port, running_redis, running_sentinel

HEALS_S = 5.0


@asynccontextmanager
async def opened(url: str, replicas: int = 0) -> AsyncIterator[RedisJobStore]:
    """A store that is open."""
    engine = RedisEngine(url, replicas=replicas)
    await engine.open()
    try:
        yield RedisJobStore(engine)
    finally:
        await engine.close()


@pytest.fixture
async def store(own_redis: RedisServer) -> AsyncIterator[RedisJobStore]:
    """A store on a server of the test's own."""
    async with opened(own_redis.url) as store:
        yield store


async def heals(ask: Callable[[], object]) -> float:
    """Return the seconds until `ask` no longer fails."""
    began = time.monotonic()

    async def works() -> bool:
        try:
            await ask()  # type: ignore[misc]
        except StoreUnavailable:
            return False
        return True

    while not await works():
        assert time.monotonic() - began < 3 * HEALS_S
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_what_was_accepted_survives_the_servers_death(own_redis: RedisServer, store: RedisJobStore) -> None:
    """A job that was accepted is there after kill -9 of the server, and the store heals by itself."""
    await asyncio.gather(*(store.put(new(str(n))) for n in range(50)))
    (job,) = await store.lease(request(limit=1))
    await store.checkpoint(job, {"step": "submitted"})
    own_redis.kill()
    with pytest.raises(StoreUnavailable):
        await store.put(new("late"))
    await asyncio.to_thread(own_redis.start)
    assert await heals(store.counts) < HEALS_S
    assert (await store.counts()).total_waiting == 49
    (again,) = await store.lease(request(2, limit=1, now=NOW + LEASE_S + 1))
    assert (again.id, dict(again.checkpoint)) == (job.id, {"step": "submitted"})
    assert again.fence > job.fence


async def test_a_put_that_came_too_late_is_withdrawn_for_good(own_redis: RedisServer, store: RedisJobStore) -> None:
    """Symptom: who heard that nothing was accepted was answered after all. Cause: the request was still on its way
    when it was withdrawn. Rule: what was withdrawn is not recorded however late it comes; a copy by another may be.
    """
    slow = replace(new("1"), put_by="slow")
    assert await store.withdraw(slow)
    assert await store.put(slow) is PutResult.GONE
    assert not await store.knows("1")
    assert await store.put(replace(slow, put_by="copy")) is PutResult.ACCEPTED


async def test_what_one_instance_refused_no_other_accepts(store: RedisJobStore) -> None:
    """Symptom (fault 14, seed 1966485957): a user read that the queue was full and was answered after all. Cause: nginx
    had tried a second instance, the first being slow, and that refused what the first then accepted.
    """
    await store.put(new("first"))
    assert await store.put(new("2"), PutLimits(max_waiting=1)) is PutResult.FULL
    await store.lease(request())
    assert await store.put(new("2"), PutLimits(max_waiting=1)) is PutResult.FULL
    assert await store.put(new("3"), PutLimits(max_waiting=1)) is PutResult.ACCEPTED
    assert not await store.knows("2")


async def test_a_frozen_server_is_given_up_and_what_it_did_is_taken_back(
    own_redis: RedisServer, store: RedisJobStore
) -> None:
    """A put is given up after two seconds; when the server goes on, what was withdrawn is not there."""
    job = replace(new("1"), put_by="me")
    own_redis.freeze()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.put(job)
    assert time.monotonic() - began < 2.5
    own_redis.thaw()
    assert await heals(lambda: store.withdraw(job)) < HEALS_S
    assert not await store.knows("1")
    assert (await store.counts()).total_waiting == 0


async def test_a_full_server_refuses_new_jobs_and_ends_accepted_ones(
    own_redis: RedisServer, store: RedisJobStore
) -> None:
    """At maxmemory a put fails with the reason and leaves nothing; leases, checkpoints and ends go on."""
    await store.put(new("accepted"))
    own_redis.set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await store.put(new("refused"))
    (job,) = await store.lease(request())
    await store.checkpoint(job, {"step": "submitted"})
    await store.keep(job, b"answer")
    await store.finish(job, Finish(Outcome.ANSWERED, NOW + 1))
    own_redis.set("maxmemory", "0")
    assert not await store.knows("refused")
    assert await store.put(new("refused")) is PutResult.ACCEPTED


async def test_a_loading_server_is_unavailable(own_redis: RedisServer, store: RedisJobStore) -> None:
    """While the server loads its data everything fails as unavailable, and works afterwards."""
    await asyncio.gather(*(store.put(new(str(n))) for n in range(2000)))
    own_redis.kill()
    own_redis.config["key-load-delay"] = "100"
    own_redis.config["loading-process-events-interval-bytes"] = "1024"
    await asyncio.to_thread(own_redis.start, wait=False)
    seen: set[str] = set()
    give_up = time.monotonic() + 20
    while True:
        try:
            await store.counts()
            break
        except StoreUnavailable as error:
            seen.add(str(error))
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)
    assert any("loading" in told for told in seen), seen
    assert (await store.counts()).total_waiting == 2000


@pytest.fixture
def replica(own_redis: RedisServer) -> Iterator[RedisServer]:
    """A replica of the test's own server."""
    with running_redis(tcp=True, replicaof=f"127.0.0.1 {own_redis.port}", repl_diskless_sync_delay="0") as server:
        give_up = time.monotonic() + 20
        while own_redis.call("INFO", "replication")["connected_slaves"] == 0 or not synced(server):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        yield server


def synced(server: RedisServer) -> bool:
    """Whether a replica has its master's data."""
    return bool(server.call("INFO", "replication").get("master_link_status") == "up")


async def test_a_job_is_accepted_once_enough_replicas_have_it(own_redis: RedisServer, replica: RedisServer) -> None:
    """With `replicas` a job counts as accepted when a replica has it; while none answers, nothing is accepted, and
    what was recorded only on the master can be taken back when it answers again."""
    async with opened(own_redis.url, replicas=1) as store:
        assert await store.put(new("1")) is PutResult.ACCEPTED
        assert replica.call("EXISTS", "{quartet}:job:1") == 1
        replica.freeze()
        job = replace(new("2"), put_by="me")
        with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
            await store.put(job)
        replica.thaw()
        assert await heals(lambda: store.withdraw(job)) < HEALS_S
        assert not await store.knows("2")


async def test_a_server_that_became_a_replica_is_unavailable(own_redis: RedisServer, store: RedisJobStore) -> None:
    """A demoted master is told as such, at once; when it is the master again it is used again."""
    own_redis.call("REPLICAOF", "127.0.0.1", str(free_port()))
    with pytest.raises(StoreUnavailable, match="read-only replica"):
        await store.put(new())
    own_redis.call("REPLICAOF", "NO", "ONE")
    assert await store.put(new()) is PutResult.ACCEPTED


async def test_follows_a_failover(own_redis: RedisServer, replica: RedisServer) -> None:
    """When the Sentinels make the replica master, the store goes on there: nothing confirmed is lost, old leases are
    void, and fencing numbers still grow."""
    with running_sentinel("jobs", own_redis) as sentinel:
        give_up = time.monotonic() + 20
        while not sentinel.call("SENTINEL", "REPLICAS", "jobs"):
            assert time.monotonic() < give_up
            await asyncio.sleep(0.1)
        async with opened(f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/jobs/0") as store:
            for n in range(5):
                await store.put(new(str(n)))
            (job,) = await store.lease(request(limit=1))
            await asyncio.to_thread(caught_up, own_redis, replica)
            own_redis.kill()
            with pytest.raises(StoreUnavailable):
                await store.put(new("late"))
            took = await heals(lambda: store.put(new("after")))
            assert took < 3 * HEALS_S
            assert (await store.counts()).total_waiting == 5
            (again,) = await store.lease(request(2, limit=1, now=NOW + LEASE_S + 1))
            assert (again.id, again.attempts) == (job.id, 2)
            assert again.fence > job.fence
            with pytest.raises(LeaseLost):
                await store.finish(job, Finish(Outcome.ANSWERED, NOW))


def caught_up(master: RedisServer, replica: RedisServer) -> None:
    """Wait until the replica has everything."""
    give_up = time.monotonic() + 10
    while True:
        try:
            wanted = master.call("INFO", "replication")["master_repl_offset"]
            if replica.call("INFO", "replication")["slave_repl_offset"] >= wanted:
                return
        except redis.exceptions.ConnectionError:
            pass
        assert time.monotonic() < give_up
        time.sleep(0.02)


def names_in(server: RedisServer) -> set[str]:
    """Return the names of all keys, without what they all begin with."""
    found = server.keys()
    return {key.removeprefix("{quartet}:") for key in found}


def kinds_in(server: RedisServer) -> set[str]:
    """Return the first parts of the names."""
    return {name.partition(":")[0] for name in names_in(server)}


async def test_everything_ends_by_itself(own_redis: RedisServer, store: RedisJobStore) -> None:
    """After many jobs, each ended in its own way, only the sequence is left that never expires, and no index holds
    anything but what is done; housekeeping empties that."""
    for n in range(60):
        await store.put(new(str(n), user=str(n % 7), home=n % 4 + 1, kind=("chat", "image")[n % 2]), PutLimits(1000))
    await store.stop("1", user_id=None)
    now = NOW
    while jobs := [job for home in range(1, 5) for job in await store.lease(request(home, limit=3, now=now))]:
        for n, job in enumerate(jobs):
            if n % 5 == 0 and job.attempts == 1:
                await store.release(job, counted=True)
            else:
                await store.finish(job, Finish(Outcome.ANSWERED, now, repeat=(Repeat.NONE, Repeat.ONCE)[n % 2]))
        now += 60
    assert await store.withdraw(replace(new("99"), put_by="me"))
    counts = await store.counts()
    assert (dict(counts.waiting), dict(counts.running)) == ({}, {})
    names = names_in(own_redis)
    endless = {name for name in names if own_redis.call("TTL", "{quartet}:" + name) == -1}
    assert endless == {"seq"}
    assert kinds_in(own_redis) == {"seq", "done", "job", "accepted", "withdrawn"}
    assert await store.forget(finished_before=now + 1) == 60
    assert kinds_in(own_redis) == {"seq", "withdrawn"}


async def test_jobs_that_ran_out_leave_nothing_behind(own_redis: RedisServer, store: RedisJobStore) -> None:
    """If all instances were away so long that jobs expired, looking at the queue and housekeeping clear the indexes."""
    await leased(store, "running", owner=3)
    await store.put(new("waiting"))
    for job_id in ("waiting", "running"):
        own_redis.call("DEL", f"{{quartet}}:job:{job_id}")
    assert await store.lease(request(1, now=NOW + 1)) == []
    assert await store.lease(request(3, now=NOW + 1)) == []
    await store.forget(finished_before=NOW)
    assert kinds_in(own_redis) == {"seq", "accepted"}


async def test_a_long_queue_is_looked_at_quickly(own_redis: RedisServer, store: RedisJobStore) -> None:
    """With ten thousand waiting, a lease, a refusal and the counts keep the server busy for milliseconds each."""
    for chunk in range(20):
        await asyncio.gather(
            *(store.put(new(f"{chunk}-{n}", user=str(n % 300), home=n % 4 + 1, at=NOW + chunk)) for n in range(500))
        )
    own_redis.call("CONFIG", "RESETSTAT")
    later = NOW + 100
    assert len(await store.lease(request(1, limit=10, now=later))) == 10
    assert await store.lease(replace(request(2, now=later), kinds={"chat": 0})) == []
    assert len(await store.lease(request(5, limit=10, now=later))) == 10
    await store.counts()
    assert len(await store.unserved(now=later)) == 100
    spent = own_redis.call("INFO", "commandstats")
    calls, micros = (sum(spent[f"cmdstat_{name}"][part] for name in ("evalsha", "eval") if f"cmdstat_{name}" in spent)
                     for part in ("calls", "usec"))  # fmt: skip
    assert calls >= 5
    assert micros / calls < 20_000
