"""Conversations in Redis or Valkey.

| key (behind the engine's prefix) | holds |
|---|---|
| `turn:<job>` | hash: one turn |
| `turns:<user>:<channel>` | sorted set: the conversation's jobs by when they were asked |
| `channels:<user>` | set: the channels a user has turns in |
| `fresh:<user>` | hash: channel → when it was last started over; the empty one is all of them |
| `turn_ages` | sorted set: `<user>:<channel>:<job>` by when it was asked, for `forget` |

The housekeeping forgets what is older than the memory reaches. Everything lives a day longer than that by itself, so
that it goes even if no instance runs any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from app.jobs.job import Job
from app.jobs.redis_engine import RedisEngine
from app.userdata.conversations import Remembered, Turn

DAY_S = 86_400
LONGEST_MEMORY_S = 30 * 86_400
"""What the configuration allows at the most."""

EVERY_CHANNEL = ""
"""The channel of a fresh start that holds for all of them."""

_ADD = """
if ARGV[11] ~= '' then
  local state, fence = unpack(redis.call('HMGET', KEYS[6], 'state', 'fence'))
  if state ~= 'running' or fence ~= ARGV[11] then return 0 end
end
for _, at in ipairs(redis.call('HMGET', KEYS[4], ARGV[3], '')) do
  if at and tonumber(at) > tonumber(ARGV[4]) then return 0 end
end
if ARGV[10] == 'new' and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'user', ARGV[2], 'channel', ARGV[3], 'at', ARGV[4], 'question', ARGV[5],
  'answer', ARGV[6], 'private', ARGV[7], 'characters', ARGV[8])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[3])
redis.call('ZADD', KEYS[5], ARGV[4], ARGV[2] .. ':' .. ARGV[3] .. ':' .. ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[9])
redis.call('EXPIRE', KEYS[2], ARGV[9])
redis.call('EXPIRE', KEYS[3], ARGV[9])
redis.call('EXPIRE', KEYS[5], ARGV[9])
return 1
"""
"""turn, turns, channels, fresh, turn_ages, the job; job, user, channel, at, question, answer, private, characters, TTL,
`new` (if a turn that is there already is to stay as it is), the fence (empty: it is not asked for)."""

_TURNS = """
local found = {}
for _, job in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. ARGV[2])) do
  if #found == tonumber(ARGV[4]) then break end
  local turn = redis.call('HMGET', ARGV[1] .. job, 'at', 'private', 'question', 'answer')
  if turn[1] and (ARGV[3] == '1' or turn[2] == '0') then
    table.insert(found, {job, turn[1], turn[2], turn[3], turn[4]})
  end
end
return found
"""
"""turns; what `turn:<job>` begins with, since, whether private ones too, limit."""

_REMEMBERED = """
local kept = {}
for _, channel in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local turns, characters, private, first, last = 0, 0, 0, nil, nil
  for _, job in ipairs(redis.call('ZRANGEBYSCORE', ARGV[1] .. channel, '(' .. ARGV[3], '+inf')) do
    local turn = redis.call('HMGET', ARGV[2] .. job, 'at', 'private', 'characters')
    if turn[1] then
      turns, characters, private = turns + 1, characters + tonumber(turn[3]), private + tonumber(turn[2])
      first, last = first or turn[1], turn[1]
    end
  end
  if turns > 0 then table.insert(kept, {channel, turns, characters, last, first, private}) end
end
return kept
"""
"""channels; what `turns:<user>:<channel>` and what `turn:<job>` begin with, since."""

_START_OVER = """
local before = redis.call('HGET', KEYS[2], ARGV[5])
if not before or tonumber(before) < tonumber(ARGV[6]) then redis.call('HSET', KEYS[2], ARGV[5], ARGV[6]) end
redis.call('EXPIRE', KEYS[2], ARGV[7])
local channels = {ARGV[5]}
if ARGV[5] == '' then channels = redis.call('SMEMBERS', KEYS[1]) end
local deleted = 0
for _, channel in ipairs(channels) do
  for _, job in ipairs(redis.call('ZRANGE', ARGV[1] .. channel, 0, -1)) do
    deleted = deleted + redis.call('DEL', ARGV[2] .. job)
    redis.call('ZREM', ARGV[3], ARGV[4] .. ':' .. channel .. ':' .. job)
  end
  redis.call('DEL', ARGV[1] .. channel)
  redis.call('SREM', KEYS[1], channel)
end
return deleted
"""
"""channels, fresh; what `turns:<user>:<channel>` and `turn:<job>` begin with, turn_ages, user, channel, now, TTL."""

_FRESH_START = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before and tonumber(before) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""fresh; channel, when, TTL."""

_FORGET = """
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(old) do
  local user, channel, job = string.match(member, '^([^:]*):([^:]*):(.*)$')
  local turns = ARGV[1] .. 'turns:' .. user .. ':' .. channel
  redis.call('DEL', ARGV[1] .. 'turn:' .. job)
  redis.call('ZREM', turns, job)
  if redis.call('EXISTS', turns) == 0 then redis.call('SREM', ARGV[1] .. 'channels:' .. user, channel) end
  redis.call('ZREM', KEYS[1], member)
end
return #old
"""
"""turn_ages; the engine's prefix, before, limit."""


class RedisConversations:
    """Turns, one hash each. `memory_ttl_s` is how long the housekeeping lets them live."""

    def __init__(self, engine: RedisEngine, *, memory_ttl_s: float = LONGEST_MEMORY_S) -> None:
        self._engine = engine
        self._ttl_s = int(memory_ttl_s) + DAY_S
        self._add = engine.script(_ADD, grows=False)  # it is part of ending what was accepted
        self._turns = engine.script(_TURNS, grows=False)
        self._remembered = engine.script(_REMEMBERED, grows=False)
        self._fresh_start = engine.script(_FRESH_START)
        self._start_over = engine.script(_START_OVER, grows=False)
        self._forget = engine.script(_FORGET, grows=False)

    async def turns(
        self, user_id: str, channel_id: str, *, since: float, private: bool, limit: int = 50
    ) -> Sequence[Turn]:
        arguments = (self._engine.key("turn", ""), since, int(private), limit)
        found = await self._engine.run(self._turns, [self._engine.key("turns", user_id, channel_id)], arguments)
        return [
            Turn(job.decode(), user_id, channel_id, float(at), question.decode(), answer.decode(), hidden == b"1")
            for job, at, hidden, question, answer in reversed(found)
        ]

    async def turn(self, job_id: str, *, user_id: str) -> Turn | None:
        found = await self._engine.ask(lambda redis: redis.hgetall(self._engine.key("turn", job_id)))
        turn = turn_of(job_id, cast(dict[bytes, bytes], found)) if found else None
        return turn if turn is not None and turn.user_id == user_id else None

    async def add(self, turn: Turn, *, job: Job | None = None) -> None:
        await self.keep(turn, replace=True, job=job)

    async def keep(self, turn: Turn, *, replace: bool, job: Job | None = None) -> bool:
        """Do what `add` does and return whether it was kept; without `replace`, one that is there stays as it is."""
        key, user, channel = self._engine.key, turn.user_id, turn.channel_id
        keys = [
            key("turn", turn.job_id), key("turns", user, channel), key("channels", user), key("fresh", user),
            key("turn_ages"), key("job", turn.job_id),
        ]  # fmt: skip
        arguments = (
            turn.job_id, user, channel, turn.asked_at, turn.question, turn.answer, int(turn.private),
            len(turn.question) + len(turn.answer), self._ttl_s, "" if replace else "new",
            job.fence if job else "")  # fmt: skip
        return bool(await self._engine.run(self._add, keys, arguments))

    async def start_over(self, user_id: str, channel_id: str, *, now: float) -> int:
        key = self._engine.key
        keys = [key("channels", user_id), key("fresh", user_id)]
        places = (key("turns", user_id, ""), key("turn", ""), key("turn_ages"))
        # A job that was asked before a fresh start may still end: that one is remembered a day longer.
        arguments = (*places, user_id, channel_id, now, self._ttl_s + DAY_S)
        return int(await self._engine.run(self._start_over, keys, arguments))

    async def keep_fresh_start(self, user_id: str, channel_id: str, at: float) -> bool:
        """Note a fresh start that was made elsewhere; False if there was one as late or later."""
        arguments = (channel_id, at, self._ttl_s + DAY_S)
        return bool(await self._engine.run(self._fresh_start, [self._engine.key("fresh", user_id)], arguments))

    async def remembered(self, user_id: str, *, since: float) -> Sequence[Remembered]:
        key = self._engine.key
        arguments = (key("turns", user_id, ""), key("turn", ""), since)
        found = await self._engine.run(self._remembered, [key("channels", user_id)], arguments)
        kept = [
            Remembered(channel.decode(), turns, characters, float(last), float(first), private)
            for channel, turns, characters, last, first, private in found
        ]
        return sorted(kept, key=lambda channel: channel.last_at, reverse=True)

    async def delete_all(self, user_id: str, *, now: float) -> int:
        return await self.start_over(user_id, EVERY_CHANNEL, now=now)

    async def forget(self, *, before: float, limit: int = 500) -> int:
        arguments = (self._engine.key(""), before, limit)
        return int(await self._engine.run(self._forget, [self._engine.key("turn_ages")], arguments))


def turn_of(job_id: str, fields: Mapping[bytes, bytes]) -> Turn:
    """Read a turn from its hash."""
    told = {name.decode(): value.decode() for name, value in fields.items()}
    return Turn(
        job_id,
        told["user"],
        told["channel"],
        float(told["at"]),
        told["question"],
        told["answer"],
        told["private"] == "1",
    )
