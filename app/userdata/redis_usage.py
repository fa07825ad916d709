"""What was used, in Redis or Valkey.

| key (behind the engine's prefix) | holds |
|---|---|
| `usage:user:<user>:<day>` | hash: `<guild>:<kind>` → the sums, as numbers with spaces between them |
| `usage:guild:<guild>:<day>` | hash: `<user>:<kind>` → the same sums |
| `usage:keys:<day>` | set: the hashes of a day, for `forget` |
| `usage:days` | sorted set: the days there are |

A day is forgotten by the housekeeping after 90 days; by itself everything lives a little longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import add

from app.jobs.job import Job
from app.jobs.redis_engine import RedisEngine
from app.userdata.usage import Usage, UsageTotal

USAGE_KEPT_S = 92 * 86_400
NO_GUILD = ""
"""What stands for the server where there is none."""

SUMS = ("jobs", "prompt_tokens", "completion_tokens", "images", "videos", "micro_usd")

_ADD = """
local day, user, guild, kind, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local function add(key, field, replace)
  local sums, before = {}, string.gmatch(redis.call('HGET', key, field) or '', '%d+')
  for n = 8, #ARGV do
    table.insert(sums, string.format('%.0f', tonumber(before() or 0) + tonumber(ARGV[n])))
  end
  redis.call('HSET', key, field, table.concat(sums, ' '))
  redis.call('EXPIRE', key, ttl)
  redis.call('SADD', KEYS[1], key)
end
if ARGV[6] ~= '' then
  local fence, counted = unpack(redis.call('HMGET', KEYS[5], 'fence', 'counted'))
  if fence ~= ARGV[6] or counted then return 0 end
  redis.call('HSET', KEYS[5], 'counted', 1)
end
if ARGV[7] == 'new' and redis.call('HEXISTS', KEYS[3], guild .. ':' .. kind) == 1 then return 0 end
add(KEYS[3], guild .. ':' .. kind)
if guild ~= '' then add(KEYS[4], user .. ':' .. kind) end
redis.call('ZADD', KEYS[2], 0, day)
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return 1
"""
"""`usage:keys:<day>`, `usage:days`, of the user, of the guild, the job; day, user, guild, kind, TTL, the fence (empty:
it is not asked for), `new` (what is there already is to stay as it is), and what is to be added."""

_FORGET = """
for _, day in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], '-', '(' .. ARGV[2])) do
  for _, key in ipairs(redis.call('SMEMBERS', ARGV[1] .. day)) do redis.call('UNLINK', key) end
  redis.call('UNLINK', ARGV[1] .. day)
  redis.call('ZREM', KEYS[1], day)
end
return 1
"""

_READ = """
local found = {}
for _, day in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[2], '[' .. ARGV[3])) do
  local fields = redis.call('HGETALL', ARGV[1] .. day)
  for n = 1, #fields do table.insert(found, fields[n]) end
end
return found
"""
"""`usage:days`; what the hashes begin with, the first day, the last."""


class RedisUsage:
    """Each sum twice, by user and by server, so that either is read without looking at everybody's."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine
        self._add = engine.script(_ADD, grows=False)  # small, and needed to end what was accepted
        self._forget = engine.script(_FORGET, grows=False)
        self._read = engine.script(_READ, grows=False)

    async def add(
        self, day: str, *, user_id: str, guild_id: str | None, kind: str, usage: Usage, job: Job | None = None
    ) -> None:
        """Count one answered job.

        Other than in one SQLite transaction, the finish that was asked for at the same moment may come first: the job's
        own record says whether it was counted under this lease, open or done.
        """
        sums = (1, *(getattr(usage, name) for name in SUMS[1:]))
        await self.keep(day, user_id, guild_id or NO_GUILD, kind, sums, job=job)

    async def keep(
        self, day: str, user_id: str, guild_id: str, kind: str, sums: Sequence[int], *,
        job: Job | None = None, only_new: bool = False,
    ) -> bool:  # fmt: skip
        """Add to the sums of a row and return whether it was done; `only_new`: if there are none yet."""
        key = self._engine.key
        keys = [
            key("usage", "keys", day), key("usage", "days"), key("usage", "user", user_id, day),
            key("usage", "guild", guild_id, day), key("job", job.id if job else ""),
        ]  # fmt: skip
        fence = job.fence if job else ""
        arguments = (day, user_id, guild_id, kind, USAGE_KEPT_S, fence, "new" if only_new else "", *sums)
        return bool(await self._engine.run(self._add, keys, arguments))

    async def of_user(self, user_id: str, *, from_day: str, to_day: str) -> Mapping[str, UsageTotal]:
        rows = await self._rows(("user", user_id), from_day, to_day)
        return _totals((kind, sums) for _, kind, sums in rows)

    async def of_guild(self, guild_id: str, *, from_day: str, to_day: str) -> Mapping[str, UsageTotal]:
        rows = await self._rows(("guild", guild_id), from_day, to_day)
        return _totals((kind, sums) for _, kind, sums in rows)

    async def top_users(self, guild_id: str, *, from_day: str, to_day: str, limit: int = 5) -> Mapping[str, UsageTotal]:
        rows = await self._rows(("guild", guild_id), from_day, to_day)
        totals = _totals((user, sums) for user, _, sums in rows)
        most = sorted(totals, key=lambda user: (-totals[user].jobs, -totals[user].usage.micro_usd, user))
        return {user: totals[user] for user in most[:limit]}

    async def forget(self, *, before_day: str) -> None:
        key = self._engine.key
        await self._engine.run(self._forget, [key("usage", "days")], [key("usage", "keys", ""), before_day])

    async def _rows(self, whose: tuple[str, str], from_day: str, to_day: str) -> list[tuple[str, str, list[int]]]:
        """Return (server or user, kind, sums) of every row, of all the days."""
        key = self._engine.key
        found = await self._engine.run(self._read, [key("usage", "days")], [key("usage", *whose, ""), from_day, to_day])
        return [
            (*_split(name), [int(number) for number in sums.split()])
            for name, sums in zip(found[::2], found[1::2], strict=True)
        ]


def _split(name: bytes) -> tuple[str, str]:
    first, _, kind = name.decode().partition(":")
    return first, kind


def _totals(rows: Iterable[tuple[str, list[int]]]) -> Mapping[str, UsageTotal]:
    sums: dict[str, list[int]] = {}
    for name, numbers in rows:
        sums[name] = list(map(add, sums.get(name, [0] * len(SUMS)), numbers))
    return {name: UsageTotal(jobs, Usage(*usage)) for name, (jobs, *usage) in sums.items()}
