"""What every job store promises (app/jobs/store.py), whatever lies underneath.

`two` are two stores on the same data, as two instances' processes would have them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_store import RedisJobStore
from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.store import JobStore


@pytest.fixture(params=["sqlite", "redis"])
async def two(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[JobStore, JobStore]]:
    """Two stores on one file, or on one server."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        servers = [RedisEngine(url) for _ in range(2)]
        for server in servers:
            await server.open()
        yield RedisJobStore(servers[0]), RedisJobStore(servers[1])
        for server in servers:
            await server.close()
        return
    engines = [SqliteEngine(tmp_path / "jobs.db", MIGRATIONS) for _ in range(2)]
    for engine in engines:
        await engine.open()
    yield SqliteJobStore(engines[0]), SqliteJobStore(engines[1])
    for engine in engines:
        await engine.close()


@pytest.fixture
def store(two: tuple[JobStore, JobStore]) -> JobStore:
    """The first of the two."""
    return two[0]
