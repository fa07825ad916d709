"""The stores under measurement, filled as a day of work leaves them, and emptied again of what a run has put."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol, TypeVar

import redis

from app.commands.derived import remembered
from app.discord.models import parse, read_json
from app.jobs.job import Finish, JobState, LeaseRequest, NewJob, Outcome, Repeat
from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_schema import open_with_schema
from app.jobs.redis_store import RedisJobStore
from app.jobs.redis_transfer import RedisJobTransfer
from app.jobs.schema import MIGRATIONS, OLDEST_COMPATIBLE
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.store import JobStore
from app.jobs.transfer import StoredJob
from bench.interactions import FIRST_ID, FIRST_USER, ID_STEP, body

T = TypeVar("T")

KEPT_USERS = 10_000
"""Whose jobs are kept: each has as many."""

WAITING_USERS = 997
KIND, HOUR_S = "chat", 3600.0
OLDEST_H, NEWEST_H = 20.0, 1.0
"""When the kept jobs ended, in hours before now: an instance forgets them after a day."""

FIRST_KEPT = FIRST_ID - 4_000_000 * ID_STEP
FIRST_WAITING = FIRST_ID - 2_000_000 * ID_STEP
PROBE = FIRST_ID - 3 * ID_STEP
AT_ONCE = 1000
LEASES = 20
STARTS_WITHIN_S = 60.0


class Store(Protocol):
    """What keeps the jobs of a cell through all rounds."""

    url: str

    def fill(self, kept: int, waiting: int) -> None:
        """Bring in so many finished and waiting jobs."""

    def lost(self, ids: Collection[str]) -> int:
        """How many of these are not there."""

    def clear(self, ids: Sequence[str]) -> None:
        """Take out what a run has put, of which `ids` are all that it may have put."""

    def mib(self) -> float:
        """What it takes, on disk or in memory."""

    def lease_ms(self) -> float:
        """Median time of a lease by a program of its own."""

    def close(self) -> None:
        """End what runs for it."""


class SqliteFile:
    """The file that all instances of a host share."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "quartet.db"
        self.url = f"sqlite:///{self._path}"
        asyncio.run(self._opened(lambda _store: asyncio.sleep(0)))

    def fill(self, kept: int, waiting: int) -> None:
        now, content = time.time(), body(str(FIRST_ID), FIRST_USER)
        columns = (
            "id, kind, user_id, home, state, received_at, expires_at, payload, put_by, owner, fence, attempts, "
            "outcome, provider, started_at, finished_at, guild_id, channel_id, repeat"
        )
        numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i+1<:count)"
        done = f"""{numbers} INSERT INTO jobs ({columns}) SELECT CAST(:id+i*{ID_STEP} AS TEXT), '{KIND}',
            CAST({FIRST_USER}+i%{KEPT_USERS} AS TEXT), 1, 'done', :at+i*:step-8, :at+i*:step+892, :payload, 'run', 1,
            1, 1, '{Outcome.ANSWERED}', 'openai', :at+i*:step-7, :at+i*:step, '1100000000000000000',
            '1150000000000000000', '{Repeat.ALWAYS}' FROM n"""
        open_ = f"""{numbers} INSERT INTO jobs (id, kind, user_id, home, state, received_at, expires_at, payload)
            SELECT CAST(:id+i*{ID_STEP} AS TEXT), '{KIND}', CAST({FIRST_USER}+i%{WAITING_USERS} AS TEXT), 1,
            'waiting', :at, :until, :payload FROM n"""
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("BEGIN")
            if kept:
                start, step = now - OLDEST_H * HOUR_S, (OLDEST_H - NEWEST_H) * HOUR_S / kept
                values = {"id": FIRST_KEPT, "count": kept, "at": start, "step": step, "payload": _kept(content)}
                connection.execute(done, values)
            if waiting:
                until = now + OLDEST_H * HOUR_S
                values = {"id": FIRST_WAITING, "count": waiting, "at": now, "until": until, "payload": content}
                connection.execute(open_, values)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with self._path.open("rb+") as file:  # or the first flushes of the run would have to write all this out
            os.fsync(file)

    def lost(self, ids: Collection[str]) -> int:
        with closing(sqlite3.connect(self._path)) as connection:
            found = {row[0] for row in connection.execute("SELECT id FROM jobs WHERE id>=?", (str(FIRST_ID),))}
        return len(set(ids) - found)

    def clear(self, ids: Sequence[str]) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM jobs WHERE id>=?", (str(FIRST_ID),))
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def mib(self) -> float:
        return self._path.stat().st_size / 2**20

    def lease_ms(self) -> float:
        return asyncio.run(self._opened(_lease_ms))

    def close(self) -> None:
        pass

    async def _opened(self, use: Callable[[JobStore], Awaitable[T]]) -> T:
        engine = SqliteEngine(self._path, MIGRATIONS, OLDEST_COMPATIBLE)
        await engine.open()
        try:
            return await use(SqliteJobStore(engine))
        finally:
            await engine.close()


class RedisServer:
    """A server with `appendonly yes` and `appendfsync always`, on a Unix socket; it may use any core."""

    def __init__(self, directory: Path) -> None:
        place = directory / "redis"
        place.mkdir()
        self._socket = Path("/tmp") / f"quartet-{directory.name}.sock"  # a socket's name may have 107 bytes
        self.url = f"unix://{self._socket}?db=0"
        options = {"port": "0", "unixsocket": str(self._socket), "dir": str(place), "save": "",
                   "appendonly": "yes", "appendfsync": "always", "auto-aof-rewrite-percentage": "0",
                   "logfile": "redis.log"}  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(["redis-server", *words])
        self._client = redis.Redis(unix_socket_path=str(self._socket))
        self._wait_until_answering()

    def fill(self, kept: int, waiting: int) -> None:
        asyncio.run(self._take_over(_records(kept, waiting)))

    def lost(self, ids: Collection[str]) -> int:
        names, there = sorted(ids), 0
        for at in range(0, len(names), AT_ONCE):
            there += int(self._client.exists(*(f"{{quartet}}:job:{name}" for name in names[at : at + AT_ONCE])))
        return len(names) - there

    def clear(self, ids: Sequence[str]) -> None:
        """Let them be finished elsewhere long ago, and forgotten: so the indexes are as before, too."""
        long_ago = time.time() - 2 * OLDEST_H * HOUR_S
        done = (_done(name, FIRST_USER, long_ago, b"") for name in ids)
        asyncio.run(self._take_over(done, forget_before=long_ago + 1))

    def mib(self) -> float:
        return float(self._client.info("memory")["used_memory"]) / 2**20

    def lease_ms(self) -> float:
        async def measure() -> float:
            engine = RedisEngine(self.url)
            await open_with_schema(engine)
            try:
                return await _lease_ms(RedisJobStore(engine))
            finally:
                await engine.close()

        return asyncio.run(measure())

    def close(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)

    async def _take_over(self, records: Iterator[StoredJob], forget_before: float | None = None) -> None:
        engine = RedisEngine(self.url)
        await open_with_schema(engine)
        try:
            transfer, page = RedisJobTransfer(engine), [*_taken(records)]
            while page:
                await transfer.take_over(page)
                page = [*_taken(records)]
            store = RedisJobStore(engine)
            while forget_before is not None and await store.forget(finished_before=forget_before, limit=AT_ONCE):
                pass
        finally:
            await engine.close()

    def _answers(self) -> bool:
        try:
            return bool(self._client.ping())
        except redis.ConnectionError:
            return False

    def _wait_until_answering(self) -> None:
        give_up = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            if time.monotonic() > give_up or self._process.poll() is not None:
                raise SystemExit("redis-server did not start")
            time.sleep(0.02)


def _kept(content: bytes) -> bytes:
    """Return what an instance keeps of an answered command."""
    return remembered(parse(read_json(content)))


def _taken(records: Iterator[StoredJob]) -> Iterator[StoredJob]:
    for _ in range(AT_ONCE):
        record = next(records, None)
        if record is None:
            return
        yield record


def _records(kept: int, waiting: int) -> Iterator[StoredJob]:
    """Return the same jobs as the SQLite file is filled with."""
    now, content = time.time(), body(str(FIRST_ID), FIRST_USER)
    left = _kept(content)
    for number in range(kept):
        ended = now - (OLDEST_H - (OLDEST_H - NEWEST_H) * number / kept) * HOUR_S
        yield _done(str(FIRST_KEPT + number * ID_STEP), FIRST_USER + number % KEPT_USERS, ended, left)
    for number in range(waiting):
        name, user = str(FIRST_WAITING + number * ID_STEP), str(FIRST_USER + number % WAITING_USERS)
        yield StoredJob(name, KIND, user, 1, now, now + OLDEST_H * HOUR_S, payload=content)


def _done(name: str, user: int, ended: float, content: bytes) -> StoredJob:
    return StoredJob(
        name, KIND, str(user), 1, ended - 8, ended + 892, JobState.DONE.value, content, owner=1, fence=1, attempts=1,
        outcome=Outcome.ANSWERED.value, provider="openai", started_at=ended - 7, finished_at=ended,
        guild_id="1100000000000000000", channel_id="1150000000000000000", repeat=Repeat.ALWAYS.value,
    )  # fmt: skip


async def _lease_ms(store: JobStore) -> float:
    """Lease a job as a free instance does and give it back, some times over."""
    now = time.time()
    probe = NewJob(str(PROBE), KIND, str(FIRST_USER), 1, now, now + OLDEST_H * HOUR_S, b"{}", put_by="probe")
    await store.put(probe)
    times = []
    for _ in range(LEASES):
        request = LeaseRequest(owner=1, limit=1, now=time.time(), lease_s=20.0, kinds={KIND: 10})
        started = time.perf_counter()
        (job,) = await store.lease(request)
        times.append(time.perf_counter() - started)
        await store.release(job, counted=False)
    left = await store.lease_one(probe.id, owner=1, now=time.time(), lease_s=20.0)
    if left is not None:
        await store.finish(left, Finish(Outcome.STOPPED, time.time() - 30 * HOUR_S))
    return 1000 * statistics.median(times)
