"""Both engines, opened twice on the same data, as two instances' processes would have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.jobs.redis_engine import RedisEngine
from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite_engine import SqliteEngine

Engine = SqliteEngine | RedisEngine


@pytest.fixture(params=["sqlite", "redis"])
async def engines(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Engine, Engine]]:
    """Two engines on one file, or on one server."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        two: tuple[Engine, Engine] = (RedisEngine(url), RedisEngine(url))
    else:
        two = (SqliteEngine(tmp_path / "store.db", MIGRATIONS), SqliteEngine(tmp_path / "store.db", MIGRATIONS))
    for engine in two:
        await engine.open()
    yield two
    for engine in two:
        await engine.close()
