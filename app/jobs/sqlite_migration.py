"""Brings a SQLite file to the schema of this program, or says why that can't be done safely now.

The file's `user_version` is its schema. Beside it a file may say how old a program may be that still works on it
(`compatibility.oldest`): so an additive migration can be rolled back, and be made while older instances still run.
A migration that older programs would not understand is not made while one of them lives, and keeps a copy of the file
as it was.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from app.errors import StoreUnavailable

LOOK_FOR_S = 2.5
"""Long enough to see the heartbeat of an instance that lives: it beats every second."""

_LOOK_EVERY_S = 0.1

_NEWER = (
    "{path} has schema {found}, and this program knows schemas up to {known}: a newer version of Quartet has written "
    "it. Nothing in it was changed. Start the newer version again, or restore a backup made before the upgrade "
    "(./deploy-multi.sh restore FILE; the upgrade itself kept {copy})."
)
_STILL_ALIVE = (
    "{path} has schema {found}, and this program makes it schema {known}, which the instances that still run on it "
    "({alive}) would not understand. Nothing in it was changed. Stop all instances, then start all of them anew."
)
_NO_ROOM = "{path} was not brought to schema {known}: it could not be copied to {copy} before that ({error})."

log = structlog.get_logger("store")


def copy_before(path: Path, version: int) -> Path:
    """Where a file of that schema is kept when it is about to be migrated."""
    return path.with_name(f"{path.name}.schema-{version}")


def migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[str], oldest: int, *, keep: bool = True
) -> None:
    """Run the migrations the file has not seen; raise `StoreUnavailable`, with nothing changed, if that must not be.

    `oldest` is the oldest schema whose program works on a file of this one, at the same time as this program. Unless
    `keep`, no copy is kept of what older programs can't use any more.
    """
    known = len(migrations)
    give_up, before = time.monotonic() + LOOK_FOR_S, _heartbeats(connection)
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if found >= known or not 0 < found < oldest or _is_quiet(connection, before, give_up):
                _bring_up(connection, path, migrations, oldest, found, keep)
                connection.execute("COMMIT")
                return
            alive = _changed(before, _heartbeats(connection))
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("ROLLBACK")
        if alive:
            names = ", ".join(map(str, alive))
            raise StoreUnavailable(_STILL_ALIVE.format(path=path, found=found, known=known, alive=names))
        time.sleep(_LOOK_EVERY_S)


def _bring_up(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[str], oldest: int, found: int, keep: bool
) -> None:
    known = len(migrations)
    if found > known:
        if oldest_of(connection, found) > known:
            raise StoreUnavailable(_NEWER.format(path=path, found=found, known=known, copy=copy_before(path, known)))
        log.warning("the store has a newer schema than this version, which works with it", found=found, known=known)
        return
    if keep and 0 < found < min(known, oldest):
        _keep(path, found, known)
    for number, statements in enumerate(migrations[found:], start=found + 1):
        for statement in filter(None, map(str.strip, statements.split(";"))):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number}")
    if found < known and oldest < known:
        connection.execute("CREATE TABLE IF NOT EXISTS compatibility (oldest INTEGER NOT NULL)")
        connection.execute("DELETE FROM compatibility")
        connection.execute("INSERT INTO compatibility (oldest) VALUES (?)", (oldest,))
    elif found < known and _has(connection, "compatibility"):
        connection.execute("DELETE FROM compatibility")


def _keep(path: Path, found: int, known: int) -> None:
    """Copy the file as it is; nobody writes meanwhile, since the caller holds the write lock."""
    copy = copy_before(path, found)
    fresh = copy.with_name(f"{copy.name}.part")
    try:
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("VACUUM INTO ?", (str(fresh),))
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(copy)
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise StoreUnavailable(_NO_ROOM.format(path=path, known=known, copy=copy, error=error)) from error
    log.info("the store is brought to a newer schema; the old one is kept", copy=str(copy), found=found, known=known)


def oldest_of(connection: sqlite3.Connection, found: int) -> int:
    """The oldest schema whose program may use the file; its own if it says nothing."""
    if not _has(connection, "compatibility"):
        return found
    row = connection.execute("SELECT oldest FROM compatibility").fetchone()
    return int(row[0]) if row else found


def _heartbeats(connection: sqlite3.Connection) -> Mapping[int, float]:
    if not _has(connection, "instances"):
        return {}
    return dict(connection.execute("SELECT instance, beat_at FROM instances").fetchall())


def _has(connection: sqlite3.Connection, table: str) -> bool:
    select = "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?"
    return connection.execute(select, (table,)).fetchone() is not None


def _changed(before: Mapping[int, float], now: Mapping[int, float]) -> list[int]:
    """Who has beaten meanwhile. A beat's own time says nothing: whose clock it is, is not known here."""
    return sorted(instance for instance, beat_at in now.items() if before.get(instance) != beat_at)


def _is_quiet(connection: sqlite3.Connection, before: Mapping[int, float], give_up: float) -> bool:
    """Whether nobody is left who beats: none is registered (who stops in order leaves), or none has beaten for long."""
    now = _heartbeats(connection)
    return not now or (time.monotonic() >= give_up and not _changed(before, now))
