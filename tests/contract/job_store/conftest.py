"""What every job store promises (app/jobs/store.py), whatever lies underneath.

`two` are two stores on the same data, as two instances' processes would have them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.store import JobStore


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[JobStore, JobStore]]:
    """Two stores on one file."""
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
