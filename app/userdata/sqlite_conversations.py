"""Conversations in the host's SQLite file (tables in app/jobs/schema.py)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from app.jobs.job import Job
from app.jobs.schema import RUNNING
from app.jobs.sqlite_engine import SqliteEngine
from app.userdata.conversations import Remembered, Turn

DAY_S = 86_400.0
EVERY_CHANNEL = ""
"""The channel of a fresh start that holds for all of them."""

HELD = f"SELECT 1 FROM jobs WHERE id=? AND fence=? AND state='{RUNNING}'"
"""Whether a lease is current."""

_COLUMNS = "job_id, user_id, channel_id, asked_at, question, answer, private"
_STARTED_OVER = "SELECT 1 FROM fresh_starts WHERE user_id=? AND channel_id IN (?, '') AND at>?"
_START_OVER = (
    "INSERT INTO fresh_starts (user_id, channel_id, at) VALUES (?,?,?) "
    "ON CONFLICT (user_id, channel_id) DO UPDATE SET at=max(at, excluded.at)"
)


class SqliteConversations:
    """Turns, one row each, and when a conversation was last started over."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    async def turns(
        self, user_id: str, channel_id: str, *, since: float, private: bool, limit: int = 50
    ) -> Sequence[Turn]:
        select = (
            f"SELECT {_COLUMNS} FROM turns WHERE user_id=? AND channel_id=? AND asked_at>? AND private<=? "
            "ORDER BY asked_at DESC LIMIT ?"
        )
        values = (user_id, channel_id, since, private, limit)
        rows = await self._engine.read(lambda connection: connection.execute(select, values).fetchall())
        return [_turn(row) for row in reversed(rows)]

    async def turn(self, job_id: str, *, user_id: str) -> Turn | None:
        select = f"SELECT {_COLUMNS} FROM turns WHERE job_id=? AND user_id=?"
        row = await self._engine.read(lambda connection: connection.execute(select, (job_id, user_id)).fetchone())
        return _turn(row) if row else None

    async def add(self, turn: Turn, *, job: Job | None = None) -> None:
        def write(connection: sqlite3.Connection) -> None:
            if job is not None and not connection.execute(HELD, (job.id, job.fence)).fetchone():
                return
            whose = (turn.user_id, turn.channel_id, turn.asked_at)
            if connection.execute(_STARTED_OVER, whose).fetchone():
                return
            insert = f"INSERT OR REPLACE INTO turns ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)"
            values = (turn.job_id, *whose, turn.question, turn.answer, turn.private)
            connection.execute(insert, values)

        await self._engine.write(write)

    async def start_over(self, user_id: str, channel_id: str, *, now: float) -> int:
        def write(connection: sqlite3.Connection) -> int:
            connection.execute(_START_OVER, (user_id, channel_id, now))
            delete = "DELETE FROM turns WHERE user_id=? AND channel_id=?"
            return connection.execute(delete, (user_id, channel_id)).rowcount

        return await self._engine.write(write)

    async def remembered(self, user_id: str, *, since: float) -> Sequence[Remembered]:
        select = (
            "SELECT channel_id, count(*), sum(length(question) + length(answer)), max(asked_at) AS last, "
            "min(asked_at), sum(private) FROM turns "
            "WHERE user_id=? AND asked_at>? GROUP BY channel_id ORDER BY last DESC"
        )
        rows = await self._engine.read(lambda connection: connection.execute(select, (user_id, since)).fetchall())
        return [Remembered(*row) for row in rows]

    async def delete_all(self, user_id: str, *, now: float) -> int:
        def write(connection: sqlite3.Connection) -> int:
            connection.execute(_START_OVER, (user_id, EVERY_CHANNEL, now))
            return connection.execute("DELETE FROM turns WHERE user_id=?", (user_id,)).rowcount

        return await self._engine.write(write)

    async def forget(self, *, before: float, limit: int = 500) -> int:
        def write(connection: sqlite3.Connection) -> int:
            # A job that was asked before a fresh start may still end: that one is remembered a day longer.
            connection.execute("DELETE FROM fresh_starts WHERE at<?", (before - DAY_S,))
            delete = "DELETE FROM turns WHERE job_id IN (SELECT job_id FROM turns WHERE asked_at<? LIMIT ?)"
            return connection.execute(delete, (before, limit)).rowcount

        return await self._engine.write(write)


def _turn(row: tuple[Any, ...]) -> Turn:
    job_id, user_id, channel_id, asked_at, question, answer, private = row
    return Turn(job_id, user_id, channel_id, asked_at, question, answer, bool(private))
