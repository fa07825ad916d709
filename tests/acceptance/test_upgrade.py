"""Today's instances start on what the first version left, and answer everybody it owed an answer."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.jobs.schema import MIGRATIONS
from simulator.server import SimulatorServer
from tests.integration.ledger_kit import judged, keys_of
from tests.integration.process_kit import Process, processes
from tests.kit.running import serving, simulator_config
from tests.kit.waiting import wait_until
from tests.unit.jobs.test_migrations import left_by_version_1

pytestmark = pytest.mark.processes

_PUT = (
    "INSERT INTO jobs (id, kind, user_id, home, state, received_at, expires_at, payload, owner, fence, attempts, "
    "lease_until, started_at) VALUES (?, 'chat', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class VersionOne:
    """What the first version did with an interaction: record it in its file, then defer. It is killed before more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._homes = iter((1, 2) * 100)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body, more = b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        self._record(body)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"type":5}'})

    @staticmethod
    async def _live(receive: Any, send: Any) -> None:
        while True:
            phase = (await receive())["type"]
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                return

    def _record(self, body: bytes) -> None:
        """Every second one was running when it was killed."""
        read, now, home = json.loads(body), time.time(), next(self._homes)
        user = str(read.get("member", read)["user"]["id"])
        ran = ("running", home, 1, 1, now + 20, now) if home == 2 else ("waiting", None, 0, 0, None, None)
        state, owner, fence, attempts, lease_until, started_at = ran
        values = (read["id"], user, home, state, now, now + 885, body, owner, fence, attempts, lease_until, started_at)
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute(_PUT, values)
            connection.commit()


def open_jobs(store: Path) -> int:
    """How many jobs are not done."""
    with closing(sqlite3.connect(store)) as connection:
        return int(connection.execute("SELECT count(*) FROM jobs WHERE state<>'done'").fetchone()[0])


async def test_what_the_first_version_owed_is_answered_once(tmp_path: Path) -> None:
    """Four users asked version 1, which was killed: two wait, two were being answered. The upgrade answers all four.

    The file as it was lies beside the new one.
    """
    store = tmp_path / "quartet.db"
    left_by_version_1(store)
    with closing(sqlite3.connect(store)) as connection:  # nobody in this Discord has asked what was open in the dump
        connection.execute("DELETE FROM jobs WHERE state<>'done'")
        connection.commit()
    async with SimulatorServer(simulator_config(2)) as sim:
        async with serving(VersionOne(store)) as old:
            asked = [
                await sim.discord.interact(f"{old}/interactions", "채팅", {"질문": f"질문 {user}"}, user_id=user)
                for user in range(80, 84)
            ]
        async with processes(sim, tmp_path, 2):
            for interaction in asked:
                await interaction.final(30)
            assert all(i.message and i.message.content for i in asked)
            await wait_until(lambda: open_jobs(store) == 0, 30, "every job has ended")
        assert sum(keys_of(sim, "openai").values()) == 4
        judged(sim)
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    with closing(sqlite3.connect(tmp_path / "quartet.db.schema-1")) as connection:
        assert connection.execute("SELECT count(*) FROM jobs WHERE state<>'done'").fetchone()[0] == 4


async def test_a_newer_schema_stops_the_start_with_a_clear_word(tmp_path: Path) -> None:
    """After a rollback of the program alone nothing is served; the log names both schemas and the kept copy."""
    store = tmp_path / "quartet.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
        connection.execute("CREATE TABLE jobs (id TEXT)")
    async with SimulatorServer(simulator_config(1)) as sim:
        process = Process(sim, tmp_path, 1, 1)
        code, said = await process.run_to_end()
    assert code != 0
    assert f"has schema {len(MIGRATIONS) + 1}" in said and f"schemas up to {len(MIGRATIONS)}" in said
    assert f"quartet.db.schema-{len(MIGRATIONS)}" in said
