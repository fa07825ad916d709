"""Which jobs an instance might lease, in which order: found by looking at a few, however many wait.

Users take turns: a user's first job goes before everybody's second, counting what runs already. Whose turn it is can't
be told from an index, but the oldest first jobs can: walking along the queue from its front, each user's first job is
met in order, and nobody who is met later can come before. So as long as there are enough users who run nothing, only
the front is read; else all that wait are put in order of turns, which costs 1 to 2 µs each.

Every statement returns one row (of JSON): for each row that is fetched, Python hands its interpreter lock to the event
loop and waits for it again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.jobs.job import SUSPECT_AFTER, LeaseRequest, ServedBecause
from app.jobs.schema import RUNNING, SET_ASIDE, WAITING
from app.jobs.sqlite_queue import LANES

CHOOSERS = 4
"""So many instances may choose at the same moment without one of them going away empty-handed."""

FEW = 256
"""So many jobs are put in order of turns sooner than walked along."""

WINDOW, WIDER = 16, 4
"""Users met in the first look beyond those that are wanted; and how much more is read in each further one."""

BEGUN = "(checkpoint IS NOT NULL OR result IS NOT NULL OR stop=1)"
"""What was begun needs no budget to be ended: a task that is paid for, an answer that is kept. Nor what only stops:
for that it need not even be the instance that a task is pinned to."""

AVOIDED = "(avoid IS NOT NULL AND avoid=:owner AND avoid_until IS NOT NULL AND avoid_until>=:now)"
"""Who has handed a job back is not given it again for a while."""

LEFT_RUNNING = """(lease_until<:now OR (owner IN (SELECT value FROM json_each(:dead)) AND NOT EXISTS (
        SELECT 1 FROM instances WHERE instance=owner AND beat_at>=:dead_before))
    OR (owner=:owner AND id NOT IN (SELECT value FROM json_each(:held)))
    OR started_at<(SELECT value FROM json_each(:lives) WHERE key=CAST(owner AS TEXT)))
    AND (pinned IS NULL OR pinned=:owner OR stop=1)"""
"""Running jobs that nobody runs, as far as this instance may go on with them."""

ASIDE_FOR_US = "(pinned=:owner OR ((pinned IS NULL OR stop=1) AND (home=:owner OR received_at<:stale)))"

FIRST_LOOK = f"""
WITH RECURSIVE {LANES}, begun AS (
    SELECT seq, because, kind, -1 AS rank, 0 AS attempts FROM jobs
        WHERE state='{WAITING}' AND {SET_ASIDE} AND {ASIDE_FOR_US}
    UNION ALL
    SELECT seq, '{ServedBecause.RECOVERED}', kind, CASE WHEN {BEGUN} THEN -1 ELSE 0 END, attempts FROM jobs
        WHERE state='{RUNNING}' AND {LEFT_RUNNING}
)
SELECT json_object(
    'begun', (SELECT json_group_array(json_array(rank, seq, because, kind, attempts)) FROM begun),
    'busy', (SELECT json_group_object(user_id, running) FROM
        (SELECT user_id, count(*) AS running FROM jobs WHERE state='{RUNNING}' GROUP BY user_id)),
    'lanes', (SELECT json_group_array(json_array(home, kind)) FROM lanes),
    'many', (SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state='{WAITING}' LIMIT :few+1))>:few)
"""
"""What is left to be ended or was left running, what each user runs, in which lanes jobs wait, and whether many do."""

_AT_ONCE, _KNOWN, _STALE = range(3)
"""How long the jobs of a lane must have waited: not at all, `steal_known_s`, or `steal_after_s`."""

_LANES = f"""lanes (home, kind, rank, before) AS MATERIALIZED (
    SELECT value->>0, value->>1, value->>2,
        CASE value->>3 WHEN {_AT_ONCE} THEN 9e999 WHEN {_KNOWN} THEN :known ELSE :stale END
    FROM json_each(:lanes))"""
"""The lanes that are served now, in which order, and since when a job must have waited."""

_IN_LANE = f"""state='{WAITING}' AND jobs.home=lanes.home AND jobs.kind=lanes.kind AND seq>:after
        AND received_at<before AND user_id NOT IN (SELECT value FROM json_each(:met))"""

FRONT = f"""
WITH {_LANES}, front AS MATERIALIZED (
    SELECT jobs.seq, jobs.user_id FROM lanes CROSS JOIN jobs
    WHERE {_IN_LANE} AND seq<=coalesce((SELECT seq FROM jobs WHERE {_IN_LANE} ORDER BY seq LIMIT 1 OFFSET :size-1),
        9223372036854775807)
    ORDER BY seq LIMIT :size
), earlier AS MATERIALIZED (
    SELECT jobs.user_id, min(jobs.seq) AS seq FROM json_each(:all) AS lane CROSS JOIN jobs
    WHERE state='{WAITING}' AND home=lane.value->>0 AND kind=lane.value->>1 AND seq<(SELECT max(seq) FROM front)
        AND user_id IN (SELECT user_id FROM front) GROUP BY user_id
)
SELECT json_group_array(json_array(front.seq, front.user_id, home, kind, attempts,
    coalesce(front.seq<=earlier.seq, 1), NOT {SET_ASIDE} AND NOT {AVOIDED}))
FROM front CROSS JOIN jobs USING (seq) LEFT JOIN earlier ON earlier.user_id=front.user_id
"""
"""The oldest jobs of lanes, but of whom was met already; whether each is its user's first, and may be had."""

TURNS = f"""
WITH {_LANES}, busy AS MATERIALIZED (
    SELECT user_id, count(*) AS running FROM jobs WHERE state='{RUNNING}' GROUP BY user_id
), turns AS (
    SELECT seq, user_id, home, kind, received_at, row_number() OVER (PARTITION BY user_id ORDER BY seq) AS nth
    FROM jobs WHERE state='{WAITING}'
), next AS MATERIALIZED (
    SELECT turns.seq, rank, nth + coalesce(running, 0) AS turn
    FROM turns JOIN lanes ON turns.home=lanes.home AND turns.kind=lanes.kind AND received_at<before
        LEFT JOIN busy ON busy.user_id=turns.user_id
    WHERE (rank, turn, turns.seq)>(:rank, :turn, :after) AND (:user_limit=0 OR turn<=:user_limit)
    ORDER BY rank, turn, turns.seq LIMIT :size
)
SELECT json_group_array(json_array(rank, turn, next.seq, home, kind, attempts, NOT {SET_ASIDE} AND NOT {AVOIDED}))
FROM next CROSS JOIN jobs USING (seq)
"""
"""The jobs of lanes by rank and in order of turns, from one turn on."""

Lane = tuple[int, str]


@dataclass(slots=True)
class Choice:
    """The first candidates that fit the limit and the room for their kind. What was begun already needs no room."""

    limit: int
    room: dict[str, int]
    suspects: int
    chosen: list[tuple[int, ServedBecause]] = field(default_factory=list)

    @classmethod
    def of(cls, request: LeaseRequest) -> Choice:
        """Nothing is chosen yet of what is requested."""
        return cls(request.limit, dict(request.kinds), request.suspects)

    @property
    def complete(self) -> bool:
        """Whether no more can be had, of whatever kind."""
        return len(self.chosen) >= self.limit

    def offer(self, seq: int, because: ServedBecause, kind: str, attempts: int, *, begun: bool = False) -> None:
        """Choose the job if there is still room for it."""
        suspect = attempts >= SUSPECT_AFTER
        if self.complete or (suspect and self.suspects) or not (begun or self.room.get(kind, 0) > 0):
            return
        self.suspects += suspect
        self.room[kind] = self.room.get(kind, 0) - 1
        self.chosen.append((seq, because))


def lease_values(request: LeaseRequest) -> dict[str, Any]:
    """Return what the statements are bound to."""
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

    A look before writing: it would keep everybody else from recording if it were part of the transaction; and an idle
    instance polls often, but only a transaction that writes costs a disk flush.
    """
    roomy = {kind: room * CHOOSERS for kind, room in request.kinds.items()}
    choice = Choice.of(replace(request, limit=request.limit * CHOOSERS, kinds=roomy))
    values = lease_values(request)
    seen = one(connection, FIRST_LOOK, {**values, "few": FEW})
    served = {kind for kind, room in request.kinds.items() if room > 0}
    for rank, seq, because, kind, attempts in sorted(seen["begun"]):
        if rank < 0 or kind in served:
            choice.offer(seq, ServedBecause(because), kind, attempts, begun=rank < 0)
    lanes = [(home, kind) for home, kind in seen["lanes"]]
    if seen["many"]:
        for queue in _by_rank(lanes, request):
            _serve_front(connection, choice, queue, values, seen["busy"], lanes)
            _serve_turns(connection, choice, queue, values, turn=2)
    elif lanes:
        _serve_turns(connection, choice, {k: v for queue in _by_rank(lanes, request) for k, v in queue.items()}, values)
    return [seq for seq, _ in choice.chosen]


Queue = Mapping[Lane, tuple[int, ServedBecause, int]]
"""Lanes that are served together: each with its rank, why it is this instance that serves it, and after what wait."""


def _by_rank(lanes: Iterable[Lane], request: LeaseRequest) -> Sequence[Queue]:
    """Sort the lanes: the own home's jobs go first, then a dead home's, then those a live one can't serve."""
    queues: tuple[dict[Lane, tuple[int, ServedBecause, int]], ...] = ({}, {}, {})
    for lane in lanes:
        if lane[0] == request.owner:
            place = 0, ServedBecause.HOME, _AT_ONCE
        elif lane[0] in request.dead:
            place = 1, ServedBecause.HOME_DOWN, _AT_ONCE
        elif lane in request.spent:
            place = 2, ServedBecause.HOME_SPENT, _KNOWN
        else:
            place = 2, ServedBecause.HOME_BUSY, _KNOWN if lane[0] in request.full else _STALE
        queues[place[0]][lane] = place
    return queues


def _with_room(queue: Queue, choice: Choice) -> str:
    """Return, as JSON, the lanes of which jobs may be had still; nothing if there are none."""
    if choice.complete:
        return ""
    left = [[*lane, rank, wait] for lane, (rank, _, wait) in queue.items() if choice.room.get(lane[1], 0) > 0]
    return json.dumps(left) if left else ""


def _serve_front(
    connection: sqlite3.Connection,
    choice: Choice,
    queue: Queue,
    values: Mapping[str, Any],
    busy: Iterable[str],
    all_lanes: Sequence[Lane],
) -> None:
    """Choose from those whose turn is the first: users of whom nothing runs, with the first of their jobs."""
    met, after, size = set(busy), -1, choice.limit - len(choice.chosen) + WINDOW
    while lanes := _with_room(queue, choice):
        window = {"lanes": lanes, "met": json.dumps([*met]), "all": json.dumps(all_lanes), "after": after, "size": size}
        rows = one(connection, FRONT, {**values, **window})
        for seq, user_id, home, kind, attempts, is_first, may_be_had in sorted(rows):
            if is_first and may_be_had and user_id not in met:
                choice.offer(seq, queue[home, kind][1], kind, attempts)
            met.add(user_id)
            after = seq
        if len(rows) < size:
            return
        size *= WIDER


def _serve_turns(
    connection: sqlite3.Connection, choice: Choice, queue: Queue, values: Mapping[str, Any], *, turn: int = 1
) -> None:
    """Choose from all jobs, those of each rank from this turn on."""
    rank, after, size = min((rank for rank, _, _ in queue.values()), default=0), -1, choice.limit + WINDOW
    while lanes := _with_room(queue, choice):
        place = {"lanes": lanes, "rank": rank, "turn": turn, "after": after, "size": size}
        rows = sorted(one(connection, TURNS, {**values, **place}))
        for _, _, seq, home, kind, attempts, may_be_had in rows:
            if may_be_had:
                choice.offer(seq, queue[home, kind][1], kind, attempts)
        if len(rows) < size:
            return
        (rank, turn, after, *_), size = rows[-1], size * WIDER


def one(connection: sqlite3.Connection, statement: str, values: Mapping[str, Any]) -> Any:
    """Return what a statement says, which is one value of JSON."""
    return json.loads(connection.execute(statement, values).fetchone()[0])
