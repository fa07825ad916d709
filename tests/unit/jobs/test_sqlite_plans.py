"""What an instance asks the file over and over must not read the finished jobs, of which a day leaves very many.

Symptom: with a million finished jobs an idle instance took two thirds of a core. Cause: one condition over two states,
in the order of `seq`, which no partial index serves, so the whole table was read every second. Rule: each state apart.
"""

from __future__ import annotations

import sqlite3

import pytest

from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite_accepting import _QUEUED
from app.jobs.sqlite_choosing import FIRST_LOOK, FRONT, TURNS
from app.jobs.sqlite_leasing import STILL
from app.jobs.sqlite_queue import UNSERVED

VALUES = [
    "now", "home", "limit", "owner", "user_limit", "stale", "known", "dead", "dead_before", "held", "lives",
    "spent", "full", "lanes", "met", "all", "after", "size", "rank", "turn", "only", "few", "since", "users",
]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [UNSERVED, FIRST_LOOK, FRONT, TURNS, STILL, _QUEUED],
    ids=["unserved", "first look", "front", "turns", "still", "queued"],
)
def test_open_jobs_are_found_by_their_own_indexes(statement: str) -> None:
    """No step of the plan goes through the whole table."""
    connection = sqlite3.connect(":memory:")
    for migration in MIGRATIONS:
        connection.executescript(migration)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", dict.fromkeys(VALUES, "0")).fetchall()
    steps = [row[3] for row in plan]
    connection.close()
    assert any("USING INDEX jobs_lanes" in step or "USING INTEGER PRIMARY KEY (rowid=?)" in step for step in steps)
    assert [step for step in steps if step == "SCAN jobs"] == []
