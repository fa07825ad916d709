"""The job store on SQLite. What each method promises stands in app/jobs/store.py."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from app.errors import LeaseLost
from app.jobs.job import Finish, FinishedJob, Job, LeaseRequest, NewJob, Outcome, Repeat, ServedBecause
from app.jobs.schema import DONE, RUNNING, WAITING
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.sqlite_leasing import choose, lease, take
from app.jobs.store import NO_LIMITS, PutLimits, PutResult, QueueCounts, RepeatableJob, WaitingJob

_PUT_COLUMNS = "id, kind, user_id, home, state, received_at, expires_at, payload, put_by, guild_id, channel_id"
_PUT_ROW = f"(?,?,?,?,'{WAITING}',?,?,?,?,?,?)"
_PUT_CHUNKS = (64, 32, 16, 8, 4, 2, 1)
"""Rows for each INSERT: every step of a statement hands the interpreter lock back and forth, so rows go in bulk."""

_NEVER = "never"
"""The `repeat` of an open job whose user has had everything forgotten meanwhile: its payload goes when it ends."""

_REPEATABLE = f"id=? AND user_id=? AND state='{DONE}' AND payload IS NOT NULL"
_USED = (
    f"SELECT (SELECT count(*) FROM jobs WHERE state='{DONE}' AND user_id=:user AND received_at>=:since) + "
    f"(SELECT count(*) FROM jobs WHERE state='{RUNNING}' AND user_id=:user AND received_at>=:since) + "
    f"(SELECT count(*) FROM jobs WHERE state='{WAITING}' AND user_id=:user AND received_at>=:since)"
)
"""Three counts, because each state has an index of its own."""

_UNSERVED = f"(state='{WAITING}' OR (state='{RUNNING}' AND lease_until<?))"

_UNSERVED_ROWS = (
    f"WITH open AS MATERIALIZED (SELECT seq FROM jobs WHERE state='{WAITING}' {{home}} UNION ALL "
    f"SELECT seq FROM jobs WHERE state='{RUNNING}' AND lease_until<:now {{home}}) "
    "SELECT id, kind, home, received_at, expires_at FROM jobs "
    "WHERE seq IN (SELECT seq FROM open ORDER BY seq LIMIT :limit) ORDER BY seq"
)
"""The states apart, as each has an index of its own: together they would have all finished jobs read, every second."""

Row = tuple[Any, ...]


class SqliteJobStore:
    """Jobs in the host's one file."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    def put(self, job: NewJob, limits: PutLimits = NO_LIMITS) -> asyncio.Future[PutResult]:
        return self._engine.write_batched(_put_all, (job, limits))

    async def knows(self, job_id: str) -> bool:
        select = "SELECT 1 FROM jobs WHERE id=?"
        return await self._engine.read(lambda connection: connection.execute(select, (job_id,)).fetchone()) is not None

    async def repeatable(self, job_id: str, *, user_id: str) -> RepeatableJob | None:
        select = f"SELECT kind, payload FROM jobs WHERE {_REPEATABLE}"
        row = await self._engine.read(lambda connection: connection.execute(select, (job_id, user_id)).fetchone())
        return RepeatableJob(*row) if row else None

    async def withdraw(self, job: NewJob) -> bool:
        def write(connection: sqlite3.Connection) -> bool:
            mine = (job.id, job.put_by)
            connection.execute(f"DELETE FROM jobs WHERE id=? AND put_by=? AND state='{WAITING}' AND fence=0", mine)
            return connection.execute("SELECT 1 FROM jobs WHERE id=? AND put_by=?", mine).fetchone() is None

        return await self._engine.write(write)

    async def lease(self, request: LeaseRequest) -> list[Job]:
        chosen = await self._engine.read(lambda connection: choose(connection, request)) if request.limit > 0 else ()
        if not chosen:
            return []
        return await self._engine.write(lambda connection: lease(connection, request, chosen))

    async def lease_one(self, job_id: str, *, owner: int, now: float, lease_s: float) -> Job | None:
        def write(connection: sqlite3.Connection) -> Job | None:
            select = f"SELECT seq, home FROM jobs WHERE id=? AND {_UNSERVED}"
            found = connection.execute(select, (job_id, now)).fetchone()
            if found is None:
                return None
            because = ServedBecause.HOME if found[1] == owner else ServedBecause.HOME_BUSY
            return take(connection, found[0], because, owner=owner, now=now, until=now + lease_s)

        return await self._engine.write(write)

    async def unserved(self, *, now: float, home: int | None = None, limit: int = 100) -> list[WaitingJob]:
        select = _UNSERVED_ROWS.format(home="" if home is None else "AND home=:home")
        values = {"now": now, "home": home, "limit": limit}
        rows = await self._engine.read(lambda connection: connection.execute(select, values).fetchall())
        return [WaitingJob(*row) for row in rows]

    async def renew(self, owner: int, fences: Mapping[str, int], *, until: float) -> Collection[str]:
        if not fences:
            return ()

        def write(connection: sqlite3.Connection) -> Collection[str]:
            lost = []
            for job_id, fence in fences.items():
                update = f"UPDATE jobs SET lease_until=? WHERE id=? AND fence=? AND owner=? AND state='{RUNNING}'"
                if connection.execute(update, (until, job_id, fence, owner)).rowcount == 0:
                    lost.append(job_id)
            return lost

        return await self._engine.write(write)

    async def checkpoint(self, job: Job, facts: Mapping[str, Any], *, pin: bool = False) -> None:
        pinned = "owner" if pin else "NULL"
        text = json.dumps(facts, ensure_ascii=False) if facts else None
        await self._change(job, f"checkpoint=?, pinned={pinned}", (text,))

    async def keep(self, job: Job, result: bytes) -> None:
        await self._change(job, "result=?, pinned=NULL", (result,))

    async def release(self, job: Job, *, counted: bool, avoid_until: float | None = None) -> None:
        attempts = "" if counted else ", attempts=attempts-1"
        await self._change(
            job,
            f"state='{WAITING}', avoid=owner, avoid_until=?, owner=NULL, lease_until=NULL{attempts}",
            (avoid_until,),
        )

    async def record_parts(self, job: Job, parts: Sequence[Mapping[str, Any]]) -> None:
        await self._change(job, "parts=?", (json.dumps([dict(part) for part in parts]),))

    async def parts(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        select = "SELECT parts FROM jobs WHERE id=?"
        row = await self._engine.read(lambda connection: connection.execute(select, (job_id,)).fetchone())
        return json.loads(row[0]) if row and row[0] else ()

    async def extend(self, job: Job, expires_at: float) -> None:
        await self._change(job, "expires_at=?", (expires_at,))

    async def stop(self, job_id: str, *, user_id: str | None) -> bool:
        update = (
            f"UPDATE jobs SET stop=1 WHERE id=? AND state IN ('{WAITING}', '{RUNNING}') AND (? IS NULL OR user_id=?)"
        )
        values = (job_id, user_id, user_id)
        return await self._engine.write(lambda connection: connection.execute(update, values).rowcount > 0)

    async def stops(self, owner: int) -> Collection[str]:
        select = f"SELECT id FROM jobs WHERE stop=1 AND state='{RUNNING}' AND owner=?"
        rows = await self._engine.read(lambda connection: connection.execute(select, (owner,)).fetchall())
        return {row[0] for row in rows}

    async def finish(self, job: Job, finish: Finish) -> None:
        await self._change(
            job,
            f"state='{DONE}', payload=CASE WHEN ?<>'' AND repeat<>'{_NEVER}' THEN payload END, "
            f"repeat=CASE WHEN repeat<>'{_NEVER}' THEN ? ELSE '' END, checkpoint=NULL, result=NULL, "
            "lease_until=NULL, outcome=?, finished_at=?, provider=?, error=?",
            (finish.repeat.value, finish.repeat.value, finish.outcome.value, finish.now, finish.provider, finish.error),
        )

    async def counts(self) -> QueueCounts:
        select = " UNION ALL ".join(
            f"SELECT '{state}', home, count(*) FROM jobs WHERE state='{state}' GROUP BY home"
            for state in (WAITING, RUNNING)  # apart, since each has an index of its own
        )
        rows = await self._engine.read(lambda connection: connection.execute(select).fetchall())
        return QueueCounts(
            waiting={home: count for state, home, count in rows if state == WAITING},
            running={home: count for state, home, count in rows if state == RUNNING},
        )

    async def accepted(self, user_id: str, *, since: float) -> int:
        values = {"user": user_id, "since": since}
        return int(await self._engine.read(lambda connection: connection.execute(_USED, values).fetchone()[0]))

    async def history(
        self, *, user_id: str | None = None, since: float = 0.0, until: float = math.inf, limit: int = 20
    ) -> Sequence[FinishedJob]:
        user = "AND user_id=?" if user_id is not None else ""
        values = (since, until, user_id, limit) if user_id is not None else (since, until, limit)
        select = (
            "SELECT id, kind, user_id, home, owner, because, outcome, provider, error, received_at, started_at, "
            f"finished_at FROM jobs WHERE state='{DONE}' AND finished_at>=? AND finished_at<? {user} "
            "ORDER BY finished_at DESC LIMIT ?"
        )
        rows = await self._engine.read(lambda connection: connection.execute(select, values).fetchall())
        return [_finished(row) for row in rows]

    async def forget_payloads(self, user_id: str) -> int:
        def write(connection: sqlite3.Connection) -> int:
            for state in (WAITING, RUNNING):  # apart, since each has an index of its own
                update = f"UPDATE jobs SET repeat='{_NEVER}' WHERE state='{state}' AND user_id=?"
                connection.execute(update, (user_id,))
            update = f"UPDATE jobs SET payload=NULL, repeat='' WHERE state='{DONE}' AND user_id=? AND payload NOT NULL"
            return connection.execute(update, (user_id,)).rowcount

        return await self._engine.write(write)

    async def forget(self, *, finished_before: float, limit: int = 500) -> int:
        def write(connection: sqlite3.Connection) -> int:
            delete = (
                f"DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE state='{DONE}' AND finished_at<? "
                "ORDER BY finished_at LIMIT ?)"
            )
            return connection.execute(delete, (finished_before, limit)).rowcount

        forgotten = await self._engine.write(write)
        if forgotten:
            await self._engine.vacuum()
        return forgotten

    async def _change(self, job: Job, assignments: str, values: Row) -> None:
        def write(connection: sqlite3.Connection) -> None:
            update = f"UPDATE jobs SET {assignments} WHERE id=? AND fence=? AND state='{RUNNING}'"
            if connection.execute(update, (*values, job.id, job.fence)).rowcount == 0:
                raise LeaseLost(f"job {job.id}: lease {job.fence} is not current any more")

        await self._engine.write(write)


def _put_all(connection: sqlite3.Connection, arguments: Sequence[tuple[NewJob, PutLimits]]) -> list[PutResult]:
    """Record what is new and within the limits; all of a batch share the bound of its first on what may wait."""
    select = f"SELECT id FROM jobs WHERE id IN ({','.join('?' * len(arguments))})"
    known = {row[0] for row in connection.execute(select, [job.id for job, _ in arguments])}
    room = _room(connection, arguments[0][1].max_waiting)
    fresh: list[NewJob] = []
    results = []
    for job, limits in arguments:
        result = PutResult.DUPLICATE if job.id in known else _admitted(connection, job, limits, fresh, room)
        if result is PutResult.ACCEPTED:
            known.add(job.id)
            fresh.append(job)
        results.append(result)
    for chunk in _chunks(fresh):
        insert = f"INSERT INTO jobs ({_PUT_COLUMNS}) VALUES {','.join([_PUT_ROW] * len(chunk))}"
        connection.execute(insert, [value for job in chunk for value in _put_values(job)])
    copies = [job.id for (job, _), result in zip(arguments, results, strict=True) if result is PutResult.DUPLICATE]
    if copies:
        # Whoever put it first may no longer take it back: somebody else is about to say that it was accepted.
        update = "UPDATE jobs SET put_by='' WHERE id IN (SELECT value FROM json_each(?))"
        connection.execute(update, (json.dumps(copies),))
    return results


def _admitted(
    connection: sqlite3.Connection, job: NewJob, limits: PutLimits, fresh: Sequence[NewJob], room: int
) -> PutResult:
    """Say whether a new job may be recorded; `fresh` are those of this batch that will be."""
    if limits.closed:
        return PutResult.CLOSED
    if len(fresh) >= room:
        return PutResult.FULL
    if limits.user_quota:
        used = int(connection.execute(_USED, {"user": job.user_id, "since": limits.day_start}).fetchone()[0])
        if used + sum(other.user_id == job.user_id for other in fresh) >= limits.user_quota:
            return PutResult.QUOTA
    return PutResult.GONE if job.repeats and not _repeated(connection, job) else PutResult.ACCEPTED


def _repeated(connection: sqlite3.Connection, job: NewJob) -> bool:
    """Use up the job that this one repeats, if it may be repeated but once; False if it may not (any more)."""
    original = (job.repeats, job.user_id)
    row = connection.execute(f"SELECT repeat FROM jobs WHERE {_REPEATABLE}", original).fetchone()
    if row is not None and row[0] == Repeat.ONCE.value:
        connection.execute(f"UPDATE jobs SET payload=NULL, repeat='' WHERE {_REPEATABLE}", original)
    return row is not None


def _room(connection: sqlite3.Connection, max_waiting: int) -> int:
    """How many more jobs may wait; counting stops at the bound, so a long queue costs no more than a full one."""
    if max_waiting <= 0:
        return 1 << 62
    select = f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state='{WAITING}' LIMIT ?)"
    return max_waiting - int(connection.execute(select, (max_waiting,)).fetchone()[0])


def _put_values(job: NewJob) -> Row:
    when = job.received_at, job.expires_at
    return job.id, job.kind, job.user_id, job.home, *when, job.payload, job.put_by, job.guild_id, job.channel_id


def _chunks(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    start = 0
    for size in _PUT_CHUNKS:
        while len(jobs) - start >= size:
            yield jobs[start : start + size]
            start += size


def _finished(row: Row) -> FinishedJob:
    job_id, kind, user_id, home, owner, because, outcome, provider, error, received_at, started_at, finished_at = row
    return FinishedJob(
        id=job_id,
        kind=kind,
        user_id=user_id,
        home=home,
        served_by=owner,
        because=ServedBecause(because),
        outcome=Outcome(outcome),
        provider=provider,
        error=error,
        received_at=received_at,
        started_at=started_at,
        finished_at=finished_at,
    )
