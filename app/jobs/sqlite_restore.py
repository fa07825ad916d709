"""Puts a backup in the place of the store's file, with no instance running.

A backup is older than what has happened since. What is a record of that (jobs, and what was used) is therefore merged,
and the present file's word counts; what users have chosen and said is the backup's. A job that is open in the backup
and unknown to the present file, or whose present file can't be read, is in doubt: it may have been answered since. The
caller finds out (`InDoubt`), and whatever may have been answered is ended without a word: never twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.errors import BackupUnusable
from app.jobs.job import Outcome
from app.jobs.schema import DONE, MIGRATIONS, OLDEST_COMPATIBLE
from app.jobs.sqlite_backup import BUSY_TIMEOUT_S, Contents, examine, sync_directory, unpack
from app.jobs.sqlite_migration import migrate

SHARED_LOCK_BYTES = (0x40000002, 510)
"""Where whoever has the file open in write-ahead mode holds a lock (https://www.sqlite.org/src/file/src/os.h)."""

_USED = ("jobs", "prompt_tokens", "completion_tokens", "images", "videos", "micro_usd")

_IN_USE = "{store} is in use: stop all instances first (./deploy-multi.sh stop)"


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A job that was owed when the backup was made and may have been answered since; times are wall clock seconds."""

    id: str
    payload: bytes
    received_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A backup made ready beside the store. `merged`: the present file was read, and what it records is in it."""

    copy: Path
    contents: Contents
    merged: bool
    in_doubt: tuple[InDoubt, ...]


@contextmanager
def prepared(store: Path, backup: Path) -> Iterator[Prepared]:
    """Make a backup ready to take the store's place: verified, of this version's schema, merged with the present.

    Raises `BackupUnusable`, and nothing has changed, if the store is in use or the backup no good. What is not put in
    place is gone afterwards.
    """
    store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    copy = store.with_name(f".{store.name}.restore-{os.getpid()}")
    try:
        unpack(backup, copy)
        contents = examine(copy)
        readable = settle_log(store)
        with contextlib.closing(_open(copy)) as connection:
            connection.execute("DELETE FROM instances")
            migrate(connection, copy, MIGRATIONS, OLDEST_COMPATIBLE, keep=False)
            merged = readable and _merge(connection, store)
            known = "AND id NOT IN (SELECT id FROM present.jobs)" if merged else ""
            select = f"SELECT id, payload, received_at, expires_at FROM jobs WHERE state<>'{DONE}' {known} ORDER BY seq"
            in_doubt = tuple(InDoubt(*row) for row in connection.execute(select))
        yield Prepared(copy, contents, merged, in_doubt)
    except sqlite3.Error as error:
        raise BackupUnusable(f"{backup} could not be made ready: {error}") from error
    finally:
        for name in (copy.name, f"{copy.name}-journal", f"{copy.name}-wal", f"{copy.name}-shm"):
            copy.with_name(name).unlink(missing_ok=True)


def end_quietly(copy: Path, job_ids: Collection[str], *, now: float) -> None:
    """End jobs for which nothing is to be said any more, as nobody knows how or because their time is over."""
    update = (
        f"UPDATE jobs SET state='{DONE}', outcome=?, error='Restored', finished_at=?, "
        "started_at=coalesce(started_at, ?), owner=coalesce(owner, home), lease_until=NULL, "
        "payload=NULL, checkpoint=NULL, result=NULL, repeat='' "
        f"WHERE state<>'{DONE}' AND id IN (SELECT value FROM json_each(?))"
    )
    with contextlib.closing(_open(copy)) as connection:
        connection.execute(update, (Outcome.UNDELIVERABLE.value, now, now, json.dumps(list(job_ids))))


def put_in_place(copy: Path, store: Path, *, now: float) -> Path | None:
    """Swap the files in one step; returns where the old one lies now, None if there was none."""
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    stamp = f"before-restore-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    aside = store.with_name(f"{store.name}.{stamp}")
    if aside.exists():
        raise BackupUnusable(f"{aside} exists already: wait a second, then try again")
    there = store.exists()
    if there:
        _refuse_in_use(store)
    # A log that is left, as of a damaged or deleted file, would be replayed into whatever bears the file's name.
    for suffix in ("-wal", "-shm", "-journal"):
        log = store.with_name(store.name + suffix)
        if log.exists():
            log.rename(aside.with_name(aside.name + suffix))
    if there:
        try:
            aside.hardlink_to(store)  # so that at no moment there is none
        except OSError:
            store.rename(aside)
    copy.replace(store)
    sync_directory(store.parent)
    return aside if there else None


def settle_log(store: Path) -> bool:
    """Write the log of a store nobody uses into its file; False if there is none or it can't be read.

    Raises `BackupUnusable` if somebody uses it.
    """
    if not store.exists():
        return False
    _refuse_in_use(store)
    try:
        with contextlib.closing(_open(store)) as connection:
            mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BackupUnusable(_IN_USE.format(store=store)) from error
        return False
    except sqlite3.DatabaseError:
        return False
    return bool(mode == "delete" and sound)


def _refuse_in_use(store: Path) -> None:
    start, length = SHARED_LOCK_BYTES
    with store.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except OSError:
            raise BackupUnusable(_IN_USE.format(store=store)) from None


def _open(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri() + "?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def _merge(connection: sqlite3.Connection, store: Path) -> bool:
    """Take over what the present file records; False, with nothing taken, if it can't be read after all."""
    connection.execute("ATTACH ? AS present", (store.absolute().as_uri() + "?mode=ro",))
    connection.execute("BEGIN")
    try:
        connection.execute("DELETE FROM jobs WHERE id IN (SELECT id FROM present.jobs)")
        _take_over(connection, "jobs", order="seq", leave_out="seq")
        connection.execute("DELETE FROM calls WHERE at>=(SELECT min(at) FROM present.calls)")
        _take_over(connection, "calls", order="at")
        # The present file may be a new one, begun after the old was lost: what was used is never less than either says.
        _take_over(connection, "counters", clash="ON CONFLICT DO UPDATE SET value=max(value, excluded.value)")
        used = ", ".join(f"{name}=max({name}, excluded.{name})" for name in _USED)
        _take_over(connection, "usage", clash=f"ON CONFLICT DO UPDATE SET {used}")
        connection.execute("COMMIT")
    except sqlite3.DatabaseError:
        connection.execute("ROLLBACK")
        connection.execute("DETACH present")
        return False
    return True


def _take_over(
    connection: sqlite3.Connection, table: str, *, order: str = "1", leave_out: str = "", clash: str = ""
) -> None:
    """Add the present file's rows, in the columns both know; older versions lack some, and some tables."""
    ours, theirs = (
        [row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")] for schema in ("main", "present")
    )
    if columns := ", ".join(name for name in ours if name in theirs and name != leave_out):
        select = f"SELECT {columns} FROM present.{table} WHERE true ORDER BY {order}"
        connection.execute(f"INSERT INTO {table} ({columns}) {select} {clash}")
