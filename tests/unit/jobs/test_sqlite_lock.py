"""A process that was stopped in the middle of a transaction does not stop the others."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.sqlite_lock import end_stopped_holder, is_stopped, write_lock_holder
from tests.kit.waiting import wait_until

HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the write lock."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store's file in a folder whose name has spaces."""
    path = tmp_path / "a store" / "jobs.db"
    engine = SqliteEngine(path, MIGRATIONS)
    await engine.open()
    await engine.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode")
    connection.close()
    return path


async def test_the_holder_is_found(path: Path) -> None:
    """The pid is that of the process in the transaction; without one there is none."""
    assert write_lock_holder(path) is None
    with holder(path) as process:
        assert write_lock_holder(path) == process.pid
        assert not is_stopped(process.pid)


async def test_a_running_holder_is_left_alone(path: Path) -> None:
    """Who is merely slow is waited for."""
    with holder(path) as process:
        assert end_stopped_holder(path) is None
        assert process.poll() is None


async def test_a_stopped_holder_is_ended_and_the_write_goes_on(path: Path) -> None:
    """A write that met a stopped holder succeeds within Discord's three seconds."""
    engine = SqliteEngine(path, MIGRATIONS)
    await engine.open()
    with holder(path) as process:
        os.kill(process.pid, signal.SIGSTOP)
        await wait_until(lambda: is_stopped(process.pid), 5, "the holder is stopped")
        started = time.monotonic()
        await engine.write(lambda connection: connection.execute("DELETE FROM jobs").rowcount)
        assert time.monotonic() - started < 2.5
        assert process.wait(5) == -signal.SIGKILL
    await engine.close()
