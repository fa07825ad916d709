"""What is in Redis ends by itself, whether or not an instance still runs to keep house (app/*/redis_*.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from app.balancing.redis_state import BEATS_KEPT_S, CALLS_KEPT_S, RedisCallLog, RedisCluster, RedisCounters
from app.balancing.state import InstanceSnapshot
from app.errors import StoreUnavailable
from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_store import RedisJobStore
from app.userdata.conversations import Turn
from app.userdata.preferences import Preferences, Scope
from app.userdata.redis_conversations import RedisConversations
from app.userdata.redis_preferences import RedisPreferences
from app.userdata.redis_usage import RedisUsage
from app.userdata.usage import Usage
from tests.contract.job_store.kit import new
from tests.redis_kit import RedisServer

NOW, DAY, DAY_S = 1_800_000_000.0, "2027-01-15", 86_400
MEMORY_S = 6 * 3600


@pytest.fixture
async def engine(redis_url: str) -> AsyncIterator[RedisEngine]:
    """An engine on an empty server."""
    engine = RedisEngine(redis_url)
    await engine.open()
    yield engine
    await engine.close()


def kept(server: RedisServer) -> list[str]:
    """Return the names of all keys, without what they all begin with."""
    found = server.keys()
    return [key.removeprefix("{quartet}:") for key in found]


async def use_everything(engine: RedisEngine) -> None:
    """Leave something of every kind."""
    conversations = RedisConversations(engine, memory_ttl_s=MEMORY_S)
    await RedisCluster(engine).beat(InstanceSnapshot(1), now=NOW)
    await RedisCounters(engine).add(DAY, "a")
    await RedisCallLog(engine).record("1:openai", day=DAY, at=NOW)
    await conversations.add(Turn("1", "5", "7", NOW, "question", "answer"))
    await conversations.start_over("5", "8", now=NOW)
    await RedisPreferences(engine).put(Scope.USER, "5", Preferences(model="m"))
    await RedisUsage(engine).add(DAY, user_id="5", guild_id="9", kind="chat", usage=Usage(images=1))


async def test_everything_has_an_end(engine: RedisEngine, shared_redis: RedisServer) -> None:
    """Every key but the users' choices goes by itself, not before whoever asks for it has no use for it any more."""
    await use_everything(engine)
    lives = {key: shared_redis.call("TTL", f"{{quartet}}:{key}") for key in kept(shared_redis)}
    endless = {key for key, seconds in lives.items() if seconds == -1}
    assert endless == {"preferences", "preferences:order", "preferences:version"}
    at_least = {
        "beat": BEATS_KEPT_S, "counters:": 8 * DAY_S, "calls:": CALLS_KEPT_S, "turn": MEMORY_S, "channels:": MEMORY_S,
        "fresh:": MEMORY_S + DAY_S, "usage:": 91 * DAY_S,
    }  # fmt: skip
    for key in lives.keys() - endless:
        (least,) = (seconds for begin, seconds in at_least.items() if key.startswith(begin))
        assert least - 60 <= lives[key] <= least + 3 * DAY_S, key


async def test_what_is_forgotten_leaves_nothing(engine: RedisEngine, shared_redis: RedisServer) -> None:
    """Once everything is forgotten there is no key left but choices, days to come and when what was started over."""
    await use_everything(engine)
    tomorrow = (date.fromisoformat(DAY) + timedelta(days=1)).isoformat()
    await RedisCluster(engine).leave(1)
    await RedisCounters(engine).forget(before_day=tomorrow)
    await RedisCallLog(engine).forget(before=NOW + 1)
    await RedisConversations(engine).forget(before=NOW + 1)
    await RedisUsage(engine).forget(before_day=tomorrow)
    left = kept(shared_redis)
    assert {key.partition(":")[0] for key in left} == {"preferences", "fresh", "calls"}
    assert "calls:1:openai" not in left


async def test_who_is_silent_for_a_day_is_gone(engine: RedisEngine, shared_redis: RedisServer) -> None:
    """An instance that is not deployed any more is not shown as dead for ever, and leasing hears of it no more."""
    cluster = RedisCluster(engine)
    await cluster.beat(InstanceSnapshot(7), now=NOW)
    await cluster.beat(InstanceSnapshot(1), now=NOW + BEATS_KEPT_S - 1)
    assert [beat.snapshot.instance for beat in await cluster.heartbeats()] == [1, 7]
    await cluster.beat(InstanceSnapshot(1), now=NOW + BEATS_KEPT_S + 1)
    assert [beat.snapshot.instance for beat in await cluster.heartbeats()] == [1]
    assert shared_redis.call("ZRANGE", "{quartet}:beat_at", 0, -1) == [b"1"]


async def test_a_window_keeps_no_more_than_is_asked_for(engine: RedisEngine, shared_redis: RedisServer) -> None:
    """A key that is used for ever holds the starts of an hour, not all of them."""
    log = RedisCallLog(engine)
    for at in (NOW, NOW + 1, NOW + CALLS_KEPT_S + 0.5):
        await log.record("1:openai", day=DAY, at=at)
    assert shared_redis.call("ZCARD", "{quartet}:calls:1:openai") == 2
    assert await log.of_day("1:openai", DAY) == 3


async def test_forgetting_works_with_a_full_memory(engine: RedisEngine, own_redis: RedisServer) -> None:
    """A full server takes no new jobs, says so, and yet what ends accepted ones, and lets old things go."""
    full = RedisEngine(own_redis.url)
    await full.open()
    try:
        await use_everything(full)
        own_redis.set("maxmemory", "1")
        with pytest.raises(StoreUnavailable):
            await full.takes_new()
        with pytest.raises(StoreUnavailable):
            await RedisJobStore(full).put(new("not accepted"))
        assert await RedisCounters(full).add(DAY, "a") > 0
        await RedisConversations(full).add(Turn("2", "5", "7", NOW, "question", "answer"))
        assert await RedisConversations(full).forget(before=NOW + 1) == 2
        assert await RedisConversations(full).remembered("5", since=0) == []
    finally:
        await full.close()
