"""Heartbeats, counters and call starts in Redis or Valkey.

| key (behind the engine's prefix) | holds | lives |
|---|---|---|
| `beats` | hash: instance id → JSON `{"beat_at", "snapshot"}` | a day after the last heartbeat |
| `beat_at` | sorted set: instance id by its last heartbeat; what leasing asks | the same |
| `counters:<day>` | hash: name → value | 9 days after the last addition |
| `counters:days` | sorted set: the days there are, for `forget` | the same |
| `calls:<key>` | sorted set: starts by their moment | an hour, what a window or a chart asks for |
| `calls:keys` | set: the keys there are, for `forget` | the same |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import cast

from app.balancing.sqlite_state import snapshot_from
from app.balancing.state import Heartbeat, InstanceSnapshot
from app.jobs.redis_engine import RedisEngine

BEATS_KEPT_S = 86_400
"""An instance that was silent for so long is gone for good, like one that is not deployed any more."""

COUNTERS_KEPT_S = 9 * 86_400
"""Longer than anybody asks for: the overview looks back a week and forgets by itself what is older."""

CALLS_KEPT_S = 3900
"""An hour for who draws it, with some minutes to spare; the keys' own windows need one minute."""

_BEAT = """
for _, instance in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[4])) do
  redis.call('HDEL', KEYS[1], instance)
  redis.call('ZREM', KEYS[2], instance)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
"""
"""`beats beat_at`, instance, now, value, old, TTL."""

_LEAVE = """
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
"""

_COUNT = f"""
local function count(day, name, amount)
  local counters, days = KEYS[1] .. 'counters:' .. day, KEYS[1] .. 'counters:days'
  local value = redis.call('HINCRBY', counters, name, amount)
  redis.call('EXPIRE', counters, {COUNTERS_KEPT_S})
  redis.call('ZADD', days, 0, day)
  redis.call('EXPIRE', days, {COUNTERS_KEPT_S})
  return value
end
local values = {{}}
"""

_ADD = (
    _COUNT
    + """
for n = 1, #ARGV, 3 do table.insert(values, count(ARGV[n], ARGV[n + 1], ARGV[n + 2])) end
return values
"""
)
"""What all keys begin with; day, name, amount of each addition."""

_RECORD = (
    _COUNT
    + f"""
for n = 1, #ARGV, 5 do
  local key, day, counter, at, old = unpack(ARGV, n, n + 4)
  local calls, keys = KEYS[1] .. 'calls:' .. key, KEYS[1] .. 'calls:keys'
  local value = count(day, counter, 1)
  redis.call('ZADD', calls, at, day .. ':' .. value)
  redis.call('ZREMRANGEBYSCORE', calls, '-inf', '(' .. old)
  redis.call('EXPIRE', calls, {CALLS_KEPT_S})
  redis.call('SADD', keys, key)
  redis.call('EXPIRE', keys, {CALLS_KEPT_S})
  table.insert(values, value)
end
return values
"""
)
"""What all keys begin with; key, day, counter, at, old of each call.

A start is named by the day and its number of that day, so that two at the same moment are two.
"""

_BY_MINUTE = """
local found = {}
for n = 4, #ARGV do
  local counts = {}
  for minute = tonumber(ARGV[2]), tonumber(ARGV[3]) do
    local count = redis.call('ZCOUNT', ARGV[1] .. ARGV[n], minute * 60, '(' .. (minute + 1) * 60)
    if count > 0 then
      table.insert(counts, minute)
      table.insert(counts, count)
    end
  end
  table.insert(found, counts)
end
return found
"""
"""What `calls:<key>` begins with, the first minute, the last, the keys."""

_FORGET_DAYS = """
for _, day in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], '-', '(' .. ARGV[2])) do
  redis.call('UNLINK', ARGV[1] .. day)
  redis.call('ZREM', KEYS[1], day)
end
return 1
"""
"""`counters:days`, what `counters:<day>` begins with, the first day that stays."""

_FORGET_CALLS = """
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  redis.call('ZREMRANGEBYSCORE', ARGV[1] .. key, '-inf', '(' .. ARGV[2])
end
return 1
"""


class RedisCluster:
    """Heartbeats, one field each. Beside forgetting who leaves it forgets who was silent for a day."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine
        self._keys = [engine.key("beats"), engine.key("beat_at")]
        self._beat = engine.script(_BEAT, grows=False)  # or who lives would be taken for dead when the memory is full
        self._leave = engine.script(_LEAVE, grows=False)

    async def beat(self, snapshot: InstanceSnapshot, *, now: float) -> None:
        text = json.dumps({"beat_at": now, "snapshot": asdict(snapshot)}, ensure_ascii=False)
        arguments = (snapshot.instance, now, text, now - BEATS_KEPT_S, BEATS_KEPT_S)
        await self._engine.run(self._beat, self._keys, arguments)

    async def heartbeats(self) -> Sequence[Heartbeat]:
        found = await self._engine.ask(lambda redis: redis.hgetall(self._keys[0]))
        told = [json.loads(text) for _, text in sorted(found.items(), key=lambda entry: int(entry[0]))]
        return [Heartbeat(beat["beat_at"], snapshot_from(beat["snapshot"])) for beat in told]

    async def leave(self, instance: int) -> None:
        await self._engine.run(self._leave, self._keys, [instance])


class RedisCounters:
    """Counters, one hash for each day."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine
        self._add = engine.script(_ADD, grows=False)  # small, and needed to end what was accepted; as is `record`
        self._forget = engine.script(_FORGET_DAYS, grows=False)

    async def add(self, day: str, name: str, amount: int = 1) -> int:
        return int(await self._engine.run_batched(self._add, [self._engine.key("")], (day, name, amount)))

    async def values(self, day: str) -> Mapping[str, int]:
        found = await self._engine.ask(lambda redis: redis.hgetall(_of_day(self._engine, day)[0]))
        return {name.decode(): int(value) for name, value in cast(dict[bytes, bytes], found).items()}

    async def forget(self, *, before_day: str) -> None:
        prefix, days = _of_day(self._engine, "")
        await self._engine.run(self._forget, [days], [prefix, before_day])


class RedisCallLog:
    """Starts of provider calls, one sorted set for each key, and their count of the day among the counters."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine
        self._record = engine.script(_RECORD, grows=False)
        self._by_minute = engine.script(_BY_MINUTE, grows=False)
        self._forget = engine.script(_FORGET_CALLS, grows=False)

    async def record(self, key: str, *, day: str, at: float) -> int:
        argument = (key, day, calls_counter(key), at, at - CALLS_KEPT_S)
        return int(await self._engine.run_batched(self._record, [self._engine.key("")], argument))

    async def since(self, key: str, at: float) -> Sequence[float]:
        calls = self._engine.key("calls", key)
        found = await self._engine.ask(lambda redis: redis.zrangebyscore(calls, f"({at!r}", "+inf", withscores=True))
        return [float(started) for _, started in cast(list[tuple[bytes, float]], found)]

    async def by_minute(self, keys: Sequence[str], *, since: float, until: float) -> Mapping[str, Mapping[int, int]]:
        arguments: list[str | int] = [self._engine.key("calls", ""), int(since // 60), int(until // 60), *keys]
        found = await self._engine.run(self._by_minute, (), arguments)
        return {key: dict(zip(counts[::2], counts[1::2], strict=True)) for key, counts in zip(keys, found, strict=True)}

    async def of_day(self, key: str, day: str) -> int:
        counters = _of_day(self._engine, day)[0]
        return int(await self._engine.ask(lambda redis: redis.hget(counters, calls_counter(key))) or 0)

    async def forget(self, *, before: float) -> None:
        prefix = self._engine.key("calls", "")
        await self._engine.run(self._forget, [self._engine.key("calls", "keys")], [prefix, before])


def calls_counter(key: str) -> str:
    """Name the counter of a key's calls, in either engine."""
    return f"calls:{key}"


def _of_day(engine: RedisEngine, day: str) -> list[str]:
    return [engine.key("counters", day), engine.key("counters", "days")]
