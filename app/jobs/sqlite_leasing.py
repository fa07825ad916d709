"""Which jobs an instance may lease, and in which order: one statement over the open jobs, and the taking itself."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from app.jobs.job import SUSPECT_AFTER, Job, LeaseRequest, ServedBecause
from app.jobs.schema import RUNNING, WAITING

_JOB_COLUMNS = (
    "id, kind, user_id, home, received_at, expires_at, payload, fence, attempts, stop, checkpoint, result, parts"
)

_BEGUN = "(checkpoint IS NOT NULL OR result IS NOT NULL OR stop=1)"
"""What was begun needs no budget to be ended: a task that is paid for, an answer that is kept. Nor what only stops:
for that it need not even be the instance that a task is pinned to."""

_CANDIDATES = f"""
WITH turns AS (
    SELECT seq, home, kind, because, attempts, pinned, stop, result IS NOT NULL OR stop=1 AS ends, avoid, avoid_until,
        received_at,
        home || ':' || kind AS at_home,
        row_number() OVER (PARTITION BY user_id ORDER BY seq)
            + (SELECT count(*) FROM jobs AS other WHERE other.state='{RUNNING}' AND other.user_id=jobs.user_id) AS turn
    FROM jobs WHERE state='{WAITING}'
), open AS (
    SELECT * FROM turns
    WHERE pinned IS NULL AND NOT ends AND kind IN (SELECT value FROM json_each(:kinds))
        AND (:user_limit=0 OR turn<=:user_limit)
        AND (avoid IS NULL OR avoid<>:owner OR avoid_until IS NULL OR avoid_until<:now)
)
SELECT seq, because, kind, rank, attempts FROM (
    SELECT seq, because, kind, -1 AS rank, 0 AS turn, 0 AS attempts FROM turns
        WHERE pinned=:owner OR ((pinned IS NULL OR stop=1) AND ends AND (home=:owner OR received_at<:stale))
    UNION ALL
    SELECT seq, '{ServedBecause.RECOVERED}', kind, CASE WHEN {_BEGUN} THEN -1 ELSE 0 END, 0, attempts FROM jobs
        WHERE state='{RUNNING}' AND ({_BEGUN} OR kind IN (SELECT value FROM json_each(:kinds)))
            AND (lease_until<:now OR (owner IN (SELECT value FROM json_each(:dead)) AND NOT EXISTS (
                SELECT 1 FROM instances WHERE instance=owner AND beat_at>=:dead_before))
            OR (owner=:owner AND id NOT IN (SELECT value FROM json_each(:held)))
            OR started_at<(SELECT value FROM json_each(:lives) WHERE key=CAST(owner AS TEXT)))
            AND (pinned IS NULL OR pinned=:owner OR stop=1)
    UNION ALL
    SELECT seq, '{ServedBecause.HOME}', kind, 0, turn, attempts FROM open WHERE home=:owner
    UNION ALL
    SELECT seq, '{ServedBecause.HOME_DOWN}', kind, 1, turn, attempts FROM open
        WHERE home<>:owner AND home IN (SELECT value FROM json_each(:dead))
    UNION ALL
    SELECT seq, CASE WHEN at_home IN (SELECT value FROM json_each(:spent)) THEN '{ServedBecause.HOME_SPENT}'
            ELSE '{ServedBecause.HOME_BUSY}' END, kind, 2, turn, attempts FROM open
        WHERE home<>:owner AND home NOT IN (SELECT value FROM json_each(:dead)) AND received_at<CASE
            WHEN home IN (SELECT value FROM json_each(:full)) OR at_home IN (SELECT value FROM json_each(:spent))
            THEN :known ELSE :stale END
) ORDER BY rank, turn, seq
"""
"""Own pins and what a dead instance left; then the own home's jobs, a dead home's, and those a live home can't serve.

Within each, users take turns: a user's first job goes before everybody's second, counting what runs already.
"""


def _lease_values(request: LeaseRequest) -> dict[str, Any]:
    return {
        "owner": request.owner,
        "kinds": json.dumps([kind for kind, room in request.kinds.items() if room > 0]),
        "held": json.dumps(list(request.held)),
        "dead": json.dumps([instance for instance in request.dead if instance != request.owner]),
        "lives": json.dumps({instance: at for instance, at in request.lives.items() if instance != request.owner}),
        "full": json.dumps(list(request.full)),
        "spent": json.dumps([f"{home}:{kind}" for home, kind in request.spent]),
        "now": request.now,
        "dead_before": request.dead_before,
        "stale": request.now - request.steal_after_s,
        "known": request.now - request.steal_known_s,
        "user_limit": request.user_limit,
    }


def any_lease(connection: sqlite3.Connection, request: LeaseRequest) -> bool:
    """Look before writing: an idle instance polls often, and only a transaction that writes costs a disk flush."""
    return connection.execute(_CANDIDATES, _lease_values(request)).fetchone() is not None


def lease(connection: sqlite3.Connection, request: LeaseRequest) -> list[Job]:
    """Lease what the request allows, in this transaction."""
    until = request.now + request.lease_s
    return [
        take(connection, seq, because, owner=request.owner, now=request.now, until=until)
        for seq, because in _within_room(connection, request)
    ]


def _within_room(connection: sqlite3.Connection, request: LeaseRequest) -> list[tuple[int, ServedBecause]]:
    """Choose the first candidates that fit the limit and the room for their kind.

    What was begun already (rank -1) needs no room.
    """
    room = dict(request.kinds)
    chosen: list[tuple[int, ServedBecause]] = []
    suspects = request.suspects
    for seq, because, kind, rank, attempts in connection.execute(_CANDIDATES, _lease_values(request)):
        if len(chosen) == request.limit:
            break
        if attempts >= SUSPECT_AFTER:
            if suspects:
                continue
            suspects += 1
        if rank < 0 or room.get(kind, 0) > 0:
            room[kind] = room.get(kind, 0) - 1
            chosen.append((seq, ServedBecause(because)))
    return chosen


def take(
    connection: sqlite3.Connection, seq: int, because: ServedBecause, *, owner: int, now: float, until: float
) -> Job:
    """Give one job to `owner` until then, under a new fencing number."""
    update = (
        f"UPDATE jobs SET state='{RUNNING}', owner=?, because=?, fence=fence+1, attempts=attempts+1, lease_until=?, "
        f"started_at=? WHERE seq=? RETURNING {_JOB_COLUMNS}"
    )
    row = connection.execute(update, (owner, because.value, until, now, seq)).fetchall()[0]
    *fields, stop, checkpoint, result, parts = row
    job_id, kind, user_id, home, received_at, expires_at, payload, fence, attempts = fields
    facts = json.loads(checkpoint) if checkpoint else {}
    left = (facts, result, bool(stop), json.loads(parts) if parts else ())
    return Job(job_id, kind, user_id, home, received_at, expires_at, payload, fence, attempts, because, *left)
