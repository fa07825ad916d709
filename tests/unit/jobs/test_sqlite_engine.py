"""Group commit: one transaction for what is asked in one turn, and a caller returns only after it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from app.errors import LeaseLost, StoreUnavailable
from app.jobs.sqlite_engine import SqliteEngine
from tests.unit.jobs.kit import MIGRATIONS, add, opened, words, words_in


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SqliteEngine]:
    """An open engine."""
    async with opened(tmp_path / "words.db") as made:
        yield made


async def trace(engine: SqliteEngine) -> list[str]:
    """Return a list that every later statement of the writer is added to."""
    statements: list[str] = []
    await engine.write(lambda connection: connection.set_trace_callback(statements.append))
    statements.clear()
    return statements


class TestGroupCommit:
    async def test_one_turn_is_one_transaction(self, engine: SqliteEngine) -> None:
        """A hundred writes asked for at once are begun and committed once; one asked for later has its own."""
        statements = await trace(engine)
        await asyncio.gather(*(engine.write(add(str(n))) for n in range(100)))
        assert (statements.count("BEGIN IMMEDIATE"), statements.count("COMMIT")) == (1, 1)
        await engine.write(add("later"))
        assert (statements.count("BEGIN IMMEDIATE"), statements.count("COMMIT")) == (2, 2)
        assert await words(engine) == [*map(str, range(100)), "later"]

    async def test_what_gathers_while_the_disk_is_busy_goes_together(self, engine: SqliteEngine) -> None:
        """Fifty writes of fifty turns, asked for during one long transaction, share the next."""
        statements = await trace(engine)
        entered, release = threading.Event(), threading.Event()

        def long(_: sqlite3.Connection) -> None:
            entered.set()
            assert release.wait(10)

        first = asyncio.ensure_future(engine.write(long))
        await asyncio.to_thread(entered.wait, 10)
        others = []
        for n in range(50):
            others.append(asyncio.ensure_future(engine.write(add(str(n)))))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not any(task.done() for task in (first, *others))
        release.set()
        await asyncio.gather(first, *others)
        assert statements.count("COMMIT") == 2

    async def test_who_returns_is_on_disk(self, engine: SqliteEngine) -> None:
        """After the await another connection sees the word, without the engine's help."""
        for n in range(5):
            await engine.write(add(str(n)))
            assert words_in(engine.path)[-1] == str(n)

    async def test_writes_of_one_kind_are_done_in_one_call(self, engine: SqliteEngine) -> None:
        """Batched arguments come together, in order, and each caller gets its own result."""
        calls: list[list[str]] = []

        def add_all(connection: sqlite3.Connection, arguments: Sequence[str]) -> list[str]:
            calls.append(list(arguments))
            connection.executemany("INSERT INTO words (word) VALUES (?)", [(word,) for word in arguments])
            return [word.upper() for word in arguments]

        results = await asyncio.gather(*(engine.write_batched(add_all, word) for word in "abc"), engine.write(add("d")))
        assert results == ["A", "B", "C", 1]
        assert calls == [["a", "b", "c"]]
        assert await words(engine) == ["a", "b", "c", "d"]

    async def test_the_loop_goes_on_during_a_transaction(self, engine: SqliteEngine) -> None:
        """Writing is off the event loop: it turns freely while a transaction waits for it."""
        turned = threading.Event()
        writing = asyncio.ensure_future(engine.write(lambda _: turned.wait(10)))
        for _ in range(10):
            await asyncio.sleep(0)
        turned.set()
        assert await writing is True


class TestFailure:
    async def test_our_own_error_is_only_its_callers(self, engine: SqliteEngine) -> None:
        """A write that says "lease lost" does not touch its neighbours in the same transaction."""

        def lost(_: sqlite3.Connection) -> None:
            raise LeaseLost("job 1")

        results = await asyncio.gather(
            engine.write(add("a")), engine.write(lost), engine.write(add("b")), return_exceptions=True
        )
        assert results[0] == results[2] == 1 and isinstance(results[1], LeaseLost)
        assert await words(engine) == ["a", "b"]

    @pytest.mark.parametrize("statement", ["INSERT INTO words (word) VALUES ('a')", "nonsense"])
    async def test_sqlites_error_undoes_all_of_it(self, engine: SqliteEngine, statement: str) -> None:
        """Everybody in the transaction hears of it, each by an error of its own; nothing stays, and the next works."""
        results = await asyncio.gather(
            engine.write(add("a")), engine.write(lambda c: c.execute(statement).rowcount), return_exceptions=True
        )
        assert all(isinstance(result, StoreUnavailable) for result in results)
        assert results[0] is not results[1]
        assert await words(engine) == []
        await engine.write(add("b"))
        assert await words(engine) == ["b"]

    async def test_a_bug_in_a_write_does_not_end_the_thread(self, engine: SqliteEngine) -> None:
        """Whatever a write raises becomes `StoreUnavailable` with its cause, and the next write works."""
        with pytest.raises(StoreUnavailable) as caught:
            await engine.write(lambda _: 1 // 0)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert await engine.write(add("a")) == 1

    async def test_reading_nonsense_is_unavailable_too(self, engine: SqliteEngine) -> None:
        """SQLite's errors never come through as they are."""
        with pytest.raises(StoreUnavailable, match="reading"):
            await engine.read(lambda c: c.execute("SELECT * FROM nowhere").fetchall())


class TestCancelled:
    async def test_who_gave_up_before_the_transaction_is_not_written(self, engine: SqliteEngine) -> None:
        """Symptom: a put that intake had apologised for was recorded when the lock came free, and could be answered.
        Cause: a cancelled await left its write in the queue. Rule: who gave up before the transaction began has
        nothing written; who still waits, has.
        """
        with contextlib.closing(sqlite3.connect(engine.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            given_up = asyncio.ensure_future(engine.write(add("given up")))
            patient = asyncio.ensure_future(engine.write(add("patient")))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            other.execute("ROLLBACK")
        assert await patient == 1
        assert await words(engine) == ["patient"]

    async def test_who_gives_up_during_the_transaction_disturbs_nobody(self, engine: SqliteEngine) -> None:
        """Its write is done, its neighbours get their results, and the engine works on."""
        entered, release = threading.Event(), threading.Event()

        def long(connection: sqlite3.Connection) -> int:
            entered.set()
            assert release.wait(10)
            return add("long")(connection)

        given_up = asyncio.ensure_future(engine.write(long))
        neighbour = asyncio.ensure_future(engine.write(add("neighbour")))
        await asyncio.to_thread(entered.wait, 10)
        given_up.cancel()
        await asyncio.sleep(0)
        release.set()
        assert await neighbour == 1
        assert await words(engine) == ["long", "neighbour"]
        assert given_up.cancelled()

    async def test_a_timeout_ends_in_time(self, engine: SqliteEngine) -> None:
        """A caller with a limit is not held by a transaction that takes longer."""
        release = threading.Event()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.write(lambda _: release.wait(10)), 0.05)
        release.set()
        assert await engine.write(add("a")) == 1


class TestClosing:
    async def test_what_was_asked_for_is_written_first(self, tmp_path: Path) -> None:
        """Writes of this very turn and of those before are committed and answered before `close` returns."""
        engine = SqliteEngine(tmp_path / "words.db", MIGRATIONS)
        await engine.open()
        asked = [asyncio.ensure_future(engine.write(add(str(n)))) for n in range(200)]
        await asyncio.sleep(0)
        asked += [asyncio.ensure_future(engine.write(add(str(n)))) for n in range(200, 300)]
        await asyncio.sleep(0)
        await engine.close()
        assert await asyncio.gather(*asked) == [1] * 300
        assert words_in(engine.path) == [*map(str, range(300))]

    async def test_nothing_is_left_and_nothing_goes_on(self, tmp_path: Path) -> None:
        """Closed twice, or never opened: no thread is left, reads and writes say that the store is not open."""
        before = set(threading.enumerate())
        used = SqliteEngine(tmp_path / "words.db", MIGRATIONS)
        await used.open()
        await used.write(add("a"))
        assert any(thread.name == "store-write" for thread in set(threading.enumerate()) - before)
        await used.close()
        await used.close()
        unused = SqliteEngine(tmp_path / "other.db", MIGRATIONS)
        await unused.close()
        left = {thread.name for thread in set(threading.enumerate()) - before}
        assert not {name for name in left if name.startswith("store")}
        for engine in (used, unused):
            with pytest.raises(StoreUnavailable, match="not open"):
                await engine.write(add("b"))
            with pytest.raises(StoreUnavailable, match="not open"):
                await engine.read(lambda c: c.execute("SELECT 1").fetchall())
        assert not (tmp_path / "words.db-wal").exists()
