"""A file that an earlier version wrote goes on in this one, with what is under way in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from app.jobs.job import Finish, LeaseRequest, NewJob, Outcome, Repeat
from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite import SqliteJobStore
from app.jobs.store import PutResult
from tests.unit.jobs.kit import opened

NOW = 1_800_000_000.0

_ROW = (
    "INSERT INTO jobs (id, kind, user_id, home, state, received_at, expires_at, payload, fence, outcome, finished_at) "
    "VALUES (?, 'chat', '5', 1, ?, ?, ?, ?, ?, ?, ?)"
)


def written_by_the_first_version(path: Path) -> None:
    """Make a file of schema 1: a job that waits, one that ended for good, and one whose user may repeat it once."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(MIGRATIONS[0])
        connection.execute("PRAGMA user_version=1")
        until = NOW + 885
        connection.execute(_ROW, ("waits", "waiting", NOW, until, b"{}", 0, "", None))
        connection.execute(_ROW, ("ended", "done", NOW, until, None, 1, "answered", NOW))
        connection.execute(_ROW, ("unknown", "done", NOW, until, b'{"data":1}', 1, "failed", NOW))
        connection.commit()


async def test_what_the_first_version_left(tmp_path: Path) -> None:
    """What waits is served, what may be repeated once is repeated once, and what ended stays ended."""
    path = tmp_path / "quartet.db"
    written_by_the_first_version(path)
    async with opened(path, MIGRATIONS) as engine:
        store = SqliteJobStore(engine)
        (job,) = await store.lease(LeaseRequest(1, 9, NOW, 20, {"chat": 9}))
        assert (job.id, job.stop, list(job.parts), job.payload) == ("waits", False, [], b"{}")
        await store.finish(job, Finish(Outcome.ANSWERED, NOW, repeat=Repeat.ALWAYS))
        new = NewJob("a", "chat", "5", 1, NOW, NOW + 885, b"{}", repeats="unknown")
        found = await store.repeatable("unknown", user_id="5")
        assert found is not None and found.payload == b'{"data":1}'
        assert await store.put(new) is PutResult.ACCEPTED
        assert await store.put(replace(new, id="b")) is PutResult.GONE
        assert await store.put(replace(new, id="c", repeats="ended")) is PutResult.GONE
        assert await store.put(replace(new, id="d", repeats="waits")) is PutResult.ACCEPTED
