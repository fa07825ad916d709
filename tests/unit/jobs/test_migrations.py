"""Upgrades and rollbacks of the file: what older versions left lives on, and no version meets what it can't read."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.jobs.job import Finish, LeaseRequest, NewJob, Outcome
from app.jobs.schema import MIGRATIONS, OLDEST_COMPATIBLE
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_backup import examine
from app.jobs.sqlite_engine import SqliteEngine
from tests.unit.jobs.kit import opened

NOW = 1_800_000_030.0
DUMP = Path(__file__).with_name("schema_1.sql")
DUMP_2 = Path(__file__).with_name("schema_2.sql")

ADDITIVE = (
    *MIGRATIONS,
    """
    ALTER TABLE jobs ADD COLUMN mood TEXT NOT NULL DEFAULT '';
    CREATE TABLE moods (job_id TEXT PRIMARY KEY, mood TEXT NOT NULL);
    CREATE INDEX jobs_by_mood ON jobs (mood) WHERE state='done';
    """,
)
"""A version to come whose new schema older programs may ignore."""

CHANGED = (*MIGRATIONS, "ALTER TABLE jobs RENAME COLUMN outcome TO ending")
"""A version to come that older programs would not understand."""


def left_by_version_1(path: Path) -> None:
    """Make the file that the dump is of."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text())


def left_by_schema_2(path: Path) -> None:
    """Make the file that the dump of schema 2 is of."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP_2.read_text())


def version_of(path: Path) -> int:
    """The file's schema."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def shape_of(path: Path) -> dict[str, list[str]]:
    """Tables with their columns, and indexes, as the file has them."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        return {
            f"{type} {name}": sorted(str(row[1:3]) for row in connection.execute(f"PRAGMA {type}_info({name})"))
            for type, name in sorted(names)
        }


@asynccontextmanager
async def alive(path: Path, instance: int) -> AsyncIterator[None]:
    """An instance of another version that beats on this file; it does not say goodbye."""

    async def beat() -> None:
        at = 0.0
        with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
            while True:
                at += 1
                connection.execute("INSERT OR REPLACE INTO instances VALUES (?,?,'{}')", (instance, at))
                await asyncio.sleep(0.02)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0)  # an instance that lives has beaten before anybody looks
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


async def refusal(path: Path, migrations: tuple[str, ...], oldest: int) -> str:
    """Return what a program says that can't use the file."""
    engine = SqliteEngine(path, migrations, oldest)
    with pytest.raises(StoreUnavailable) as caught:
        await engine.open()
    await engine.close()
    return str(caught.value)


class TestUpgrade:
    async def test_version_1_s_jobs_live_on(self, tmp_path: Path) -> None:
        """What waited and ran is leased with its fence, attempts and paid task; what ended stays; use is kept."""
        path = tmp_path / "quartet.db"
        left_by_version_1(path)
        async with opened(path, MIGRATIONS) as engine:
            store = SqliteJobStore(engine)
            jobs = await store.lease(LeaseRequest(2, 9, NOW, 20, {"chat": 9, "image": 9, "video": 9}))
            found = {job.id: (job.fence, job.attempts, dict(job.checkpoint)) for job in jobs}
            assert found == {
                "1001": (1, 1, {}),
                "1002": (3, 2, {}),
                "1003": (2, 2, {}),
                "1004": (2, 2, {"step": "submitted", "task_id": "task-7"}),
            }
            assert not any(job.stop or job.parts for job in jobs)
            for job in jobs:
                await store.finish(job, Finish(Outcome.ANSWERED, NOW))
            assert {job.id for job in await store.history()} == {str(n) for n in range(1001, 1007)}
            assert await engine.read(lambda c: c.execute("SELECT sum(value) FROM counters").fetchone()) == (2,)
            assert await engine.read(lambda c: c.execute("SELECT count(*) FROM calls").fetchone()) == (2,)

    async def test_an_upgraded_file_is_shaped_like_a_new_one(self, tmp_path: Path) -> None:
        """No table, column or index is only in the one or only in the other."""
        left_by_version_1(tmp_path / "old.db")
        left_by_schema_2(tmp_path / "later.db")
        for name in ("old.db", "later.db", "new.db"):
            async with opened(tmp_path / name, MIGRATIONS):
                pass
        assert shape_of(tmp_path / "old.db") == shape_of(tmp_path / "later.db") == shape_of(tmp_path / "new.db")

    async def test_schema_2_goes_on_beside_its_own_instances(self, tmp_path: Path) -> None:
        """Only indexes changed since: the upgrade waits for nobody, keeps no copy, and all that was open goes on."""
        path = tmp_path / "quartet.db"
        left_by_schema_2(path)
        async with alive(path, 3):
            engine = SqliteEngine(path, MIGRATIONS, OLDEST_COMPATIBLE)
            await engine.open()
            jobs = await SqliteJobStore(engine).lease(LeaseRequest(2, 9, NOW, 20, {"chat": 9, "image": 9, "video": 9}))
            await engine.close()
        assert {job.id: job.stop for job in jobs} == {"1001": False, "1002": False, "1003": True, "1004": False}
        assert version_of(path) == len(MIGRATIONS)
        assert not (tmp_path / "quartet.db.schema-2").exists()

    async def test_the_file_as_it_was_is_kept(self, tmp_path: Path) -> None:
        """A private copy of schema 1 lies beside it, whole: with it the old version can go on."""
        path = tmp_path / "quartet.db"
        left_by_version_1(path)
        async with opened(path, MIGRATIONS):
            pass
        kept = tmp_path / "quartet.db.schema-1"
        contents = examine(kept)
        assert (contents.schema, contents.rows["jobs"], contents.open_jobs) == (1, 6, 4)
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert version_of(path) == len(MIGRATIONS)

    async def test_without_room_for_the_copy_nothing_changes(self, tmp_path: Path) -> None:
        """The reason is said, and the old version can still use its file."""
        path = tmp_path / "quartet.db"
        left_by_version_1(path)
        (tmp_path / "quartet.db.schema-1.part").mkdir()
        said = await refusal(path, MIGRATIONS, OLDEST_COMPATIBLE)
        assert "could not be copied" in said and "quartet.db.schema-1" in said
        assert version_of(path) == 1

    async def test_not_under_instances_that_would_not_understand(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While one of the old version beats, the new one refuses, names it, and changes nothing."""
        monkeypatch.setattr("app.jobs.sqlite_migration.LOOK_FOR_S", 2.0)
        path = tmp_path / "quartet.db"
        left_by_version_1(path)
        async with alive(path, 3):
            said = await refusal(path, MIGRATIONS, OLDEST_COMPATIBLE)
        assert "(3)" in said and "schema 1" in said and "Stop all instances" in said
        assert f"schema {len(MIGRATIONS)}" in said
        assert version_of(path) == 1

    async def test_instances_that_died_do_not_keep_it_waiting(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Heartbeats of killed instances are left in the file; whoever does not beat for a while is dead."""
        monkeypatch.setattr("app.jobs.sqlite_migration.LOOK_FOR_S", 0.3)
        path = tmp_path / "quartet.db"
        left_by_version_1(path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("INSERT INTO instances VALUES (1, 1e12, '{}')")
            connection.commit()
        async with opened(path, MIGRATIONS):
            assert version_of(path) == len(MIGRATIONS)

    async def test_a_migration_that_fails_leaves_the_old_schema(self, tmp_path: Path) -> None:
        """All of a migration is done, or nothing."""
        path = tmp_path / "quartet.db"
        left_by_version_1(path)
        broken = (MIGRATIONS[0], "CREATE TABLE moods (mood TEXT); CREATE TABLE jobs (again TEXT)")
        assert "already exists" in await refusal(path, broken, 2)
        assert version_of(path) == 1
        assert "table moods" not in shape_of(path)


class TestRollback:
    async def test_additions_are_made_and_lived_with_while_this_version_runs(self, tmp_path: Path) -> None:
        """A rolling upgrade: this version, already open, goes on beside the newer one, and can be started anew."""
        path = tmp_path / "quartet.db"
        async with opened(path, MIGRATIONS) as engine, alive(path, 1):
            store = SqliteJobStore(engine)
            await store.put(NewJob("before", "chat", "5", 1, NOW, NOW + 885, b"{}"))
            newer = SqliteEngine(path, ADDITIVE, oldest=OLDEST_COMPATIBLE)
            await newer.open()
            await store.put(NewJob("beside", "chat", "6", 1, NOW, NOW + 885, b"{}"))
            jobs = await SqliteJobStore(newer).lease(LeaseRequest(1, 1, NOW, 20, {"chat": 9}))
            jobs += await store.lease(LeaseRequest(2, 1, NOW + 5, 20, {"chat": 9}))
            assert {job.id for job in jobs} == {"before", "beside"}
            for job in jobs:
                await store.finish(job, Finish(Outcome.ANSWERED, NOW))
            await newer.close()
        assert version_of(path) == len(ADDITIVE)
        async with opened(path, MIGRATIONS) as engine:
            store = SqliteJobStore(engine)
            assert await store.knows("beside")
            await store.put(NewJob("after", "chat", "5", 1, NOW, NOW + 885, b"{}"))
        assert version_of(path) == len(ADDITIVE)
        assert examine(path).rows["jobs"] == 3

    async def test_changes_are_not(self, tmp_path: Path) -> None:
        """A schema that this version would not understand is refused with both numbers, what to do, and untouched."""
        path = tmp_path / "quartet.db"
        async with opened(path, MIGRATIONS):
            pass
        newer = SqliteEngine(path, CHANGED, oldest=len(CHANGED))
        await newer.open()
        await newer.close()
        before = path.read_bytes()
        said = await refusal(path, MIGRATIONS, OLDEST_COMPATIBLE)
        assert f"schema {len(CHANGED)}" in said and f"up to {len(MIGRATIONS)}" in said
        assert f"quartet.db.schema-{len(MIGRATIONS)}" in said and "restore" in said
        assert path.read_bytes() == before

    async def test_the_kept_copy_brings_the_old_version_back(self, tmp_path: Path) -> None:
        """The copy that the upgrade kept is a backup as any other: moved into place, this version works on it."""
        path = tmp_path / "quartet.db"
        async with opened(path, MIGRATIONS) as engine:
            await SqliteJobStore(engine).put(NewJob("kept", "chat", "5", 1, NOW, NOW + 885, b"{}"))
        newer = SqliteEngine(path, CHANGED, oldest=len(CHANGED))
        await newer.open()
        await newer.close()
        (tmp_path / f"quartet.db.schema-{len(MIGRATIONS)}").replace(path)
        async with opened(path, MIGRATIONS) as engine:
            assert await SqliteJobStore(engine).knows("kept")

    async def test_what_may_be_ignored_is_said_by_the_latest(self, tmp_path: Path) -> None:
        """An addition allowed older programs; the change after it allows them no more."""
        path = tmp_path / "quartet.db"
        changed = (*ADDITIVE, "DROP TABLE moods")
        for migrations, oldest in ((ADDITIVE, OLDEST_COMPATIBLE), (changed, len(changed))):
            engine = SqliteEngine(path, migrations, oldest)
            await engine.open()
            await engine.close()
        assert f"schema {len(changed)}" in await refusal(path, MIGRATIONS, OLDEST_COMPATIBLE)
