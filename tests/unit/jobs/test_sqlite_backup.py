"""A backup is one whole and verified file, made while instances write; restoring answers nobody twice."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.errors import BackupUnusable
from app.jobs.job import Finish, Job, Outcome
from app.jobs.schema import MIGRATIONS, OLDEST_COMPATIBLE
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_backup import default_name, examine, prune, write_backup
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.sqlite_restore import end_quietly, prepared, put_in_place
from ops.envfile import ROOT
from tests.contract.job_store.kit import NOW, new, request


@asynccontextmanager
async def jobs_in(path: Path) -> AsyncIterator[SqliteJobStore]:
    """A job store on this file, closed whatever happens."""
    engine = SqliteEngine(path, MIGRATIONS, OLDEST_COMPATIBLE)
    try:
        await engine.open()
        yield SqliteJobStore(engine)
    finally:
        await engine.close()


async def answer(store: SqliteJobStore, job: Job) -> None:
    """End a job as its instance would."""
    await store.finish(job, Finish(Outcome.ANSWERED, NOW))


def names_in(directory: Path) -> list[str]:
    """Every file's name, sorted."""
    return sorted(file.name for file in directory.iterdir())


async def states(path: Path) -> dict[str, str]:
    """Every job's state and outcome."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {id: f"{state} {outcome}".strip() for id, state, outcome in connection.execute(
            "SELECT id, state, outcome FROM jobs ORDER BY seq"
        )}  # fmt: skip


def restore(store: Path, backup: Path, *, owed: tuple[str, ...] = ()) -> tuple[list[str], Path | None]:
    """Put a backup in place; of the jobs in doubt only `owed` are still to be answered. Returns who was in doubt."""
    with prepared(store, backup) as ready:
        in_doubt = [job.id for job in ready.in_doubt]
        end_quietly(ready.copy, [job for job in in_doubt if job not in owed], now=NOW)
        return in_doubt, put_in_place(ready.copy, store, now=NOW)


class TestBackup:
    async def test_made_in_the_middle_of_writing(self, tmp_path: Path) -> None:
        """Every job whose `put` had returned before is in it, none by half, and no writer fails meanwhile."""
        path, target = tmp_path / "quartet.db", tmp_path / "backup.db"
        async with jobs_in(path) as store:
            await asyncio.gather(*(store.put(new(f"before-{n}")) for n in range(300)))
            backing_up = asyncio.ensure_future(asyncio.to_thread(write_backup, path, target))
            written = 0
            while not backing_up.done():
                await store.put(new(f"during-{written}"))
                written += 1
            contents = await backing_up
        found = await states(target)
        assert sum(name.startswith("before-") for name in found) == 300
        during = [name for name in found if name.startswith("during-")]
        assert during == [f"during-{n}" for n in range(len(during))] and len(during) <= written
        assert contents.open_jobs == contents.rows["jobs"] == len(found)
        assert contents.schema == len(MIGRATIONS)

    async def test_one_private_file_and_nothing_beside_it(self, tmp_path: Path) -> None:
        """Only its user can read it, no log belongs to it, and what was deleted from the store is not in it."""
        path, target = tmp_path / "data" / "quartet.db", tmp_path / "kept" / "backup.db"
        async with jobs_in(path) as store:
            for n in range(50):
                await store.put(new(f"{n}", user="the-user-who-was-forgotten"))
            for job in await store.lease(request(limit=50)):
                await answer(store, job)
            assert await store.forget(finished_before=NOW + 1) == 50
            write_backup(path, target)
        assert [file.name for file in target.parent.iterdir()] == ["backup.db"]
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert b"the-user-who-was-forgotten" not in target.read_bytes()

    async def test_compressed_by_its_name(self, tmp_path: Path) -> None:
        """`.gz` is a gzip file of the same backup, and restores the same."""
        path, target = tmp_path / "quartet.db", tmp_path / "backup.db.gz"
        async with jobs_in(path) as store:
            await store.put(new("a"))
            write_backup(path, target)
        plain = tmp_path / "plain.db"
        plain.write_bytes(gzip.decompress(target.read_bytes()))
        assert examine(plain).open_jobs == 1
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        elsewhere = tmp_path / "elsewhere" / "quartet.db"
        assert restore(elsewhere, target, owed=("a",)) == (["a"], None)
        assert await states(elsewhere) == {"a": "waiting"}

    async def test_never_over_another_file(self, tmp_path: Path) -> None:
        """A name that is taken is refused, and what is there stays."""
        path, target = tmp_path / "quartet.db", tmp_path / "backup.db"
        target.write_text("precious")
        async with jobs_in(path):
            with pytest.raises(BackupUnusable, match="exists already"):
                write_backup(path, target)
        assert target.read_text() == "precious"
        assert names_in(tmp_path) == ["backup.db", "quartet.db"]

    async def test_a_place_that_can_not_be_written(self, tmp_path: Path) -> None:
        """The reason is said, and nothing is left behind."""
        path = tmp_path / "quartet.db"
        async with jobs_in(path):
            (tmp_path / "file").touch()
            with pytest.raises(BackupUnusable, match="could not be made"):
                write_backup(path, tmp_path / "file" / "backup.db")
        with pytest.raises(BackupUnusable, match="no store at"):
            write_backup(tmp_path / "none.db", tmp_path / "backup.db")
        assert not (tmp_path / "none.db").exists()
        assert not (tmp_path / "backup.db").exists()

    def test_the_oldest_go(self, tmp_path: Path) -> None:
        """The newest by name stay, compressed or not; files with other names are not touched."""
        names = [default_name(NOW + 60 * n) + (".gz" if n % 2 else "") for n in range(5)]
        for name in (*names, "quartet-mine.db", "other.db"):
            (tmp_path / name).touch()
        assert [path.name for path in prune(tmp_path, 2)] == names[:3]
        assert {path.name for path in tmp_path.iterdir()} == {*names[3:], "quartet-mine.db", "other.db"}


class TestRestore:
    async def test_what_was_answered_since_stays_answered(self, tmp_path: Path) -> None:
        """Jobs open in the backup have the present file's end; what was accepted since is carried over, still owed."""
        path, backup = tmp_path / "quartet.db", tmp_path / "backup.db"
        async with jobs_in(path) as store:
            for name in ("answered", "running", "waiting"):
                await store.put(new(name))
            write_backup(path, backup)
            first, second = await store.lease(request(limit=2))
            await answer(store, first)
            await store.checkpoint(second, {"task": "paid"}, pin=True)
            await store.put(new("since"))
        in_doubt, aside = restore(path, backup)
        assert in_doubt == []
        assert await states(path) == {
            "answered": "done answered", "running": "running", "waiting": "waiting", "since": "waiting",
        }  # fmt: skip
        assert aside is not None and await states(aside) == await states(path)
        async with jobs_in(path) as store:
            (again,) = await store.lease(request(owner=1, limit=1, now=NOW + 60))
            assert (again.id, again.fence, again.checkpoint) == ("running", 2, {"task": "paid"})

    async def test_a_damaged_store_leaves_the_open_jobs_in_doubt(self, tmp_path: Path) -> None:
        """Those that Discord still waits for stay owed, the others end without a word; the damaged file is kept."""
        path, backup = tmp_path / "quartet.db", tmp_path / "backup.db"
        async with jobs_in(path) as store:
            for name in ("owed", "answered"):
                await store.put(new(name))
            write_backup(path, backup)
        path.write_bytes(b"not a database" * 1000)
        in_doubt, aside = restore(path, backup, owed=("owed",))
        assert in_doubt == ["owed", "answered"]
        assert await states(path) == {"owed": "waiting", "answered": "done undeliverable"}
        assert aside is not None and aside.read_bytes().startswith(b"not a database")
        async with jobs_in(path) as store:
            assert [job.id for job in await store.lease(request())] == ["owed"]
            (ended,) = await store.history()
            assert (ended.id, ended.error) == ("answered", "Restored")

    async def test_a_log_left_behind_is_not_replayed(self, tmp_path: Path) -> None:
        """Symptom: with its file deleted but not its log, a store came back with pages of both, and was damaged.
        Cause: SQLite replays a log into whatever file bears the name. Rule: a log goes aside with its file.
        """
        path, backup, log = tmp_path / "quartet.db", tmp_path / "backup.db", tmp_path / "quartet.db-wal"
        async with jobs_in(path) as store:
            await store.put(new("kept"))
            write_backup(path, backup)
            await asyncio.gather(*(store.put(new(f"{n}")) for n in range(100)))
            left = log.read_bytes()
        path.unlink()
        log.write_bytes(left)
        assert restore(path, backup, owed=("kept",)) == (["kept"], None)
        assert not log.exists()
        assert await states(path) == {"kept": "waiting"}
        assert examine(path).open_jobs == 1
        assert any(name.endswith("-wal") and "before-restore" in name for name in names_in(tmp_path))

    async def test_what_users_chose_is_the_backups_and_what_was_used_is_never_less(self, tmp_path: Path) -> None:
        """Preferences go back; counters and calls of the day do not, or a key would be used beyond its limit."""
        path, backup = tmp_path / "quartet.db", tmp_path / "backup.db"
        async with jobs_in(path) as store:
            write = store._engine.write
            await write(lambda c: c.execute("INSERT INTO preferences VALUES ('user','5','old',1)").rowcount)
            await write(lambda c: c.execute("INSERT INTO counters VALUES ('2026-01-01','calls:x',3)").rowcount)
            await write(lambda c: c.execute("INSERT INTO calls VALUES ('x',1.0)").rowcount)
            write_backup(path, backup)
            await write(lambda c: c.execute("UPDATE preferences SET value='new', version=2").rowcount)
            await write(lambda c: c.execute("UPDATE counters SET value=7").rowcount)
            await write(lambda c: c.execute("INSERT INTO calls VALUES ('x',2.0)").rowcount)
        restore(path, backup)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT value FROM preferences").fetchall() == [("old",)]
            assert connection.execute("SELECT value FROM counters").fetchall() == [(7,)]
            assert connection.execute("SELECT at FROM calls ORDER BY at").fetchall() == [(1.0,), (2.0,)]

    async def test_refused_while_somebody_uses_the_store(self, tmp_path: Path) -> None:
        """The sentence says what to do; nothing has changed, and the user goes on."""
        path, backup = tmp_path / "quartet.db", tmp_path / "backup.db"
        async with jobs_in(path) as store:
            await store.put(new("a"))
            write_backup(path, backup)
            before = names_in(tmp_path)
            environment = {**os.environ, "STORE_URL": f"sqlite:///{path}", "DISCORD_APPLICATION_ID": "1"}
            command = [sys.executable, str(ROOT / "scripts" / "backup.py"), "restore", str(backup)]
            # A process of its own, as an operator's is: file locks are between processes.
            done = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
            _, said = await done.communicate()
            assert done.returncode == 1 and b"is in use" in said and b"stop" in said
            assert names_in(tmp_path) == before
            await store.put(new("b"))

    @pytest.mark.parametrize(
        ("content", "word"),
        [(b"nonsense" * 999, "damaged or no database"), (b"", "none of Quartet's"), (b"\x1f\x8bcut", "can't be read")],
    )
    async def test_no_backup_at_all(self, tmp_path: Path, content: bytes, word: str) -> None:
        """What is no backup is refused with its name, before anything is touched."""
        path, backup = tmp_path / "quartet.db", tmp_path / "backup.db"
        backup.write_bytes(content)
        async with jobs_in(path) as store:
            await store.put(new("a"))
        before = path.read_bytes()
        with pytest.raises(BackupUnusable, match=word):
            restore(path, backup)
        assert path.read_bytes() == before
        assert names_in(tmp_path) == ["backup.db", "quartet.db"]

    async def test_a_torn_backup(self, tmp_path: Path) -> None:
        """A backup whose pages were overwritten is found out by looking through it."""
        path, backup = tmp_path / "quartet.db", tmp_path / "backup.db"
        async with jobs_in(path) as store:
            await asyncio.gather(*(store.put(new(str(n))) for n in range(500)))
            write_backup(path, backup)
        torn = bytearray(backup.read_bytes())
        torn[4096 * 3 : 4096 * 9] = b"\xa5" * 4096 * 6
        backup.write_bytes(torn)
        with pytest.raises(BackupUnusable, match="damaged"):
            restore(path, backup)

    async def test_a_backup_of_a_newer_version(self, tmp_path: Path) -> None:
        """Refused with both schemas."""
        path, backup = tmp_path / "quartet.db", tmp_path / "backup.db"
        async with jobs_in(path):
            write_backup(path, backup)
        with contextlib.closing(sqlite3.connect(backup)) as connection:
            connection.execute("DELETE FROM compatibility")
            connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
            connection.commit()
        with pytest.raises(BackupUnusable, match=f"schema {len(MIGRATIONS) + 1}.* up to {len(MIGRATIONS)}"):
            restore(path, backup)
