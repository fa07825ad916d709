"""Instances take turns at the file they share, and nobody waits for ever for one who doesn't give back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.jobs.sqlite_lock import is_stopped
from app.jobs.sqlite_turn import Turn
from tests.kit.waiting import wait_until
from tests.unit.jobs.kit import add, opened, words

LONG_S = 20.0
SOON_S = 0.05

HOLDER = """
import pathlib, sys
from app.jobs.sqlite_turn import Turn
turn = Turn(pathlib.Path(sys.argv[1]))
print(turn.take(5.0), flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process whose turn it is."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store's file that need not be there."""
    return tmp_path / "words.db"


@contextmanager
def turns(path: Path, count: int) -> Iterator[list[Turn]]:
    """Several who share a file, as instances do."""
    made = [Turn(path) for _ in range(count)]
    try:
        yield made
    finally:
        for turn in made:
            turn.close()


def test_only_one_has_the_turn(path: Path) -> None:
    """Whoever asks meanwhile does not get it in time; after it was given back, it is there at once."""
    with turns(path, 2) as (one, other):
        assert one.take(LONG_S)
        assert not other.take(SOON_S)
        one.give_back()
        third = Turn(path)
        assert third.take(LONG_S)
        third.close()


async def test_who_waits_gets_it_when_it_is_given_back(path: Path) -> None:
    """All who wait have their turn, one after the other."""

    def have(turn: Turn) -> bool:
        had = turn.take(LONG_S)
        turn.give_back()
        return had

    with turns(path, 4) as (first, *others):
        assert first.take(LONG_S)
        having = [asyncio.create_task(asyncio.to_thread(have, other)) for other in others]
        await wait_until(lambda: all(other._queueing for other in others), 5, "all of them wait")
        first.give_back()
        assert await asyncio.gather(*having) == [True, True, True]


async def test_who_came_too_late_does_without_until_its_turn_came_and_went(path: Path) -> None:
    """One who gave up is not waited for: its turn passes on, and it takes part again."""
    with turns(path, 2) as (one, other):
        assert one.take(LONG_S)
        assert not other.take(SOON_S)
        started = time.monotonic()
        assert not other.take(LONG_S)
        assert time.monotonic() - started < LONG_S / 2
        one.give_back()
        await wait_until(lambda: not other._queueing, 5, "its turn came and went")
        assert one.take(LONG_S)
        one.give_back()
        assert other.take(LONG_S)


async def test_the_turn_of_a_process_that_dies_is_over(path: Path) -> None:
    """Killed in its turn, it leaves nothing behind that others would wait for."""
    with holder(path) as process, turns(path, 1) as (turn,):
        taking = asyncio.create_task(asyncio.to_thread(turn.take, LONG_S))
        await wait_until(lambda: turn._queueing, 5, "somebody waits for the turn")
        process.kill()
        assert await taking


async def test_a_process_stopped_in_its_turn_stops_nobody(path: Path) -> None:
    """Others write without a turn, in time for Discord and at once from the second time on; it is left alone, since it
    holds nothing that they need."""
    async with opened(path) as engine:
        with holder(path) as process:
            os.kill(process.pid, signal.SIGSTOP)
            await wait_until(lambda: is_stopped(process.pid), 5, "the holder is stopped")
            started = time.monotonic()
            await engine.write(add("a"))
            assert time.monotonic() - started < 1.5
            await engine.write(add("b"))
            assert process.poll() is None
        assert await words(engine) == ["a", "b"]


async def test_what_gathers_while_others_write_is_one_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes of many turns of the event loop, asked for while another instance has its turn, share a commit."""
    monkeypatch.setattr("app.jobs.sqlite_engine.TURN_WITHIN_S", LONG_S)
    async with opened(path) as engine:
        statements: list[str] = []
        await engine.write(lambda connection: connection.set_trace_callback(statements.append))
        statements.clear()
        with turns(path, 1) as (other,):
            assert other.take(LONG_S)
            asked = []
            for n in range(20):
                asked.append(asyncio.ensure_future(engine.write(add(str(n)))))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            other.give_back()
            await asyncio.gather(*asked)
        assert statements.count("COMMIT") == 1
        assert await words(engine) == [*map(str, range(20))]


def test_a_folder_that_cannot_be_locked_is_no_reason_to_wait(tmp_path: Path) -> None:
    """Without turns everybody writes as SQLite allows it."""
    turn = Turn(tmp_path / "missing" / "words.db")
    assert not turn.take(LONG_S)
    turn.close()


async def test_closing_leaves_no_thread_but_one_that_still_waits(path: Path) -> None:
    """The thread that waits on behalf of others ends with its turn: at once, or when a holder gives back."""
    before = set(threading.enumerate())
    with turns(path, 1) as (one,):
        other = Turn(path)
        assert one.take(LONG_S)
        assert not other.take(SOON_S)
        other.close()
        one.give_back()
        await wait_until(lambda: set(threading.enumerate()) <= before, 5, "the waiting thread has ended")
