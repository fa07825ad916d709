"""The waiting jobs as lanes, one for each home and kind: what of the queue can be known by reading a little of it."""

from __future__ import annotations

from app.jobs.schema import RUNNING, WAITING

LANES = f"""lanes (home, kind) AS (
    SELECT * FROM (SELECT home, kind FROM jobs WHERE state='{WAITING}' ORDER BY home, kind LIMIT 1)
    UNION ALL
    SELECT next.home, next.kind FROM lanes CROSS JOIN jobs AS next WHERE next.seq=coalesce(
        (SELECT seq FROM jobs WHERE state='{WAITING}' AND home=lanes.home AND kind>lanes.kind ORDER BY kind LIMIT 1),
        (SELECT seq FROM jobs WHERE state='{WAITING}' AND home>lanes.home ORDER BY home, kind LIMIT 1))
)"""
"""The lanes in which jobs wait (`WITH RECURSIVE`), found by skipping from one to the next."""

_IN_LANE = f"state='{WAITING}' AND jobs.home=lanes.home AND jobs.kind=lanes.kind"

UNSERVED = f"""
WITH RECURSIVE {LANES}, open AS MATERIALIZED (
    SELECT seq FROM lanes CROSS JOIN jobs WHERE {_IN_LANE} AND (:home IS NULL OR lanes.home=:home)
        AND seq<=coalesce((SELECT seq FROM jobs WHERE {_IN_LANE} ORDER BY seq LIMIT 1 OFFSET :limit-1),
            9223372036854775807)
    UNION ALL
    SELECT seq FROM jobs WHERE state='{RUNNING}' AND lease_until<:now AND (:home IS NULL OR home=:home)
)
SELECT id, kind, home, received_at, expires_at FROM jobs
WHERE seq IN (SELECT seq FROM open ORDER BY seq LIMIT :limit) ORDER BY seq
"""
"""The oldest jobs that nobody works on: of each lane no more than are asked for, and what ran out. The states apart, as
each has an index of its own: together they would have all finished jobs read, every second."""
