"""Reading what a Redis or Valkey server keeps out, and putting jobs of another store into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis

from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_scripts import DONE_TTL_S, OPEN_TTL_S, TAKE_OVER
from app.jobs.transfer import PAGE, StoredJob

SCANNED = 500
"""Keys looked at in one step: other clients come between."""

LARGEST_PIECE = 4 * 1024 * 1024

Fields = Mapping[bytes, bytes]

_NUMBERS = ("home", "owner", "fence", "attempts", "pinned", "avoid", "stop")
_MOMENTS = ("received_at", "expires_at", "avoid_until", "started_at", "finished_at")
_TEXTS = ("kind", "state", "put_by", "because", "checkpoint", "outcome", "provider", "error", "repeat", "parts")
_BYTES = ("payload", "result")
_RENAMED = {"user_id": "user", "guild_id": "guild", "channel_id": "channel"}
_OPTIONAL = frozenset({"guild_id", "channel_id", "checkpoint", "parts"})
"""Absent if there is nothing in them; other texts are empty then."""


async def hashes(engine: RedisEngine, pattern: str) -> AsyncIterator[list[tuple[str, Fields]]]:
    """Return every hash whose key matches, once, a bounded number at a time; the order is the server's."""
    seen: set[bytes] = set()
    async for keys in keys_like(engine, pattern):
        fresh = [key for key in dict.fromkeys(keys) if key not in seen]
        seen.update(fresh)
        found = zip(fresh, await _read(engine, fresh), strict=True)
        page = [(key.decode(), fields) for key, fields in found if fields]
        if page:
            yield page


async def keys_like(engine: RedisEngine, pattern: str) -> AsyncIterator[list[bytes]]:
    """Return the keys that match, some perhaps twice, a bounded number at a time."""
    cursor: int | None = None
    while cursor != 0:
        cursor, keys = await engine.ask(_scan(cursor or 0, pattern))
        yield keys


def _scan(cursor: int, pattern: str) -> Any:
    return lambda redis: redis.scan(cursor, match=pattern, count=SCANNED)


async def _read(engine: RedisEngine, keys: Sequence[bytes]) -> list[Fields]:
    async def read(redis: Redis) -> list[Fields]:
        async with redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            return cast(list[Fields], await pipeline.execute())

    return await engine.ask(read) if keys else []


class RedisJobTransfer:
    """The jobs of the server."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine

    async def pages(self) -> AsyncIterator[Sequence[StoredJob]]:
        engine, prefix = self._engine, self._engine.key("job", "")
        order: dict[bytes, int] = {}
        async for keys in keys_like(engine, engine.key("job", "*")):
            seqs = [int(fields.get(b"seq", 0)) for fields in await _read(engine, keys)]
            order.update(zip(keys, seqs, strict=True))
        running = await engine.ask(lambda redis: redis.zrange(engine.key("leases"), 0, -1, withscores=True))
        leases = dict(cast(list[tuple[bytes, float]], running))
        names = sorted(order, key=lambda name: order[name])
        for start in range(0, len(names), PAGE):
            page = names[start : start + PAGE]
            found = zip([name.decode().removeprefix(prefix) for name in page], await _read(engine, page), strict=True)
            yield [_job(id, fields, leases.get(id.encode())) for id, fields in found if fields]

    async def take_over(self, records: Sequence[StoredJob]) -> int:
        return sum([await self._keep(some) for some in _bounded(records)])

    async def _keep(self, jobs: Sequence[StoredJob]) -> int:
        arguments: list[str | bytes | int | float] = []
        for job in jobs:
            fields = list(_fields(job))
            ttl = DONE_TTL_S if job.finished_at is not None else max(0, job.expires_at - job.received_at) + OPEN_TTL_S
            arguments += [job.id, job.state, job.fence, len(fields) // 2, *fields, job.lease_until or "", int(ttl)]
        return int(await self._engine.run(TAKE_OVER, (), arguments))


def _bounded(jobs: Sequence[StoredJob]) -> Iterator[Sequence[StoredJob]]:
    """Cut jobs into pieces that the server takes in in good time: a result may be many megabytes."""
    piece: list[StoredJob] = []
    size = 0
    for job in jobs:
        weight = len(job.payload or b"") + len(job.result or b"")
        if piece and size + weight > LARGEST_PIECE:
            yield piece
            piece, size = [], 0
        piece.append(job)
        size += weight
    if piece:
        yield piece


def _fields(job: StoredJob) -> Iterator[str | bytes | int | float]:
    """Return names and values of a job's hash, one after the other, without those that have none."""
    for name in (*_RENAMED, *_TEXTS, *_MOMENTS, *_NUMBERS, *_BYTES):
        value = getattr(job, name)
        if value is not None and (value != "" or name not in ("repeat", "outcome")):
            yield _RENAMED.get(name, name)
            yield value
    if job.avoid is not None and job.avoid_until is None:
        yield "avoid_until"
        yield ""  # as a release leaves it, which the lease's script relies on


def _job(id: str, fields: Fields, lease_until: float | None) -> StoredJob:
    told = {name.decode(): value for name, value in fields.items()}
    values: dict[str, Any] = {name: int(told[name]) for name in _NUMBERS if told.get(name)}
    values |= {name: float(told[name]) for name in _MOMENTS if told.get(name)}
    values |= {name: told[name] for name in _BYTES if name in told}
    for name in (*_RENAMED, *_TEXTS):
        value = told.get(_RENAMED.get(name, name))
        if value or (value is not None and name not in _OPTIONAL):
            values[name] = value.decode()
    return StoredJob(id=id, lease_until=lease_until, **values)
