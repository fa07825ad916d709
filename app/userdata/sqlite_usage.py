"""What was used, in the host's SQLite file (table in app/jobs/schema.py)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from app.jobs.job import Job
from app.jobs.sqlite_engine import SqliteEngine
from app.userdata.sqlite_conversations import HELD
from app.userdata.usage import Usage, UsageTotal

NO_GUILD = ""
"""What stands for the server where there is none."""

# Of each row; all but the first are named like what `Usage` begins with, in its order.
_SUMS = ("jobs", "prompt_tokens", "completion_tokens", "images", "videos", "micro_usd")
_ADD = (
    f"INSERT INTO usage (day, user_id, guild_id, kind, {', '.join(_SUMS)}) VALUES (?,?,?,?,1,?,?,?,?,?) "
    f"ON CONFLICT (user_id, day, guild_id, kind) DO UPDATE SET {', '.join(f'{s}={s}+excluded.{s}' for s in _SUMS)}"
)
_TOTALS = ", ".join(f"sum({name})" for name in _SUMS)


class SqliteUsage:
    """One row for each user, day, server and kind."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    async def add(
        self, day: str, *, user_id: str, guild_id: str | None, kind: str, usage: Usage, job: Job | None = None
    ) -> None:
        values = (day, user_id, guild_id or NO_GUILD, kind, *(getattr(usage, name) for name in _SUMS[1:]))

        def write(connection: sqlite3.Connection) -> None:
            if job is None or connection.execute(HELD, (job.id, job.fence)).fetchone():
                connection.execute(_ADD, values)

        await self._engine.write(write)

    async def of_user(self, user_id: str, *, from_day: str, to_day: str) -> Mapping[str, UsageTotal]:
        where = "user_id=? AND day BETWEEN ? AND ? GROUP BY kind"
        return await self._totals("kind", where, (user_id, from_day, to_day))

    async def of_guild(self, guild_id: str, *, from_day: str, to_day: str) -> Mapping[str, UsageTotal]:
        where = "guild_id=? AND day BETWEEN ? AND ? GROUP BY kind"
        return await self._totals("kind", where, (guild_id, from_day, to_day))

    async def top_users(self, guild_id: str, *, from_day: str, to_day: str, limit: int = 5) -> Mapping[str, UsageTotal]:
        where = (
            "guild_id=? AND day BETWEEN ? AND ? GROUP BY user_id ORDER BY sum(jobs) DESC, sum(micro_usd) DESC, user_id "
            "LIMIT ?"
        )
        return await self._totals("user_id", where, (guild_id, from_day, to_day, limit))

    async def forget(self, *, before_day: str) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM usage WHERE day<?", (before_day,))

        await self._engine.write(write)

    async def _totals(self, name: str, where: str, values: tuple[Any, ...]) -> Mapping[str, UsageTotal]:
        select = f"SELECT {name}, {_TOTALS} FROM usage WHERE {where}"
        rows = await self._engine.read(lambda connection: connection.execute(select, values).fetchall())
        return _by_name(rows)


def _by_name(rows: Iterable[tuple[Any, ...]]) -> Mapping[str, UsageTotal]:
    return {name: UsageTotal(jobs, Usage(*usage)) for name, jobs, *usage in rows}
