"""The file: made once, private, durable, and whatever happens to it is said clearly and healed from."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.jobs.schema import MIGRATIONS as RELEASED
from app.jobs.sqlite_engine import LOOK_AFTER_S, SqliteEngine
from tests.unit.jobs.kit import (
    MIGRATIONS,
    add,
    file_system,
    locked_by_another_process,
    opened,
    remount,
    words,
    words_in,
)


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    """Return a setting of a connection."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def modes_in(directory: Path) -> dict[str, int]:
    """Return the permissions of each file in a directory."""
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


async def refusal(path: Path, migrations: tuple[str, ...] = MIGRATIONS) -> str:
    """Return what `open` says of a file it can't take; afterwards the engine refuses at once and closes."""
    engine = SqliteEngine(path, migrations)
    with pytest.raises(StoreUnavailable) as caught:
        await engine.open()
    with pytest.raises(StoreUnavailable, match="not open"):
        await asyncio.wait_for(engine.write(add("a")), 1)
    await engine.close()
    return str(caught.value)


class TestDurability:
    async def test_every_commit_is_flushed(self, tmp_path: Path) -> None:
        """The writer's own connection says: write-ahead log, synchronous FULL (2), shrinking by increments (2)."""
        async with opened(tmp_path / "words.db") as engine:
            assert await engine.write(lambda c: pragma(c, "journal_mode")) == "wal"
            assert await engine.write(lambda c: pragma(c, "synchronous")) == 2
            assert await engine.write(lambda c: pragma(c, "auto_vacuum")) == 2

    async def test_a_transaction_waits_for_others_less_long_than_discord(self, tmp_path: Path) -> None:
        """The busy timeout is what the code says it is, and below three seconds."""
        async with opened(tmp_path / "words.db") as engine:
            assert await engine.write(lambda c: pragma(c, "busy_timeout")) == int(LOOK_AFTER_S * 1000)

    async def test_what_was_deleted_is_given_back(self, tmp_path: Path) -> None:
        """Symptom: the file never shrank. Cause: `sqlite3` steps `incremental_vacuum(256)` once, which frees one page.
        Rule: each `vacuum` gives back up to 256 pages, and the rest the next time.
        """
        async with opened(tmp_path / "words.db") as engine:
            await asyncio.gather(*(engine.write(add(f"{n} " + "x" * 4000)) for n in range(300)))
            await engine.write(lambda c: c.execute("DELETE FROM words").rowcount)
            sizes = [await engine.read(lambda c: pragma(c, "page_count"))]
            for _ in range(4):
                await engine.vacuum()
                sizes.append(await engine.read(lambda c: pragma(c, "page_count")))
            assert sizes[0] > 600
            assert 200 <= sizes[0] - sizes[1] <= 258
            assert sizes[-1] < 20


class TestPrivacy:
    @pytest.fixture(autouse=True)
    def open_to_all(self) -> Iterator[None]:
        """Run under the most generous umask: what is private then, is so by our doing."""
        before = os.umask(0)
        yield
        os.umask(before)

    async def test_nobody_else_reads_what_users_wrote(self, tmp_path: Path) -> None:
        """Symptom: the write-ahead log, which holds questions and tokens, was readable by everybody. Cause: the file's
        mode was set after SQLite had made the log with the old one. Rule: file, log and index are 0600, their
        directory 0700.
        """
        path = tmp_path / "data" / "words.db"
        async with opened(path) as engine:
            await engine.write(add("secret"))
            assert modes_in(path.parent) == {"words.db": 0o600, "words.db-wal": 0o600, "words.db-shm": 0o600}
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    async def test_a_file_that_was_readable_is_made_private(self, tmp_path: Path) -> None:
        """Also one of an earlier version, and what its crash left beside it."""
        path = tmp_path / "words.db"
        async with opened(path) as engine:
            await engine.write(add("a"))
            for name in modes_in(tmp_path):
                (tmp_path / name).chmod(0o666)
            async with opened(path):
                assert set(modes_in(tmp_path).values()) == {0o600}


class TestMigration:
    async def test_each_runs_once_and_in_order(self, tmp_path: Path) -> None:
        """A later version's file keeps its rows and gets what is new."""
        path = tmp_path / "words.db"
        async with opened(path) as engine:
            await engine.write(add("kept"))
        later = (
            *MIGRATIONS,
            "ALTER TABLE words ADD COLUMN seen INTEGER NOT NULL DEFAULT 7; CREATE INDEX i ON words (seen)",
        )
        for _ in range(2):
            async with opened(path, later) as engine:
                assert await engine.read(lambda c: c.execute("SELECT word, seen FROM words").fetchall()) == [
                    ("kept", 7)
                ]
                assert await engine.read(lambda c: pragma(c, "user_version")) == 2

    async def test_a_newer_file_is_refused_untouched(self, tmp_path: Path) -> None:
        """An older program says which schema it found and what to do, and changes nothing."""
        path = tmp_path / "words.db"
        async with opened(path, (*MIGRATIONS, "CREATE TABLE new (id INTEGER)")) as engine:
            await engine.write(add("kept"))
        said = await refusal(path)
        assert "has schema 2" in said and "knows schemas up to 1" in said and str(path) in said
        assert "newer version" in said and "restore a backup" in said
        assert words_in(path) == ["kept"]

    async def test_one_that_fails_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """The version before stays whole."""
        path = tmp_path / "words.db"
        async with opened(path) as engine:
            await engine.write(add("kept"))
        assert "syntax" in await refusal(path, (*MIGRATIONS, "CREATE TABLE half (id INTEGER); nonsense"))
        async with opened(path) as engine:
            assert await engine.read(lambda c: pragma(c, "user_version")) == 1
            assert await words(engine) == ["kept"]

    async def test_the_released_schema_opens(self, tmp_path: Path) -> None:
        """The product's own migrations run on a new file and again on the same."""
        for _ in range(2):
            async with opened(tmp_path / "quartet.db", RELEASED) as engine:
                assert await engine.read(lambda c: pragma(c, "user_version")) == len(RELEASED)


class TestBadPlaces:
    async def test_a_directory(self, tmp_path: Path) -> None:
        """Said by name, and its permissions are left alone."""
        place = tmp_path / "dir"
        place.mkdir(mode=0o755)
        assert "is a directory" in await refusal(place)
        assert stat.S_IMODE(place.stat().st_mode) == 0o755

    async def test_below_a_file(self, tmp_path: Path) -> None:
        """A parent that is a file."""
        (tmp_path / "file").write_text("x")
        assert str(tmp_path / "file") in await refusal(tmp_path / "file" / "words.db")

    async def test_a_file_of_something_else(self, tmp_path: Path) -> None:
        """It is refused, and its content stays."""
        path = tmp_path / "notes.txt"
        path.write_text("not a database, but somebody's notes\n" * 100)
        assert "not a database" in await refusal(path)
        assert path.read_text() == "not a database, but somebody's notes\n" * 100

    async def test_a_damaged_file(self, tmp_path: Path) -> None:
        """A file with a torn page is refused before anything is written to it, with what to do; its bytes stay."""
        path = tmp_path / "words.db"
        async with opened(path) as engine:
            await asyncio.gather(*(engine.write(add("word" * 300 + str(n))) for n in range(200)))
        torn = bytearray(path.read_bytes())
        torn[4096 * 3 : 4096 * 6] = b"\xa5" * 4096 * 3
        path.write_bytes(torn)
        said = await refusal(path)
        assert "is damaged" in said and "move it aside" in said
        assert path.read_bytes() == bytes(torn)

    async def test_a_directory_that_can_not_be_written(self, tmp_path: Path) -> None:
        """Refused with the system's own word for it."""
        with file_system(tmp_path / "ro") as place:
            if place is None:
                (tmp_path / "ro").chmod(0o500)
            else:
                remount(place, "ro")
            said = await refusal(tmp_path / "ro" / "words.db")
            assert "Read-only file system" in said or "Permission denied" in said


class TestTrouble:
    async def test_another_process_holds_the_lock_too_long(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Those who ask meanwhile hear `StoreUnavailable` when the busy timeout is over; readers are not held up; later
        it works again, and nothing of the refused is there.
        """
        monkeypatch.setattr("app.jobs.sqlite_engine.BUSY_TIMEOUT_S", 0.3)
        async with opened(tmp_path / "words.db") as engine:
            await engine.write(add("before"))
            with locked_by_another_process(engine.path):
                started = time.monotonic()
                results = await asyncio.gather(*(engine.write(add(str(n))) for n in range(3)), return_exceptions=True)
                assert 0.25 <= time.monotonic() - started < 2
                assert [type(result) for result in results] == [StoreUnavailable] * 3
                assert "locked" in str(results[0])
                assert await words(engine) == ["before"]
            await engine.write(add("after"))
            assert await words(engine) == ["before", "after"]

    async def test_another_process_holds_the_lock_for_a_moment(self, tmp_path: Path) -> None:
        """Who waits less than the busy timeout is served."""
        async with opened(tmp_path / "words.db") as engine:
            with locked_by_another_process(engine.path):
                asked = asyncio.ensure_future(engine.write(add("a")))
                await asyncio.sleep(0.05)
                assert not asked.done()
            assert await asked == 1

    async def test_a_full_disk(self, tmp_path: Path) -> None:
        """A write that does not fit is refused and leaves nothing; reading goes on; with room again so does writing."""
        with file_system(tmp_path / "small") as place:
            if place is None:
                pytest.skip("mounting a small file system is not allowed here")
            async with opened(place / "words.db") as engine:
                await engine.write(add("before"))
                filler = place / "filler"
                with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
                    while True:
                        file.write(b"x" * 4096)
                with pytest.raises(StoreUnavailable, match=r"full|I/O"):
                    await engine.write(add("x" * 20_000))
                assert await words(engine) == ["before"]
                filler.unlink()
                await engine.write(add("after"))
                assert await words(engine) == ["before", "after"]

    async def test_a_file_at_its_bound(self, tmp_path: Path) -> None:
        """The same wherever nothing can be mounted: SQLite's own bound says "full", and raising it heals."""
        async with opened(tmp_path / "words.db") as engine:
            await engine.write(lambda c: c.execute("PRAGMA max_page_count=8").fetchall())
            with pytest.raises(StoreUnavailable, match="full"):
                await engine.write(add("x" * 100_000))
            assert await words(engine) == []
            await engine.write(lambda c: c.execute("PRAGMA max_page_count=8000").fetchall())
            assert await engine.write(add("x" * 100_000)) == 1

    @pytest.mark.parametrize("replaced", [False, True])
    async def test_a_file_that_is_gone(self, tmp_path: Path, replaced: bool) -> None:
        """Symptom: with its file deleted, an instance went on accepting jobs that no other ever saw.
        Cause: SQLite keeps writing into a deleted file.
        Rule: what is not the file at the path is not written to; with the file back, all is well.
        """
        path, away = tmp_path / "words.db", tmp_path / "away.db"
        async with opened(path) as engine:
            await engine.write(add("before"))
            path.rename(away)
            if replaced:
                path.write_bytes(b"")
            with pytest.raises(StoreUnavailable, match=r"not the file|No such file"):
                await engine.write(add("lost"))
            away.replace(path)
            await engine.write(add("after"))
            assert await words(engine) == ["before", "after"]


def _count(connection: sqlite3.Connection, values: tuple[str, str, int]) -> int:
    return connection.execute("INSERT INTO counters VALUES (?,?,?)", values).rowcount


def _open_and_write(path: str, barrier: Any, results: Any, number: int) -> None:
    """Open the file at the same moment as the others, then add ten words; the outcome goes to `results`."""

    async def work() -> None:
        engine = SqliteEngine(Path(path), RELEASED)
        await asyncio.to_thread(barrier.wait, 30)
        try:
            await engine.open()
            for n in range(10):
                await engine.write(partial(_count, values=("2026-01-01", f"{number}-{n}", n)))
        finally:
            await engine.close()

    try:
        asyncio.run(work())
        results.put((number, ""))
    except BaseException as error:
        results.put((number, repr(error)))


@pytest.mark.processes
def test_four_processes_make_one_file_at_the_same_moment(tmp_path: Path) -> None:
    """None fails, the schema is made once, everybody's rows are there, and the file is private."""
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "data" / "quartet.db"
    barrier, results = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=_open_and_write, args=(str(path), barrier, results, number)) for number in range(4)
    ]
    for process in processes:
        process.start()
    outcomes = dict(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(30)
    assert outcomes == dict.fromkeys(range(4), "")
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("SELECT count(*), sum(value) FROM counters").fetchone() == (40, 180)
        assert pragma(connection, "user_version") == len(RELEASED)
        assert pragma(connection, "integrity_check") == "ok"
    finally:
        connection.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
