"""Counting an answered job on Redis, where the count and the end are two calls on two connections."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.jobs.job import Finish, Job, Outcome
from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_store import RedisJobStore
from app.userdata.redis_usage import RedisUsage
from app.userdata.usage import Usage, UsageTotal
from tests.contract.job_store.kit import NOW, leased, request

DAY = "2027-01-15"
ONCE = {"chat": UsageTotal(1, Usage(100, 20, micro_usd=7))}


@pytest.fixture
async def engine(redis_url: str) -> AsyncIterator[RedisEngine]:
    """An engine on an empty server."""
    engine = RedisEngine(redis_url)
    await engine.open()
    yield engine
    await engine.close()


async def add(engine: RedisEngine, job: Job) -> None:
    """Count it, as its delivery does."""
    usage = Usage(100, 20, micro_usd=7)
    await RedisUsage(engine).add(DAY, user_id="5", guild_id="9", kind="chat", usage=usage, job=job)


@pytest.mark.parametrize("first", ["count", "end"])
async def test_whichever_comes_first(engine: RedisEngine, first: str) -> None:
    """Once, whether the end or the count reaches the server first, and however often an unclear one is tried."""
    jobs = RedisJobStore(engine)
    job = await leased(jobs)
    if first == "count":
        await add(engine, job)
        await add(engine, job)
    await jobs.finish(job, Finish(Outcome.ANSWERED, NOW))
    await add(engine, job)
    await add(engine, job)
    for totals in (RedisUsage(engine).of_user("5", from_day=DAY, to_day=DAY),
                   RedisUsage(engine).of_guild("9", from_day=DAY, to_day=DAY)):  # fmt: skip
        assert await totals == ONCE


async def test_a_lost_lease_counts_nothing(engine: RedisEngine) -> None:
    """Neither before nor after the job's end by whoever has it now, whose answer is the one that counts."""
    jobs = RedisJobStore(engine)
    old = await leased(jobs)
    (current,) = await jobs.lease(request(2, now=NOW + 600))
    await add(engine, old)
    await jobs.finish(current, Finish(Outcome.ANSWERED, NOW + 601))
    await add(engine, old)
    assert await RedisUsage(engine).of_user("5", from_day=DAY, to_day=DAY) == {}
    await add(engine, current)
    assert await RedisUsage(engine).of_user("5", from_day=DAY, to_day=DAY) == ONCE


async def test_large_sums_stay_exact(engine: RedisEngine) -> None:
    """Millionths of dollars of a busy month are no rounded numbers: the script's numbers are doubles."""
    usage = RedisUsage(engine)
    for _ in range(3):
        await usage.add(DAY, user_id="5", guild_id=None, kind="chat", usage=Usage(micro_usd=1_234_567_890_123_457))
    (total,) = (await usage.of_user("5", from_day=DAY, to_day=DAY)).values()
    assert (total.jobs, total.usage.micro_usd) == (3, 3_703_703_670_370_371)
