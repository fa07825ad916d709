"""Preferences in the host's SQLite file (table in app/jobs/schema.py)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from app.jobs.sqlite_engine import SqliteEngine
from app.userdata.preferences import NO_PREFERENCES, Preferences, Scope, StoredPreferences

_NAMES = frozenset(field.name for field in fields(Preferences))

_PUT = (
    "INSERT INTO preferences (scope, id, value, version) "
    "VALUES (?,?,?, (SELECT coalesce(max(version), 0) + 1 FROM preferences)) "
    "ON CONFLICT (scope, id) DO UPDATE SET value=excluded.value, version=excluded.version RETURNING version"
)


class SqlitePreferences:
    """One row for each user or server that ever chose something.

    A row without choices is kept, empty: it tells the other instances that there are none any more, and that its
    version was given already.
    """

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    async def get(self, scope: Scope, id: str) -> Preferences:
        select = "SELECT value FROM preferences WHERE scope=? AND id=?"
        values = (scope.value, id)
        row = await self._engine.read(lambda connection: connection.execute(select, values).fetchone())
        return preferences_from(row[0]) if row else NO_PREFERENCES

    async def put(self, scope: Scope, id: str, preferences: Preferences) -> int:
        values = (scope.value, id, json.dumps(preferences.chosen(), ensure_ascii=False))

        def write(connection: sqlite3.Connection) -> int:
            return int(connection.execute(_PUT, values).fetchall()[0][0])

        return await self._engine.write(write)

    async def changed(self, *, after: int, limit: int = 1000) -> Sequence[StoredPreferences]:
        select = "SELECT scope, id, value, version FROM preferences WHERE version>? ORDER BY version LIMIT ?"
        rows = await self._engine.read(lambda connection: connection.execute(select, (after, limit)).fetchall())
        return [_stored(*row) for row in rows]


def _stored(scope: str, id: str, value: str, version: int) -> StoredPreferences:
    return StoredPreferences(Scope(scope), id, preferences_from(value), version)


def preferences_from(value: str | bytes) -> Preferences:
    """Read choices; one that another version has and this one doesn't know is left alone."""
    chosen: dict[str, Any] = json.loads(value)
    return Preferences(**{name: choice for name, choice in chosen.items() if name in _NAMES})
