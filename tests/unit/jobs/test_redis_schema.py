"""The server says which schema it holds: programs that would not understand it leave it alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.errors import StoreUnavailable
from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_schema import OLDEST_COMPATIBLE, SCHEMA, open_with_schema
from tests.redis_kit import RedisServer, running_redis

KEY = "{quartet}:schema"


@pytest.fixture(name="server")
def a_server() -> Iterator[RedisServer]:
    """A server of this test's own."""
    with running_redis() as server:
        yield server


def schema_of(server: RedisServer) -> tuple[int, int]:
    """What the server says: its schema, and the oldest it allows."""
    version, oldest = server.call("HMGET", KEY, "version", "oldest")
    return int(version or 0), int(oldest or 0)


async def opened(server: RedisServer, known: int, oldest: int) -> None:
    """A program of that schema starts and ends."""
    engine = RedisEngine(server.url)
    await open_with_schema(engine, known, oldest)
    await engine.close()


async def test_the_first_program_says_its_schema(server: RedisServer) -> None:
    """A new server gets it at the first start; it has no end, and later starts leave it."""
    for _ in range(2):
        await opened(server, SCHEMA, OLDEST_COMPATIBLE)
        assert schema_of(server) == (SCHEMA, OLDEST_COMPATIBLE)
    assert server.call("TTL", KEY) == -1


async def test_additions_can_be_rolled_back(server: RedisServer) -> None:
    """A newer program that only adds raises the schema; the older one still works with it, and leaves it raised."""
    await opened(server, 1, 1)
    await opened(server, 2, 1)
    assert schema_of(server) == (2, 1)
    await opened(server, 1, 1)
    assert schema_of(server) == (2, 1)


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        ((3, 3), (2, 2), "has schema 3, and this program knows schemas up to 2"),
        ((1, 1), (3, 2), "has schema 1, and this version of Quartet works with 2 and later"),
    ],
)
async def test_what_would_not_be_understood_is_left_alone(
    server: RedisServer, first: tuple[int, int], second: tuple[int, int], word: str
) -> None:
    """Both schemas are named, the server is as it was, and the engine is closed."""
    await opened(server, *first)
    engine = RedisEngine(server.url)
    with pytest.raises(StoreUnavailable, match=word):
        await open_with_schema(engine, *second)
    assert schema_of(server) == first
    with pytest.raises(StoreUnavailable, match="not open"):
        await engine.time()


async def test_a_full_memory_keeps_nobody_from_starting(server: RedisServer) -> None:
    """What is there needs only to be looked at, so instances can start and bring jobs to their end."""
    await opened(server, SCHEMA, OLDEST_COMPATIBLE)
    server.set("maxmemory", "1")
    await opened(server, SCHEMA, OLDEST_COMPATIBLE)
