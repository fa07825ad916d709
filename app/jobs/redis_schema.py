"""Which schema a server holds: what `PRAGMA user_version` is to the SQLite file.

`{quartet}:schema` has two fields: `version`, and `oldest`, the oldest schema whose program may work on it at the same
time. The first program writes them; a newer one raises them. It is one of the few keys without an end, since it belongs
to all that is kept.
"""

from __future__ import annotations

from app.errors import StoreUnavailable
from app.jobs.redis_engine import RedisEngine

SCHEMA = 1
"""Grows with every change of what is kept, or under which key."""

OLDEST_COMPATIBLE = 1
"""As `app.jobs.schema.OLDEST_COMPATIBLE`: it stays while a change only adds what older programs may ignore."""

_RAISE = """
local found = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
local known, oldest = tonumber(ARGV[1]), tonumber(ARGV[2])
if found == 0 or (found >= oldest and found < known) then
    redis.call('HSET', KEYS[1], 'version', known, 'oldest', oldest)
end
return 0
"""

_NEWER = (
    "the store at {store} has schema {found}, and this program knows schemas up to {known}: a newer version of Quartet "
    "has written it. Nothing in it was changed. Start the newer version again, or restore a snapshot made before the "
    "upgrade (docs/backup.md)."
)
_OLDER = (
    "the store at {store} has schema {found}, and this version of Quartet works with {oldest} and later. Nothing in it "
    "was changed. Start the version that wrote it, and follow docs/upgrading.md."
)


async def open_with_schema(engine: RedisEngine, known: int = SCHEMA, oldest: int = OLDEST_COMPATIBLE) -> None:
    """Open the engine for reading and writing what is kept; raise `StoreUnavailable` if its schema is not for us."""
    await engine.open()
    try:
        await _agree(engine, known, oldest)
    except BaseException:
        await engine.close()
        raise


async def _agree(engine: RedisEngine, known: int, oldest: int) -> None:
    key = engine.key("schema")
    found, allowed = await _stands(engine, key)
    if found < known and (found == 0 or found >= oldest):
        await engine.run(engine.script(_RAISE), [key], [known, oldest])
        found, allowed = await _stands(engine, key)  # another program may have been faster
    if found > known and allowed > known:
        raise StoreUnavailable(_NEWER.format(store=engine.address, found=found, known=known))
    if found < oldest:
        raise StoreUnavailable(_OLDER.format(store=engine.address, found=found, oldest=oldest))


async def _stands(engine: RedisEngine, key: str) -> tuple[int, int]:
    """The store's schema, and the oldest it allows; zeros for one that is new. Only looks, for a full memory's sake."""
    fields = await engine.ask(lambda client: client.hmget(key, ["version", "oldest"]))
    found, oldest = (int(field or 0) for field in fields)
    return found, oldest or found
