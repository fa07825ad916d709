"""Recording what is new and within the limits: the transaction that an acknowledgement waits for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from app.jobs.job import NewJob, Repeat
from app.jobs.schema import DONE, RUNNING, WAITING
from app.jobs.store import PutLimits, PutResult

_PUT_COLUMNS = "id, kind, user_id, home, state, received_at, expires_at, payload, put_by, guild_id, channel_id"
_PUT_ROW = f"(?,?,?,?,'{WAITING}',?,?,?,?,?,?)"
_PUT_CHUNKS = (64, 32, 16, 8, 4, 2, 1)
"""Rows for each INSERT: every step of a statement hands the interpreter lock back and forth, so rows go in bulk."""

REPEATABLE = f"id=? AND user_id=? AND state='{DONE}' AND payload IS NOT NULL"
_BEGUN = (
    f"SELECT (SELECT count(*) FROM jobs WHERE state='{DONE}' AND user_id=:user AND received_at>=:since) + "
    f"(SELECT count(*) FROM jobs WHERE state='{RUNNING}' AND user_id=:user AND received_at>=:since)"
)
"""How many of a user's jobs were accepted and wait no more: two counts, as each state has an index of its own."""

_QUEUED = (
    f"SELECT user_id, count(*) FROM jobs WHERE state='{WAITING}' AND received_at>=:since "
    "AND user_id IN (SELECT value FROM json_each(:users)) GROUP BY user_id"
)
"""How many of each of these users' wait. It goes through all that wait, so that no index has to be kept for it."""

Row = tuple[Any, ...]


def put_all(connection: sqlite3.Connection, arguments: Sequence[tuple[NewJob, PutLimits]]) -> list[PutResult]:
    """Record what is new and within the limits; all of a batch share the bound of its first on what may wait."""
    select = f"SELECT id FROM jobs WHERE id IN ({','.join('?' * len(arguments))})"
    known = {row[0] for row in connection.execute(select, [job.id for job, _ in arguments])}
    room = _room(connection, arguments[0][1].max_waiting)
    queued: dict[float, Mapping[str, int]] = {}
    for _, limits in arguments:
        if limits.user_quota and limits.day_start not in queued:
            users = {job.user_id for job, _ in arguments}
            queued[limits.day_start] = _queued(connection, users, limits.day_start)
    fresh: list[NewJob] = []
    results = []
    for job, limits in arguments:
        result = PutResult.DUPLICATE if job.id in known else _admitted(connection, job, limits, fresh, room, queued)
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
    connection: sqlite3.Connection,
    job: NewJob,
    limits: PutLimits,
    fresh: Sequence[NewJob],
    room: int,
    queued: Mapping[float, Mapping[str, int]],
) -> PutResult:
    """Say whether a new job may be recorded; `fresh` are those of this batch that will be, and `queued` how many jobs
    of these users wait that were accepted since the start of a day."""
    if limits.closed:
        return PutResult.CLOSED
    if len(fresh) >= room:
        return PutResult.FULL
    if limits.user_quota:
        used = _begun(connection, job.user_id, limits.day_start) + queued[limits.day_start].get(job.user_id, 0)
        if used + sum(other.user_id == job.user_id for other in fresh) >= limits.user_quota:
            return PutResult.QUOTA
    return PutResult.GONE if job.repeats and not _repeated(connection, job) else PutResult.ACCEPTED


def accepted(connection: sqlite3.Connection, user_id: str, since: float) -> int:
    """Return how many jobs of a user's were accepted since then."""
    return _begun(connection, user_id, since) + _queued(connection, [user_id], since).get(user_id, 0)


def _begun(connection: sqlite3.Connection, user_id: str, since: float) -> int:
    return int(connection.execute(_BEGUN, {"user": user_id, "since": since}).fetchone()[0])


def _queued(connection: sqlite3.Connection, users: Collection[str], since: float) -> Mapping[str, int]:
    return dict(connection.execute(_QUEUED, {"since": since, "users": json.dumps([*users])}).fetchall())


def _repeated(connection: sqlite3.Connection, job: NewJob) -> bool:
    """Use up the job that this one repeats, if it may be repeated but once; False if it may not (any more)."""
    original = (job.repeats, job.user_id)
    row = connection.execute(f"SELECT repeat FROM jobs WHERE {REPEATABLE}", original).fetchone()
    if row is not None and row[0] == Repeat.ONCE.value:
        connection.execute(f"UPDATE jobs SET payload=NULL, repeat='' WHERE {REPEATABLE}", original)
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
