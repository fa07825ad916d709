"""The end of a job, which leaves a row much smaller than it was."""

from __future__ import annotations

import sqlite3

from app.errors import LeaseLost
from app.jobs.job import Finish, Job, Repeat
from app.jobs.schema import DONE, RUNNING

NEVER = "never"
"""The `repeat` of an open job whose user has had everything forgotten meanwhile: its payload goes when it ends."""

_TAKEN = f"DELETE FROM jobs WHERE id=? AND fence=? AND state='{RUNNING}' RETURNING *"


def end(connection: sqlite3.Connection, job: Job, finish: Finish) -> None:
    """End a job; raise `LeaseLost` if its lease is not current.

    It is taken out and put back: an update would leave its page to it alone, since SQLite only brings the rows of
    half-empty pages together when one is deleted. That was 4 KB of file for each finished job.
    """
    deleted = connection.execute(_TAKEN, (job.id, job.fence))
    names = [column[0] for column in deleted.description]
    rows = deleted.fetchall()
    if not rows:
        raise LeaseLost(f"job {job.id}: lease {job.fence} is not current any more")
    row = dict(zip(names, rows[0], strict=True))
    repeat = Repeat.NONE.value if row["repeat"] == NEVER else finish.repeat.value
    row |= {
        "state": DONE,
        "payload": (row["payload"] if finish.body is None else finish.body) if repeat else None,
        "repeat": repeat,
        "checkpoint": None,
        "result": None,
        "lease_until": None,
        "outcome": finish.outcome.value,
        "finished_at": finish.now,
        "provider": finish.provider,
        "error": finish.error,
    }
    insert = f"INSERT INTO jobs ({', '.join(names)}) VALUES ({','.join('?' * len(names))})"
    connection.execute(insert, [*row.values()])
