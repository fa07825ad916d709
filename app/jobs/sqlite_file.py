"""The SQLite file itself, before the engine works with it: whose it is, whether it is whole, how it is written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from app.errors import StoreUnavailable

LARGEST_CHECKED = 64 * 1024 * 1024

DAMAGED = (
    "{path} is damaged or no database ({error}). Nothing in it was changed. Stop all instances, move it aside with the "
    "-wal and -shm files, and start again with a new one; `sqlite3 {path} .recover` may save what it holds."
)


def make_private(path: Path) -> None:
    """Let only us read what users wrote, before SQLite opens the file: its log and index take on the file's mode."""
    if path.is_dir():
        raise StoreUnavailable(f"{path} is a directory: the store needs a file of its own")
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(name).chmod(0o600)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Look a file through for damage before anything is written to it; one too large for a quick look is trusted."""
    if path.stat().st_size <= LARGEST_CHECKED:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        if found != "ok":
            raise sqlite3.DatabaseError(found)


def identity(path: Path) -> tuple[int, int]:
    """Name the file at `path`: SQLite goes on writing into one that was deleted or replaced, and it is lost."""
    status = path.stat()
    return status.st_dev, status.st_ino


def use_write_ahead_log(connection: sqlite3.Connection, within_s: float) -> str:
    """Switch to WAL and return the mode. Several processes switching at once get "locked" without SQLite waiting."""
    give_up = time.monotonic() + within_s
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)
