"""Heartbeats and counters in the host's SQLite file (tables in app/jobs/schema.py)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.balancing.budget import KeySnapshot, KeyState
from app.balancing.state import Heartbeat, InstanceSnapshot
from app.jobs.sqlite_engine import SqliteEngine

_COUNT = (
    "INSERT INTO counters (day, name, value) VALUES (?,?,?) "
    "ON CONFLICT (day, name) DO UPDATE SET value=value+excluded.value RETURNING value"
)

_FORGET_CALLS = (
    "DELETE FROM calls WHERE rowid IN (WITH RECURSIVE keys(key) AS (SELECT min(key) FROM calls UNION ALL "
    "SELECT (SELECT min(key) FROM calls WHERE key>keys.key) FROM keys WHERE keys.key IS NOT NULL) "
    "SELECT calls.rowid FROM keys CROSS JOIN calls ON calls.key=keys.key AND calls.at<? LIMIT ?)"
)
"""Key by key, since the index is by key and moment."""

FORGOTTEN_AT_ONCE = 2000


class SqliteCluster:
    """Heartbeats, one row for each instance."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    async def beat(self, snapshot: InstanceSnapshot, *, now: float) -> None:
        text = json.dumps(asdict(snapshot), ensure_ascii=False)
        upsert = (
            "INSERT INTO instances (instance, beat_at, snapshot) VALUES (?,?,?) "
            "ON CONFLICT (instance) DO UPDATE SET beat_at=excluded.beat_at, snapshot=excluded.snapshot"
        )
        await self._engine.write(lambda connection: connection.execute(upsert, (snapshot.instance, now, text)).rowcount)

    async def heartbeats(self) -> Sequence[Heartbeat]:
        select = "SELECT beat_at, snapshot FROM instances ORDER BY instance"
        rows = await self._engine.read(lambda connection: connection.execute(select).fetchall())
        return [Heartbeat(beat_at, snapshot_from(json.loads(text))) for beat_at, text in rows]

    async def leave(self, instance: int) -> None:
        delete = "DELETE FROM instances WHERE instance=?"
        await self._engine.write(lambda connection: connection.execute(delete, (instance,)).rowcount)


def snapshot_from(fields: Mapping[str, Any]) -> InstanceSnapshot:
    """Read a snapshot as `beat` wrote it; fields that another version added are ignored."""
    known = {name: value for name, value in fields.items() if name in InstanceSnapshot.__slots__ and name != "keys"}
    keys = {name: _key_from(key) for name, key in fields.get("keys", {}).items()}
    return InstanceSnapshot(**known, keys=keys)


def _key_from(fields: Mapping[str, Any]) -> KeySnapshot:
    known = {name: value for name, value in fields.items() if name in KeySnapshot.__slots__}
    return KeySnapshot(**known | {"state": KeyState(known.get("state", KeyState.READY))})


class SqliteCounters:
    """Counters, one row for each day and name."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    async def add(self, day: str, name: str, amount: int = 1) -> int:
        def write(connection: sqlite3.Connection) -> int:
            return int(connection.execute(_COUNT, (day, name, amount)).fetchall()[0][0])

        return await self._engine.write(write)

    async def values(self, day: str) -> Mapping[str, int]:
        select = "SELECT name, value FROM counters WHERE day=?"
        return dict(await self._engine.read(lambda connection: connection.execute(select, (day,)).fetchall()))

    async def forget(self, *, before_day: str) -> None:
        delete = "DELETE FROM counters WHERE day<?"
        await self._engine.write(lambda connection: connection.execute(delete, (before_day,)).rowcount)


class SqliteCallLog:
    """Starts of provider calls, one row each, and their count of the day among the counters."""

    def __init__(self, engine: SqliteEngine) -> None:
        self._engine = engine

    async def record(self, key: str, *, day: str, at: float) -> int:
        def write(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO calls (key, at) VALUES (?,?)", (key, at))
            return int(connection.execute(_COUNT, (day, _counter(key), 1)).fetchall()[0][0])

        return await self._engine.write(write)

    async def since(self, key: str, at: float) -> Sequence[float]:
        select = "SELECT at FROM calls WHERE key=? AND at>? ORDER BY at"
        rows = await self._engine.read(lambda connection: connection.execute(select, (key, at)).fetchall())
        return [row[0] for row in rows]

    async def by_minute(self, keys: Sequence[str], *, since: float, until: float) -> Mapping[str, Mapping[int, int]]:
        select = (
            "SELECT key, CAST(at / 60 AS INTEGER), count(*) FROM calls "
            "WHERE key IN (SELECT value FROM json_each(?)) AND at>=? AND at<? GROUP BY 1, 2"
        )
        values = (json.dumps(list(keys)), since // 60 * 60, (until // 60 + 1) * 60)
        minutes: dict[str, dict[int, int]] = {key: {} for key in keys}
        for key, minute, count in await self._engine.read(lambda c: c.execute(select, values).fetchall()):
            minutes[key][minute] = count
        return minutes

    async def of_day(self, key: str, day: str) -> int:
        select = "SELECT value FROM counters WHERE day=? AND name=?"
        found = await self._engine.read(lambda connection: connection.execute(select, (day, _counter(key))).fetchone())
        return int(found[0]) if found else 0

    async def forget(self, *, before: float) -> None:
        def write(connection: sqlite3.Connection) -> int:
            return connection.execute(_FORGET_CALLS, (before, FORGOTTEN_AT_ONCE)).rowcount

        while await self._engine.write(write) >= FORGOTTEN_AT_ONCE:
            pass  # in pieces, so that the others' writes come between


def _counter(key: str) -> str:
    return f"calls:{key}"
