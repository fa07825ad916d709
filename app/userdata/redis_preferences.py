"""Preferences in Redis or Valkey.

`preferences` is a hash (`<scope>:<id>` → the choices as JSON), `preferences:order` a sorted set of the same names by
the version of their last change, `preferences:version` the last version that was given. None of them has an end: they
are the users' own choices, and only users take them back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from app.jobs.redis_engine import RedisEngine
from app.userdata.preferences import NO_PREFERENCES, Preferences, Scope, StoredPreferences
from app.userdata.sqlite_preferences import preferences_from

_PUT = """
if ARGV[3] == 'new' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
local version = redis.call('INCR', KEYS[3])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], version, ARGV[1])
return version
"""
"""preferences, order, version; name, choices, `new` (if a choice that is there already is to stay as it is)."""

_CHANGED = """
local found = {}
local changed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #changed, 2 do
  table.insert(found, {changed[i], redis.call('HGET', KEYS[1], changed[i]), changed[i + 1]})
end
return found
"""


class RedisPreferences:
    """One field for each user or server that ever chose something.

    A field without choices is kept, empty: it tells the other instances that there are none any more.
    """

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine
        self._keys = [
            engine.key("preferences"),
            engine.key("preferences", "order"),
            engine.key("preferences", "version"),
        ]
        self._put = engine.script(_PUT)
        self._changed = engine.script(_CHANGED, grows=False)

    async def get(self, scope: Scope, id: str) -> Preferences:
        found = await self._engine.ask(lambda redis: redis.hget(self._keys[0], f"{scope.value}:{id}"))
        return preferences_from(found) if found else NO_PREFERENCES

    async def put(self, scope: Scope, id: str, preferences: Preferences) -> int:
        return await self.keep(scope, id, preferences, replace=True)

    async def keep(self, scope: Scope, id: str, preferences: Preferences, *, replace: bool) -> int:
        """Do what `put` does; without `replace`, a choice that is there stays as it is, and 0 is returned."""
        value = json.dumps(preferences.chosen(), ensure_ascii=False)
        arguments = (f"{scope.value}:{id}", value, "" if replace else "new")
        return int(await self._engine.run(self._put, self._keys, arguments))

    async def changed(self, *, after: int, limit: int = 1000) -> Sequence[StoredPreferences]:
        found = await self._engine.run(self._changed, self._keys, [after, limit])
        return [_stored(name.decode(), value, version) for name, value, version in found]


def _stored(name: str, value: bytes, version: bytes) -> StoredPreferences:
    scope, _, id = name.partition(":")
    return StoredPreferences(Scope(scope), id, preferences_from(value), int(version))
