"""Leasing what was chosen: whether it may be had still, and the taking itself."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence

from app.jobs.job import Job, LeaseRequest, ServedBecause
from app.jobs.schema import RUNNING, SET_ASIDE, WAITING
from app.jobs.sqlite_choosing import (
    ASIDE_FOR_US,
    AVOIDED,
    BEGUN,
    LEFT_RUNNING,
    Choice,
    lease_values,
    one,
)

_JOB_COLUMNS = (
    "id, kind, user_id, home, received_at, expires_at, payload, fence, attempts, stop, checkpoint, result, parts"
)

STILL = f"""
WITH named AS MATERIALIZED (
    SELECT seq, state FROM json_each(:only) CROSS JOIN jobs WHERE seq=value
), open AS (
    SELECT seq, home, kind, because, attempts, received_at, home IN (SELECT value FROM json_each(:dead)) AS down,
        {SET_ASIDE} AS aside, {ASIDE_FOR_US} AS ours, {AVOIDED} AS avoided,
        row_number() OVER (PARTITION BY user_id ORDER BY seq) + (
            SELECT count(*) FROM jobs AS busy WHERE busy.state='{RUNNING}' AND busy.user_id=jobs.user_id) AS turn
    FROM named CROSS JOIN jobs USING (seq) WHERE named.state='{WAITING}'
)
SELECT json_group_array(json_array(rank, turn, seq, because, kind, attempts)) FROM (
    SELECT -1 AS rank, 0 AS turn, seq, because, kind, 0 AS attempts FROM open WHERE aside AND ours
    UNION ALL
    SELECT CASE WHEN {BEGUN} THEN -1 ELSE 0 END, 0, seq, '{ServedBecause.RECOVERED}', kind, attempts
    FROM named CROSS JOIN jobs USING (seq) WHERE named.state='{RUNNING}' AND {LEFT_RUNNING}
    UNION ALL
    SELECT CASE WHEN home=:owner THEN 0 WHEN down THEN 1 ELSE 2 END, turn, seq, CASE
            WHEN home=:owner THEN '{ServedBecause.HOME}'
            WHEN down THEN '{ServedBecause.HOME_DOWN}'
            WHEN home || ':' || kind IN (SELECT value FROM json_each(:spent)) THEN '{ServedBecause.HOME_SPENT}'
            ELSE '{ServedBecause.HOME_BUSY}' END, kind, attempts
    FROM open
    WHERE NOT aside AND NOT avoided AND (:user_limit=0 OR turn<=:user_limit) AND (home=:owner OR down OR received_at<
        CASE WHEN home IN (SELECT value FROM json_each(:full))
            OR home || ':' || kind IN (SELECT value FROM json_each(:spent)) THEN :known ELSE :stale END))
"""
"""What of the chosen jobs may be leased still. A user's turns are counted among these and what runs, so nobody runs
more at once than is allowed."""


def lease(connection: sqlite3.Connection, request: LeaseRequest, chosen: Sequence[int]) -> list[Job]:
    """Lease what was chosen, in this transaction, as far as the request allows it still."""
    until = request.now + request.lease_s
    rows = one(connection, STILL, {**lease_values(request), "only": json.dumps(chosen)})
    choice = Choice.of(request)
    for rank, _, seq, because, kind, attempts in sorted(rows):
        choice.offer(seq, ServedBecause(because), kind, attempts, begun=rank < 0)
    return [
        take(connection, seq, because, owner=request.owner, now=request.now, until=until, since=request.since)
        for seq, because in choice.chosen
    ]


def take(
    connection: sqlite3.Connection,
    seq: int,
    because: ServedBecause,
    *,
    owner: int,
    now: float,
    until: float,
    since: float = math.inf,
) -> Job:
    """Give one job to `owner` until then, under a new fencing number.

    An attempt is counted, unless the owner was given it after `since` already and knows nothing of it.
    """
    update = (
        f"UPDATE jobs SET attempts=attempts+(state<>'{RUNNING}' OR owner<>:owner OR started_at<:since), "
        f"state='{RUNNING}', owner=:owner, because=:because, fence=fence+1, lease_until=:until, started_at=:now "
        f"WHERE seq=:seq RETURNING {_JOB_COLUMNS}"
    )
    values = {"owner": owner, "because": because.value, "until": until, "now": now, "since": since, "seq": seq}
    row = connection.execute(update, values).fetchall()[0]
    *fields, stop, checkpoint, result, parts = row
    job_id, kind, user_id, home, received_at, expires_at, payload, fence, attempts = fields
    facts = json.loads(checkpoint) if checkpoint else {}
    left = (facts, result, bool(stop), json.loads(parts) if parts else ())
    return Job(job_id, kind, user_id, home, received_at, expires_at, payload, fence, attempts, because, *left)
