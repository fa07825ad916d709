"""What of the cluster's state is moved from one store to another: counters and call starts.

Heartbeats are not: whoever lives gives new ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import cast

from app.balancing.redis_state import CALLS_KEPT_S, COUNTERS_KEPT_S, RedisCallLog
from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_transfer import hashes
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.sqlite_transfer import SqliteTable
from app.jobs.transfer import PAGE


@dataclass(frozen=True, slots=True)
class DayCounter:
    """A counter of a day."""

    day: str
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class CallStart:
    """When a key was used."""

    key: str
    at: float


def sqlite_counters(engine: SqliteEngine) -> SqliteTable[DayCounter]:
    """Return the counters of the file; of two values of one counter the larger is right, since they only grow."""
    keep = (
        "INSERT INTO counters (day, name, value) VALUES (?,?,?) "
        "ON CONFLICT (day, name) DO UPDATE SET value=excluded.value WHERE excluded.value>value"
    )
    return SqliteTable(engine, "counters", ["day", "name"], ["day", "name", "value"], DayCounter, keep=keep)


def sqlite_calls(engine: SqliteEngine) -> SqliteTable[CallStart]:
    """Return the call starts of the file; to be used for one move, since it numbers what it takes over."""
    keep = "INSERT INTO calls (key, at) SELECT ?1, ?2 WHERE (SELECT count(*) FROM calls WHERE key=?1 AND at=?2)<=?3"
    seen: Counter[CallStart] = Counter()

    def row(start: CallStart) -> tuple[str, float, int]:
        return start.key, start.at, _nth(seen, start)

    return SqliteTable(engine, "calls", ["rowid"], ["key", "at"], CallStart, row=row, keep=keep)


def _nth(seen: Counter[CallStart], start: CallStart) -> int:
    """Number the starts of one moment, so that two are two, and the same two when they are moved again."""
    seen[start] += 1
    return seen[start] - 1


_COUNTERS = f"""
local kept = 0
for n = 1, #ARGV, 3 do
  local counters = KEYS[1] .. ARGV[n]
  if tonumber(redis.call('HGET', counters, ARGV[n + 1]) or -1) < tonumber(ARGV[n + 2]) then
    redis.call('HSET', counters, ARGV[n + 1], ARGV[n + 2])
    redis.call('EXPIRE', counters, {COUNTERS_KEPT_S})
    redis.call('ZADD', KEYS[2], 0, ARGV[n])
    redis.call('EXPIRE', KEYS[2], {COUNTERS_KEPT_S})
    kept = kept + 1
  end
end
return kept
"""
"""What `counters:<day>` begins with, `counters:days`; day, name, value of each."""

_CALLS = f"""
local kept = 0
for n = 1, #ARGV, 3 do
  local calls = KEYS[1] .. ARGV[n]
  kept = kept + redis.call('ZADD', calls, 'NX', ARGV[n + 1], ARGV[n + 2])
  redis.call('EXPIRE', calls, {CALLS_KEPT_S})
  redis.call('SADD', KEYS[2], ARGV[n])
  redis.call('EXPIRE', KEYS[2], {CALLS_KEPT_S})
end
return kept
"""
"""What `calls:<key>` begins with, `calls:keys`; key, at, name of each."""


class RedisCounterTransfer:
    """The counters of the server; of two values of one counter the larger is right, since they only grow."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine
        self._keep = engine.script(_COUNTERS)

    async def pages(self) -> AsyncIterator[Sequence[DayCounter]]:
        async for page in hashes(self._engine, self._engine.key("counters", "????-??-??")):
            yield [
                DayCounter(key.rpartition(":")[2], name.decode(), int(value))
                for key, found in page
                for name, value in found.items()
            ]

    async def take_over(self, records: Sequence[DayCounter]) -> int:
        key = self._engine.key
        arguments = [value for counter in records for value in (counter.day, counter.name, counter.value)]
        return int(await self._engine.run(self._keep, [key("counters", ""), key("counters", "days")], arguments))


class RedisCallTransfer:
    """The call starts of the server; to be used for one move, since it numbers what it takes over."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine
        self._log = RedisCallLog(engine)
        self._seen: Counter[CallStart] = Counter()
        self._keep = engine.script(_CALLS)

    async def pages(self) -> AsyncIterator[Sequence[CallStart]]:
        engine = self._engine
        keys = await engine.ask(lambda redis: redis.smembers(engine.key("calls", "keys")))
        for key in sorted(name.decode() for name in cast(set[bytes], keys)):
            starts = [CallStart(key, at) for at in await self._log.since(key, 0)]
            for first in range(0, len(starts), PAGE):
                yield starts[first : first + PAGE]

    async def take_over(self, records: Sequence[CallStart]) -> int:
        arguments: list[str | float] = []
        for start in records:
            arguments += (start.key, start.at, f"moved:{start.at!r}:{_nth(self._seen, start)}")
        key = self._engine.key
        return int(await self._engine.run(self._keep, [key("calls", ""), key("calls", "keys")], arguments))
