"""One SQLite file shared by all instances of a host, with group commit off the event loop.

Writes are functions of a connection. What is asked for in one turn of the event loop, and whatever gathers while the
disk is busy or another instance writes, becomes one transaction (`BEGIN IMMEDIATE` … `COMMIT`) on a thread of its own;
a caller's await returns only after the commit, which with WAL and `synchronous=FULL` means on disk
(https://www.sqlite.org/pragma.html). Instances take turns (app/jobs/sqlite_turn.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from app.errors import QuartetError, StoreUnavailable
from app.jobs.file_system import why_unfit
from app.jobs.sqlite_file import DAMAGED, check, identity, make_private, use_write_ahead_log
from app.jobs.sqlite_lock import end_stopped_holder
from app.jobs.sqlite_migration import migrate
from app.jobs.sqlite_turn import Turn
from app.promise import Promise

T = TypeVar("T")
Write = Callable[[sqlite3.Connection], Any]

BUSY_TIMEOUT_S = 2.0
"""How long a transaction waits for another process's; Discord waits 3 s for the answer that depends on it."""

LOOK_AFTER_S = 0.4
"""How long it waits before it looks who holds the lock."""

TURN_WITHIN_S = 0.4
"""How long it waits for its turn before it does without."""

LARGEST_BATCH = 1024

GATHER_S = 0.008
"""How long a transaction may grow while every turn of the event loop brings more: what it costs hardly depends on its
size. Without such a rush nothing waits."""
LARGEST_VACUUM = 256
LARGEST_LOG = 16 * 1024 * 1024
"""To so many bytes the log is cut when it begins anew. It has 4 MiB as a rule; but a burst, or somebody who reads for
long (a backup), lets it grow, and SQLite by itself never makes it smaller."""


class BatchWrite(Protocol):
    """Writes of one kind that are done together: `run` gets all arguments and returns one result for each."""

    def __call__(self, connection: sqlite3.Connection, arguments: Sequence[Any]) -> Sequence[Any]: ...


class _Pending(Promise[Any]):
    """One write; the writer's thread sets its result or its error, the event loop's tells it."""

    def __init__(self, write: Write | None = None, batch: BatchWrite | None = None, argument: Any = None) -> None:
        self.write = write
        self.batch = batch
        self.argument = argument


class SqliteEngine:
    """The file, its writer thread and its reader thread. `migrations` are run in order, once each.

    `oldest` is the oldest schema whose program works with a file of the newest; without it, only the newest does.
    """

    def __init__(self, path: Path, migrations: Sequence[str], oldest: int | None = None) -> None:
        self.path = path
        self._migrations = migrations
        self._oldest = len(migrations) if oldest is None else oldest
        self._queue: queue.SimpleQueue[list[_Pending] | None] = queue.SimpleQueue()
        self._turn: list[_Pending] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-read")
        self._read_connection: sqlite3.Connection | None = None
        self._identity = (0, 0)

    async def open(self) -> None:
        """Make or migrate the file and start the threads; raise `StoreUnavailable` with the reason if that fails."""
        self._loop = asyncio.get_running_loop()
        opened = _Pending()
        self._thread = threading.Thread(target=self._write_loop, args=(opened,), name="store-write", daemon=True)
        self._thread.start()
        try:
            await opened
        except StoreUnavailable:
            self._thread = None
            raise
        try:
            self._read_connection = await self._loop.run_in_executor(self._reader, self._connect)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self.path}: {error}") from error

    async def close(self) -> None:
        """Commit what was asked for, then close."""
        self._flush()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)
        connection, self._read_connection = self._read_connection, None
        if connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._reader, connection.close)
        self._reader.shutdown(wait=True)

    async def write(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Run `write` in the next transaction.

        `write` may raise a `QuartetError` before it has changed anything: only its own caller gets it. An error of
        SQLite's undoes the whole transaction and becomes `StoreUnavailable` for all of them. If the caller has given up
        (was cancelled) before the transaction began, nothing is written for it.
        """
        return cast(T, await self._ask(_Pending(write)))

    def write_batched(self, batch: BatchWrite, argument: Any) -> Promise[Any]:
        """Like `write`, but all arguments given to the same `batch` in one transaction go in one call."""
        return self._ask(_Pending(None, batch, argument))

    async def read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run `read` on the reader's connection: a snapshot that never waits for a writer."""
        if self._read_connection is None or self._loop is None:
            raise StoreUnavailable(f"the store {self.path} is not open")
        try:
            return await self._loop.run_in_executor(self._reader, read, self._read_connection)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"reading {self.path} failed: {error}") from error

    async def vacuum(self) -> None:
        """Give a bounded number of free pages back to the file system, so that the file shrinks without a stall."""
        await self.write(_give_back)

    def _ask(self, pending: _Pending) -> _Pending:
        if self._thread is None or self._loop is None:
            pending.error = StoreUnavailable(f"the store {self.path} is not open")
            pending.settle()
            return pending
        if not self._turn:
            self._loop.call_soon(self._flush_when_still, 1, self._loop.time() + GATHER_S)
        self._turn.append(pending)
        return pending

    def _flush_when_still(self, seen: int, at_last: float) -> None:
        """Flush once a turn of the event loop has brought nothing more, or at last."""
        assert self._loop is not None
        asked = len(self._turn)
        if seen < asked < LARGEST_BATCH and self._loop.time() < at_last:
            self._loop.call_soon(self._flush_when_still, asked, at_last)
        else:
            self._flush()

    def _flush(self) -> None:
        if self._turn:
            self._queue.put(self._turn)
            self._turn = []

    # From here on: the writer's thread.

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=LOOK_AFTER_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(f"PRAGMA journal_size_limit={LARGEST_LOG}")
        return connection

    def _prepare(self) -> tuple[sqlite3.Connection, Turn]:
        if reason := why_unfit(self.path):
            raise StoreUnavailable(f"{self.path} {reason}")
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_private(self.path)
        turn = Turn(self.path)
        in_turn = turn.take(BUSY_TIMEOUT_S)  # instances that start together would find it locked
        try:
            connection = self._prepared()
        except BaseException:
            turn.close()
            raise
        if in_turn:
            turn.give_back()
        return connection, turn

    def _prepared(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            check(connection, self.path)
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            mode = use_write_ahead_log(connection, BUSY_TIMEOUT_S)
            if mode != "wal":
                raise StoreUnavailable(f"{self.path} can't keep a write-ahead log ({mode}): is it on a network share?")
            migrate(connection, self.path, self._migrations, self._oldest)
            self._identity = identity(self.path)
        except sqlite3.OperationalError:
            connection.close()
            raise
        except sqlite3.DatabaseError as error:
            connection.close()
            raise StoreUnavailable(DAMAGED.format(path=self.path, error=error)) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _write_loop(self, opened: _Pending) -> None:
        assert self._loop is not None
        try:
            connection, turn = self._prepare()
        except (OSError, sqlite3.Error, StoreUnavailable) as error:
            opened.error = error if isinstance(error, StoreUnavailable) else StoreUnavailable(f"{self.path}: {error}")
            self._loop.call_soon_threadsafe(opened.settle)
            return
        self._loop.call_soon_threadsafe(opened.settle)
        running = True
        while running:
            first = self._queue.get()
            if first is None:
                break
            asked_at = time.monotonic()
            in_turn = turn.take(TURN_WITHIN_S)
            if not in_turn and time.monotonic() - asked_at >= TURN_WITHIN_S:
                end_stopped_holder(self.path)
            try:
                batch, running = self._gather(first)
                self._commit(connection, batch, asked_at + BUSY_TIMEOUT_S)
            finally:
                if in_turn:
                    turn.give_back()
            self._loop.call_soon_threadsafe(_settle, batch)
        connection.close()
        turn.close()

    def _gather(self, batch: list[_Pending]) -> tuple[list[_Pending], bool]:
        """Add all that is asked for by now; False once the engine closes."""
        while len(batch) < LARGEST_BATCH:
            try:
                asked = self._queue.get_nowait()
            except queue.Empty:
                break
            if asked is None:
                return batch, False
            batch += asked
        return batch, True

    def _begin(self, connection: sqlite3.Connection, give_up: float) -> None:
        """Take the write lock. Others hold it for milliseconds; one that was stopped would do so for ever."""
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
                end_stopped_holder(self.path)
            else:
                return

    def _commit(self, connection: sqlite3.Connection, batch: list[_Pending], give_up: float) -> None:
        try:
            if identity(self.path) != self._identity:
                raise StoreUnavailable("it is not the file that was opened: put that one back, or restart")
            self._begin(connection, give_up)
            wanted = [pending for pending in batch if not pending.cancelled]
            _run_batched(connection, wanted)
            for pending in wanted:
                if pending.write is not None:
                    try:
                        pending.result = pending.write(connection)
                    except QuartetError as error:
                        pending.error = error
            connection.execute("COMMIT")
        except Exception as error:  # whatever it is, the callers must hear of it and the thread must live
            _roll_back(connection)
            for pending in batch:
                pending.error = StoreUnavailable(f"writing {self.path} failed: {error}")
                pending.error.__cause__ = error


def _give_back(connection: sqlite3.Connection) -> None:
    free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
    for _ in range(min(free, LARGEST_VACUUM)):
        connection.execute("PRAGMA incremental_vacuum(1)")  # it has no columns, so `sqlite3` steps it once: one page


def _run_batched(connection: sqlite3.Connection, batch: list[_Pending]) -> None:
    """Run the batched writes first, all of one kind in one call."""
    kinds: dict[BatchWrite, list[_Pending]] = {}
    for pending in batch:
        if pending.batch is not None:
            kinds.setdefault(pending.batch, []).append(pending)
    for run, members in kinds.items():
        results = run(connection, [member.argument for member in members])
        for member, result in zip(members, results, strict=True):
            member.result = result


def _roll_back(connection: sqlite3.Connection) -> None:
    """Undo what is open; after an I/O error SQLite has often done so itself, and then says that nothing is open."""
    if connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _settle(batch: list[_Pending]) -> None:
    for pending in batch:
        pending.settle()
