"""An engine on a file of one table, and others who use the same file."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from app.jobs.sqlite_engine import SqliteEngine

MIGRATIONS = ("CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE)",)

_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def opened(path: Path, migrations: tuple[str, ...] = MIGRATIONS) -> AsyncIterator[SqliteEngine]:
    """Open an engine, and close it whatever happens."""
    engine = SqliteEngine(path, migrations)
    try:
        await engine.open()
        yield engine
    finally:
        await engine.close()


def add(word: str) -> Callable[[sqlite3.Connection], int]:
    """Return a write that adds a word."""
    return lambda connection: connection.execute("INSERT INTO words (word) VALUES (?)", (word,)).rowcount


async def words(engine: SqliteEngine) -> list[str]:
    """Return every word in the order it was added."""
    rows = await engine.read(lambda c: c.execute("SELECT word FROM words ORDER BY id").fetchall())
    return [word for (word,) in rows]


def words_in(path: Path) -> list[str]:
    """Return every word, read without the engine."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM words ORDER BY id")]


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    """Hold the file's write lock in a process of its own."""
    command = [sys.executable, "-c", _HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        try:
            assert holder.stdout.readline() == b"locked\n"
            yield
        finally:
            holder.stdin.close()
            holder.wait(10)


@contextmanager
def file_system(at: Path, size: str = "1m") -> Iterator[Path | None]:
    """Mount a small file system of our own; None where that is not allowed."""
    at.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "quartet-test", str(at)], capture_output=True, check=False
    )
    try:
        yield at if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(at)], check=True)


def remount(at: Path, mode: str) -> None:
    """Make a mounted file system `ro` or `rw`."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(at)], check=True)
