"""Reading tables of the SQLite file out and putting rows of another store into them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import astuple, fields
from typing import Any, Generic, TypeVar

from app.jobs.schema import DONE
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.transfer import PAGE, StoredJob

R = TypeVar("R")
Row = tuple[Any, ...]


class SqliteTable(Generic[R]):
    """One table as records: `make` takes its `columns`, `row` gives what the statement `keep` is bound to.

    `key` are columns that name a row and that an index sorts by: pages follow each other along it.
    """

    def __init__(
        self,
        engine: SqliteEngine,
        table: str,
        key: Sequence[str],
        columns: Sequence[str],
        make: Callable[..., R],
        *,
        row: Callable[[R], Row] = astuple,  # type: ignore[assignment] # of records that are dataclasses
        keep: str = "",
    ) -> None:
        self._engine = engine
        self._width = len(key)
        self._make = make
        self._row = row
        places = ",".join("?" * len(columns))
        self._keep = keep or f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({places})"
        by, select = ", ".join(key), f"SELECT {', '.join([*key, *columns])} FROM {table}"
        self._first = f"{select} ORDER BY {by} LIMIT {PAGE}"
        self._next = f"{select} WHERE ({by})>({','.join('?' * len(key))}) ORDER BY {by} LIMIT {PAGE}"

    async def pages(self) -> AsyncIterator[Sequence[R]]:
        """Return all rows, in the order of the key."""
        page = await self._page(self._first, ())
        while page:
            yield [self._make(*row[self._width :]) for row in page]
            page = await self._page(self._next, page[-1][: self._width]) if len(page) == PAGE else []

    async def take_over(self, records: Sequence[R]) -> int:
        """Keep what is not there yet, in one transaction."""
        rows = [self._row(record) for record in records]

        def write(connection: sqlite3.Connection) -> int:
            return sum(connection.execute(self._keep, row).rowcount for row in rows)

        return await self._engine.write(write)

    async def _page(self, select: str, values: Row) -> list[Row]:
        return await self._engine.read(lambda connection: connection.execute(select, values).fetchall())


def sqlite_jobs(engine: SqliteEngine) -> SqliteTable[StoredJob]:
    """Return the jobs of the file, in the order they were accepted.

    One that is there already stays, unless it has come further elsewhere: it is done, or was leased since.
    """
    columns = [field.name for field in fields(StoredJob)]
    places, newer = ",".join("?" * len(columns)), ", ".join(f"{column}=excluded.{column}" for column in columns)
    keep = (
        f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({places}) ON CONFLICT (id) DO UPDATE SET {newer} "
        f"WHERE state<>'{DONE}' AND (excluded.state='{DONE}' OR excluded.fence>fence)"
    )
    return SqliteTable(engine, "jobs", ["seq"], columns, StoredJob, keep=keep)
