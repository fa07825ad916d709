"""How much of the disk the file and its log take."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.jobs.job import Finish, LeaseRequest, NewJob, Outcome, Repeat
from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite import SqliteJobStore
from tests.unit.jobs.kit import MIGRATIONS as WORDS
from tests.unit.jobs.kit import add, opened, words

NOW = 1_800_000_000.0
JOBS, AT_ONCE = 200, 10
PAYLOAD, ANSWER, KEPT = b"p" * 1800, b"a" * 700, b"k" * 400


async def test_a_finished_job_takes_little_more_than_what_is_kept_of_it(tmp_path: Path) -> None:
    """Symptom: 4.3 KB of file for each finished job of 0.6 KB. Cause: the kept answer did not fit on the page beside
    another job, and pages are not joined by updates. Rule: what a job needed while it was open is free at its end.
    """
    path = tmp_path / "quartet.db"
    async with opened(path, MIGRATIONS) as engine:
        store = SqliteJobStore(engine)
        for first in range(0, JOBS, AT_ONCE):
            for n in range(first, first + AT_ONCE):
                await store.put(NewJob(f"job-{n}", "chat", f"user-{n % 50}", 1, NOW + n, NOW + 900, PAYLOAD))
            jobs = await store.lease(LeaseRequest(1, AT_ONCE, NOW + JOBS, 20.0, {"chat": AT_ONCE}))
            for job in jobs:
                await store.keep(job, ANSWER)
            for job in jobs:
                await store.finish(job, Finish(Outcome.ANSWERED, NOW + JOBS, "openai", repeat=Repeat.ALWAYS, body=KEPT))
        found = await store.repeatable("job-7", user_id="user-7")
        assert found is not None and found.payload == KEPT
        assert len(await store.history(limit=1000)) == JOBS
    with closing(sqlite3.connect(path)) as connection:
        (taken,) = connection.execute("SELECT sum(pgsize) FROM dbstat WHERE name='jobs'").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert taken / JOBS < 1.6 * len(KEPT) + 300


async def test_the_log_shrinks_again_after_a_burst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody reads an old state the log only grows; once they are gone it is cut to its bound."""
    monkeypatch.setattr("app.jobs.sqlite_engine.LARGEST_LOG", 65_536)
    path, log = tmp_path / "words.db", tmp_path / "words.db-wal"
    async with opened(path, WORDS) as engine:
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM words").fetchone()
            for n in range(8):
                await engine.write(add(f"{n}" * 1_000_000))
            assert log.stat().st_size > 8_000_000
            reader.execute("COMMIT")
        for n in range(3):
            await engine.write(add(f"later {n}"))
        assert log.stat().st_size <= 65_536
        assert len(await words(engine)) == 11
