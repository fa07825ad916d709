"""A backup of the SQLite file: one consistent file of its own, made while the instances go on writing.

`VACUUM INTO` reads one snapshot; in write-ahead mode that keeps no writer waiting
(https://www.sqlite.org/lang_vacuum.html#vacuuminto). The copy is compact: what was deleted is not in it.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from app.errors import BackupUnusable
from app.jobs.schema import DONE, MIGRATIONS

BUSY_TIMEOUT_S = 10.0
GZIP_MAGIC = b"\x1f\x8b"
_TABLES = frozenset({"jobs", "instances", "calls", "counters"})
"""What every version's file has: a database without them is somebody else's."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store's file holds: its schema, rows by table, jobs that are not done, and bytes (not compressed)."""

    schema: int
    rows: Mapping[str, int]
    open_jobs: int
    size: int


def default_name(now: float) -> str:
    """Return the name of a backup made at that moment; names sort by time."""
    return f"quartet-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.db"


def write_backup(store: Path, target: Path) -> Contents:
    """Write a verified backup of the running store to `target`, readable only by its user; never over another file.

    A name that ends in .gz is compressed. Raises `BackupUnusable`, leaving nothing behind.
    """
    if not store.is_file():
        raise BackupUnusable(f"there is no store at {store}: has it ever been started?")
    return receive_backup(lambda copy: _copy(store, copy), target)


def receive_backup(fill: Callable[[Path], None], target: Path) -> Contents:
    """Let `fill` write an empty file, then verify it and give it its name; as `write_backup` in all else."""
    if target.exists():
        raise BackupUnusable(f"{target} exists already: backups are never overwritten")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _scratch(target) as copy:
            fill(copy)
            contents = examine(copy)
            if target.suffix == ".gz":
                with _scratch(target, ".gz") as packed:
                    _compress(copy, packed)
                    _publish(packed, target)
            else:
                _publish(copy, target)
    except (OSError, sqlite3.Error) as error:
        raise BackupUnusable(f"{target} could not be made: {error}") from error
    return contents


def stream_backup(store: Path, out: BinaryIO, scratch_dir: Path) -> Contents:
    """Write a verified backup to an open stream, by way of a file in `scratch_dir` that is gone afterwards."""
    waypoint = scratch_dir / f".stream-{os.getpid()}.db"
    contents = write_backup(store, waypoint)
    try:
        with waypoint.open("rb") as file:
            shutil.copyfileobj(file, out)
        out.flush()
    finally:
        waypoint.unlink(missing_ok=True)
    return contents


def examine(file: Path) -> Contents:
    """Look a store's file through; raise `BackupUnusable` if it is damaged or none of Quartet's, or a newer one."""
    try:
        with contextlib.closing(sqlite3.connect(file.absolute().as_uri() + "?mode=ro", uri=True)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if found != "ok":
                raise BackupUnusable(f"{file.name} is damaged: {found}")
            return _contents(connection, file)
    except sqlite3.Error as error:
        raise BackupUnusable(f"{file.name} is damaged or no database: {error}") from error


def prune(directory: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` backups that bear our names; returns those that are gone."""
    made = sorted(path for pattern in ("quartet-*Z.db", "quartet-*Z.db.gz") for path in directory.glob(pattern))
    made.sort(key=lambda path: path.name)
    old = made[: max(0, len(made) - keep)]
    for path in old:
        path.unlink()
    return old


def unpack(backup: Path, copy: Path) -> None:
    """Copy a backup, compressed or not, to `copy`, which only its user may read; made durable."""
    try:
        descriptor = os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with backup.open("rb") as source, os.fdopen(descriptor, "wb") as out:
            packed = source.read(2) == GZIP_MAGIC
            source.seek(0)
            with gzip.open(source) if packed else contextlib.nullcontext(source) as plain:
                shutil.copyfileobj(plain, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
    except (OSError, EOFError, zlib.error) as error:
        raise BackupUnusable(f"{backup} can't be read: {error}") from error


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(store: Path, copy: Path) -> None:
    """`mode=rw` never makes a file, and, if nobody else has it open, clears the write-ahead log away at the end."""
    uri = store.absolute().as_uri() + "?mode=rw"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as source:
        source.execute("VACUUM INTO ?", (str(copy),))


def _contents(connection: sqlite3.Connection, file: Path) -> Contents:
    schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    tables = [name for name in tables if not name.startswith("sqlite_")]
    if not tables or schema < 1 or not set(tables) >= _TABLES:
        raise BackupUnusable(f"{file.name} is a database, but none of Quartet's")
    oldest = connection.execute("SELECT oldest FROM compatibility").fetchone() if "compatibility" in tables else None
    if schema > len(MIGRATIONS) and (oldest[0] if oldest else schema) > len(MIGRATIONS):
        raise BackupUnusable(
            f"{file.name} has schema {schema}, and this version of Quartet knows schemas up to {len(MIGRATIONS)}: "
            "restore it with the version that made it, or a later one"
        )
    rows = {name: int(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in tables}
    unfinished = connection.execute(f"SELECT count(*) FROM jobs WHERE state<>'{DONE}'").fetchone()[0]
    return Contents(schema, rows, int(unfinished), file.stat().st_size)


@contextmanager
def _scratch(target: Path, suffix: str = "") -> Iterator[Path]:
    """An empty file beside `target`, readable only by its user, that is gone afterwards."""
    path = target.with_name(f".{target.name}.{os.getpid()}{suffix}.part")
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        yield path
    finally:
        for name in (path.name, f"{path.name}-journal", f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)


def _compress(copy: Path, packed: Path) -> None:
    with copy.open("rb") as source, packed.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw) as out:
        shutil.copyfileobj(source, out, 1 << 20)


def _publish(made: Path, target: Path) -> None:
    """Give a finished file its name, durably, in one step, and never over another file."""
    with made.open("rb") as file:
        os.fsync(file.fileno())
    try:
        target.hardlink_to(made)
    except FileExistsError:
        raise BackupUnusable(f"{target} exists already: backups are never overwritten") from None
    except OSError:  # a file system without hard links
        if target.exists():
            raise BackupUnusable(f"{target} exists already: backups are never overwritten") from None
        made.replace(target)
    sync_directory(target.parent)
