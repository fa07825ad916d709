"""`backup` beside real instances, and `restore` after the file was lost: nobody is left out, nobody answered twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.jobs.job import NewJob
from app.jobs.schema import MIGRATIONS, OLDEST_COMPATIBLE
from app.jobs.sqlite import SqliteJobStore
from app.jobs.sqlite_backup import examine
from app.jobs.sqlite_engine import SqliteEngine
from ops.envfile import ROOT
from simulator.server import SimulatorServer
from tests.integration.ledger_kit import calls, judged, keys_of
from tests.integration.process_kit import processes
from tests.kit.running import simulator_config
from tests.kit.waiting import wait_until
from tests.unit.ops.files import env_file

pytestmark = pytest.mark.processes


@dataclass
class Operator:
    """Somebody with an env file beside the data, and the command line."""

    directory: Path

    @classmethod
    def of(cls, directory: Path, sim: SimulatorServer) -> Operator:
        """Write an env file for the system whose data lies in `directory/data`."""
        application_id = sim.app.world.config.application_id
        env_file(
            directory,
            DATA_DIR=f"'{directory}/data'",
            DISCORD_APPLICATION_ID=application_id,
            DISCORD_API_URL=sim.discord_url,
        )
        return cls(directory)

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run one command; returns its code, output and errors."""
        command = [sys.executable, "-m", "ops", *arguments, "--native", "--env-file", f"{self.directory}/.env.multi"]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={**os.environ, "QUARTET_CWD": str(self.directory)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, said = await process.communicate()
        return process.returncode or 0, out.decode(), said.decode()

    async def reported(self, *arguments: str) -> dict[str, Any]:
        """Run one command with --json and expect success."""
        code, out, said = await self.run(*arguments, "--json")
        assert code == 0, said
        report: dict[str, Any] = json.loads(out)
        return report


def state_of(store: Path, job_id: str) -> str:
    """How a job stands in the file."""
    with closing(sqlite3.connect(store)) as connection:
        return str(connection.execute("SELECT state FROM jobs WHERE id=?", (job_id,)).fetchone()[0])


async def test_a_lost_file_is_restored_and_nobody_answered_twice(tmp_path: Path) -> None:
    """A video that was owed at the backup is followed to its end and paid once; an answer given since stays as it is.

    The store is damaged after the backup; Discord tells which of the open jobs still show progress.
    """
    async with SimulatorServer(simulator_config(2)) as sim, processes(sim, tmp_path / "data", 2) as both:
        operator = Operator.of(tmp_path, sim)
        video = await sim.discord.interact(both[0].interactions, "비디오", {"설명": "#seconds=30 파도"}, user_id=80)
        await wait_until(lambda: bool(calls(sim, "minimax", costly=False)), 20, "the task is polled")
        refusal = sim.app.world.faults.add({"target": "discord", "kind": "500", "final": True})
        chat = await sim.discord.interact(both[1].interactions, "채팅", {"질문": "백업 뒤의 답"}, user_id=81)
        report = await operator.reported("backup", "kept.db")
        sim.app.world.faults.remove(refusal.id)
        assert (report["open_jobs"], report["file"]) == (2, f"{tmp_path}/kept.db")

        code, _, said = await operator.run("restore", "kept.db")
        assert code == 1 and "is in use" in said
        await chat.final(20)
        assert chat.message is not None
        answered = chat.message.content
        for process in both:
            await process.kill()
        for name in ("quartet.db", "quartet.db-wal"):
            (tmp_path / "data" / name).write_bytes(b"\0" * 50_000)

        restored = await operator.reported("restore", "kept.db")
        assert (restored["still_owed"], restored["ended_quietly"], restored["merged"]) == (1, 1, False)
        await asyncio.gather(*(process.start() for process in both))
        await video.final(60)
        assert video.message and [file.filename for file in video.message.attachments] == ["video.mp4"]
        assert sum(keys_of(sim, "minimax").values()) == 1
        assert chat.message.content == answered
        assert sum(keys_of(sim, "openai").values()) == 1
        judged(sim)


async def test_a_backup_whose_tokens_are_dead_says_nothing(tmp_path: Path) -> None:
    """A file put back by hand, with a job of yesterday open in it: the job is ended, and Discord hears nothing."""
    async with SimulatorServer(simulator_config(1)) as sim, processes(sim, tmp_path / "data", 1) as (instance,):
        asked = await sim.discord.interact(instance.interactions, "채팅", {"질문": "어제"}, user_id=80)
        await asked.final(20)
        await instance.kill(signal.SIGTERM)  # in good order, or that answer would be sent once more
        store = tmp_path / "data" / "quartet.db"
        with closing(sqlite3.connect(store)) as connection:
            (payload,) = connection.execute("SELECT payload FROM jobs").fetchone()
            (received,) = connection.execute("SELECT received_at FROM jobs").fetchone()
        engine = SqliteEngine(store, MIGRATIONS, OLDEST_COMPATIBLE)
        await engine.open()
        old = NewJob("1", "chat", "80", 1, received - 86_400, received - 86_400 + 885, payload)
        await SqliteJobStore(engine).put(old)
        await engine.close()
        before = len(sim.ledger.since(0))
        await instance.start()
        await wait_until(lambda: state_of(store, "1") == "done", 20, "the old job is ended")
        assert [event["event"] for event in sim.ledger.since(0)[before:]] == []
        judged(sim)


async def test_names_compression_and_how_many_are_kept(tmp_path: Path) -> None:
    """Without a name one is made by the time in DATA_DIR/backups; `--keep` deletes older ones; .gz is compressed."""
    async with SimulatorServer(simulator_config(1)) as sim, processes(sim, tmp_path / "data", 1):
        operator, kept = Operator.of(tmp_path, sim), tmp_path / "data" / "backups"
        first = Path((await operator.reported("backup"))["file"])
        assert first.parent == kept and examine(first).schema == len(MIGRATIONS)
        old = kept / "quartet-20200101T000000Z.db"
        os.rename(first, old)  # noqa: PTH104 - a moment, in a test
        report = await operator.reported("backup", "--keep", "1")
        assert report["deleted"] == [str(old)] and not old.exists()
        code, out, _ = await operator.run("backup", "small.db.gz")
        assert code == 0 and "small.db.gz" in out and "0 jobs open" in out
        assert (tmp_path / "small.db.gz").read_bytes()[:2] == b"\x1f\x8b"
        code, _, said = await operator.run("backup", "small.db.gz")
        assert code == 1 and "exists already" in said


async def test_a_server_is_backed_up_by_its_own_tools(tmp_path: Path) -> None:
    """With STORE_URL=redis://… nothing is pretended: the exact command is said, without the password."""
    async with SimulatorServer(simulator_config(1)) as sim:
        operator = Operator.of(tmp_path, sim)
        with (tmp_path / ".env.multi").open("a") as file:
            file.write("STORE_URL=redis://:s3cret@10.0.0.9:6380/0\n")
        code, out, said = await operator.run("backup")
    assert code == 2
    assert "redis-cli -h 10.0.0.9 -p 6380 --rdb" in said
    assert "s3cret" not in out + said
