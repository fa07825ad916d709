"""The store behind `STORE_URL`: one implementation of each protocol, on one engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app.balancing.sqlite_state import SqliteCallLog, SqliteCluster, SqliteCounters
from app.balancing.state import CallLog, Cluster, Counters
from app.jobs.schema import MIGRATIONS, OLDEST_COMPATIBLE
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.store import JobStore
from app.settings import CommonSettings
from app.store_url import is_redis_url
from app.userdata.conversations import Conversations
from app.userdata.preferences import PreferenceStore
from app.userdata.sqlite_conversations import SqliteConversations
from app.userdata.sqlite_preferences import SqlitePreferences
from app.userdata.sqlite_usage import SqliteUsage
from app.userdata.usage import UsageLog

if TYPE_CHECKING:
    from app.jobs.redis_engine import RedisEngine


async def _no_time() -> float | None:
    return None


async def _always() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything that is kept. Nothing may be asked of it before `open`, which says why it can't be used.

    `time` is the store's own clock (seconds since the epoch), which all who share it agree on; None if it has none.
    `takes_new` raises `StoreUnavailable` if nothing could be added now, though signs of life are taken.
    """

    jobs: JobStore
    cluster: Cluster
    counters: Counters
    calls: CallLog
    conversations: Conversations
    preferences: PreferenceStore
    usage: UsageLog
    open: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    time: Callable[[], Awaitable[float | None]] = _no_time
    takes_new: Callable[[], Awaitable[None]] = _always


def storage(settings: CommonSettings) -> Storage:
    """Return what `STORE_URL` names, not opened yet."""
    if is_redis_url(settings.store_url):
        from app.jobs.redis_engine import RedisEngine

        return redis_storage(RedisEngine(settings.store_url, replicas=settings.store_replicas), settings.memory_ttl_s)
    return sqlite_storage(SqliteEngine(settings.sqlite_path, MIGRATIONS, OLDEST_COMPATIBLE))


def sqlite_storage(engine: SqliteEngine) -> Storage:
    """Return the implementations that share a host's one file."""
    return Storage(
        jobs=SqliteJobStore(engine),
        cluster=SqliteCluster(engine),
        counters=SqliteCounters(engine),
        calls=SqliteCallLog(engine),
        conversations=SqliteConversations(engine),
        preferences=SqlitePreferences(engine),
        usage=SqliteUsage(engine),
        open=engine.open,
        close=engine.close,
    )


def redis_storage(engine: RedisEngine, memory_ttl_s: float | None = None) -> Storage:
    """Return the implementations on a server that any number of hosts share.

    They are loaded here: the client's 6 MB and tenth of a second are for those who use it. Without `memory_ttl_s`,
    conversations are kept as long as they ever may be.
    """
    from app.balancing.redis_state import RedisCallLog, RedisCluster, RedisCounters
    from app.jobs.redis_schema import open_with_schema
    from app.jobs.redis_store import RedisJobStore
    from app.userdata.redis_conversations import LONGEST_MEMORY_S, RedisConversations
    from app.userdata.redis_preferences import RedisPreferences
    from app.userdata.redis_usage import RedisUsage

    kept_s = LONGEST_MEMORY_S if memory_ttl_s is None else memory_ttl_s
    return Storage(
        jobs=RedisJobStore(engine),
        cluster=RedisCluster(engine),
        counters=RedisCounters(engine),
        calls=RedisCallLog(engine),
        conversations=RedisConversations(engine, memory_ttl_s=kept_s),
        preferences=RedisPreferences(engine),
        usage=RedisUsage(engine),
        open=partial(open_with_schema, engine),
        close=engine.close,
        time=engine.time,
        takes_new=engine.takes_new,
    )
