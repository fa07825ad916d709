"""Which jobs an instance may lease, and in which order: one statement over the open jobs, and the taking itself."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from app.jobs.job import SUSPECT_AFTER, Job, LeaseRequest, ServedBecause
from app.jobs.schema import RUNNING, SET_ASIDE, WAITING

Row = tuple[Any, ...]

CHOOSERS = 4
"""So many instances may choose at the same moment without one of them going away empty-handed."""

_JOB_COLUMNS = (
    "id, kind, user_id, home, received_at, expires_at, payload, fence, attempts, stop, checkpoint, result, parts"
)

_BEGUN = "(checkpoint IS NOT NULL OR result IS NOT NULL OR stop=1)"
"""What was begun needs no budget to be ended: a task that is paid for, an answer that is kept. Nor what only stops:
for that it need not even be the instance that a task is pinned to."""


def _candidates(only: str = "") -> str:
    return f"""
WITH busy AS (
    SELECT user_id, count(*) AS running FROM jobs WHERE state='{RUNNING}' GROUP BY user_id
), set_aside AS MATERIALIZED (
    SELECT seq, home, kind, because, pinned, stop, received_at FROM jobs WHERE state='{WAITING}' AND {SET_ASIDE} {only}
), turns AS (
    SELECT seq, user_id, home, kind, attempts, avoid, avoid_until, received_at, home || ':' || kind AS at_home,
        row_number() OVER (PARTITION BY user_id ORDER BY seq) AS nth
    FROM jobs WHERE state='{WAITING}' {only}
), open AS (
    SELECT *, nth + coalesce(running, 0) AS turn FROM turns LEFT JOIN busy USING (user_id)
    WHERE seq NOT IN (SELECT seq FROM set_aside) AND kind IN (SELECT value FROM json_each(:kinds))
        AND (:user_limit=0 OR nth + coalesce(running, 0)<=:user_limit)
        AND (avoid IS NULL OR avoid<>:owner OR avoid_until IS NULL OR avoid_until<:now)
)
SELECT seq, because, kind, rank, attempts FROM (
    SELECT seq, because, kind, -1 AS rank, 0 AS turn, 0 AS attempts FROM set_aside
        WHERE pinned=:owner OR ((pinned IS NULL OR stop=1) AND (home=:owner OR received_at<:stale))
    UNION ALL
    SELECT seq, '{ServedBecause.RECOVERED}', kind, CASE WHEN {_BEGUN} THEN -1 ELSE 0 END, 0, attempts FROM jobs
        WHERE state='{RUNNING}' AND ({_BEGUN} OR kind IN (SELECT value FROM json_each(:kinds)))
            AND (lease_until<:now OR (owner IN (SELECT value FROM json_each(:dead)) AND NOT EXISTS (
                SELECT 1 FROM instances WHERE instance=owner AND beat_at>=:dead_before))
            OR (owner=:owner AND id NOT IN (SELECT value FROM json_each(:held)))
            OR started_at<(SELECT value FROM json_each(:lives) WHERE key=CAST(owner AS TEXT)))
            AND (pinned IS NULL OR pinned=:owner OR stop=1) {only}
    UNION ALL
    SELECT seq, CASE
            WHEN home=:owner THEN '{ServedBecause.HOME}'
            WHEN home IN (SELECT value FROM json_each(:dead)) THEN '{ServedBecause.HOME_DOWN}'
            WHEN at_home IN (SELECT value FROM json_each(:spent)) THEN '{ServedBecause.HOME_SPENT}'
            ELSE '{ServedBecause.HOME_BUSY}' END,
        kind, CASE WHEN home=:owner THEN 0 WHEN home IN (SELECT value FROM json_each(:dead)) THEN 1 ELSE 2 END,
        turn, attempts
    FROM open
    WHERE home=:owner OR home IN (SELECT value FROM json_each(:dead)) OR received_at<CASE
        WHEN home IN (SELECT value FROM json_each(:full)) OR at_home IN (SELECT value FROM json_each(:spent))
        THEN :known ELSE :stale END
) ORDER BY rank, turn, seq
"""


_CANDIDATES = _candidates()
"""Own pins and what a dead instance left; then the own home's jobs, a dead home's, and those a live home can't serve.

Within each, users take turns: a user's first job goes before everybody's second, counting what runs already.
"""


_STILL = _candidates("AND seq IN (SELECT value FROM json_each(:only))")
"""The same of a few jobs: whether they may be leased still. A user's turns are counted among these and what runs, so
nobody runs more at once than is allowed."""


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


def choose(connection: sqlite3.Connection, request: LeaseRequest) -> list[int]:
    """Return the `seq` of jobs that the request may lease now, best first, and some to spare: others choose, too.

    A look before writing: it reads the whole queue, which would keep everybody else from recording if it were part of
    the transaction; and an idle instance polls often, but only a transaction that writes costs a disk flush.
    """
    rows = connection.execute(_CANDIDATES, _lease_values(request))
    roomy = {kind: room * CHOOSERS for kind, room in request.kinds.items()}
    return [seq for seq, _ in _within_room(rows, replace(request, limit=request.limit * CHOOSERS, kinds=roomy))]


def lease(connection: sqlite3.Connection, request: LeaseRequest, chosen: Sequence[int]) -> list[Job]:
    """Lease what was chosen, in this transaction, as far as the request allows it still."""
    until = request.now + request.lease_s
    rows = connection.execute(_STILL, {**_lease_values(request), "only": json.dumps(chosen)}).fetchall()
    return [
        take(connection, seq, because, owner=request.owner, now=request.now, until=until, since=request.since)
        for seq, because in _within_room(rows, request)
    ]


def _within_room(rows: Iterable[Row], request: LeaseRequest) -> list[tuple[int, ServedBecause]]:
    """Choose the first candidates that fit the limit and the room for their kind.

    What was begun already (rank -1) needs no room.
    """
    room = dict(request.kinds)
    chosen: list[tuple[int, ServedBecause]] = []
    suspects = request.suspects
    for seq, because, kind, rank, attempts in rows:
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
