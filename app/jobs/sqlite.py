"""The job store on SQLite. What each method promises stands in app/jobs/store.py."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from app.errors import LeaseLost
from app.jobs.job import Finish, FinishedJob, Job, LeaseRequest, NewJob, Outcome, ServedBecause
from app.jobs.schema import DONE, RUNNING, WAITING
from app.jobs.sqlite_accepting import REPEATABLE, accepted, put_all
from app.jobs.sqlite_choosing import choose
from app.jobs.sqlite_ending import NEVER, end
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.sqlite_leasing import lease, take
from app.jobs.sqlite_queue import UNSERVED
from app.jobs.store import NO_LIMITS, PutLimits, PutResult, QueueCounts, RepeatableJob, WaitingJob
from app.promise import Promise

_IS_UNSERVED = f"(state='{WAITING}' OR (state='{RUNNING}' AND lease_until<?))"

Row = tuple[Any, ...]


class SqliteJobStore:
    """Jobs in the host's one file."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    def put(self, job: NewJob, limits: PutLimits = NO_LIMITS) -> Promise[PutResult]:
        return self._engine.write_batched(put_all, (job, limits))

    async def knows(self, job_id: str) -> bool:
        select = "SELECT 1 FROM jobs WHERE id=?"
        return await self._engine.read(lambda connection: connection.execute(select, (job_id,)).fetchone()) is not None

    async def repeatable(self, job_id: str, *, user_id: str) -> RepeatableJob | None:
        select = f"SELECT kind, payload FROM jobs WHERE {REPEATABLE}"
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
            select = f"SELECT seq, home FROM jobs WHERE id=? AND {_IS_UNSERVED}"
            found = connection.execute(select, (job_id, now)).fetchone()
            if found is None:
                return None
            because = ServedBecause.HOME if found[1] == owner else ServedBecause.HOME_BUSY
            return take(connection, found[0], because, owner=owner, now=now, until=now + lease_s)

        return await self._engine.write(write)

    async def unserved(self, *, now: float, home: int | None = None, limit: int = 100) -> list[WaitingJob]:
        values = {"now": now, "home": home, "limit": limit}
        rows = await self._engine.read(lambda connection: connection.execute(UNSERVED, values).fetchall())
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
        await self._engine.write(lambda connection: end(connection, job, finish))

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
        return await self._engine.read(lambda connection: accepted(connection, user_id, since))

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
                update = f"UPDATE jobs SET repeat='{NEVER}' WHERE state='{state}' AND user_id=?"
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
