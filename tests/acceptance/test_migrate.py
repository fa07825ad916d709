"""`migrate` between the lives of real instances: what was accepted on the old store is answered from the new one."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ops.envfile import ROOT
from simulator.config import Speed
from simulator.server import SimulatorServer
from tests.integration.ledger_kit import calls, judged, keys_of
from tests.integration.process_kit import processes
from tests.kit.running import simulator_config
from tests.kit.waiting import wait_until
from tests.redis_kit import RedisServer
from tests.unit.ops.files import env_file

pytestmark = pytest.mark.processes


async def migrate(directory: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run the command natively, with the env file in `directory`; returns its code, output and errors."""
    words = ["migrate", *arguments, "--native", "--env-file", f"{directory}/.env.multi"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops", *words, cwd=ROOT, env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, said = await process.communicate()
    return process.returncode or 0, out.decode(), said.decode()


def jobs_in(store: Path) -> list[tuple[Any, ...]]:
    """Return every job of a file as it stands there."""
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute("SELECT * FROM jobs ORDER BY seq").fetchall()


async def test_what_was_accepted_is_answered_from_the_new_store(tmp_path: Path, own_redis: RedisServer) -> None:
    """Killed in the middle of a paid video and of an answer, moved, started on the server: both users get their answer
    once, the video is followed and not paid again, the conversation is remembered, and the old file holds it all still.
    """
    data = tmp_path / "data"
    env_file(tmp_path, DATA_DIR=f"'{data}'")
    config = simulator_config(2, speed=Speed(ttft_s=2.0))
    async with SimulatorServer(config) as sim:
        async with processes(sim, data, 2) as old:
            first = await sim.discord.interact(old[0].interactions, "채팅", {"질문": "내 이름은 나리"}, user_id=80)
            await first.final(20)
            code, _, said = await migrate(tmp_path, "--to", own_redis.url)
            assert code == 1 and "Instances run on" in said
            video = await sim.discord.interact(old[0].interactions, "비디오", {"설명": "#seconds=12 파도"}, user_id=82)
            await wait_until(lambda: bool(calls(sim, "minimax", costly=False)), 20, "the task is polled")
            chat = await sim.discord.interact(old[1].interactions, "채팅", {"질문": "옮겨진 질문"}, user_id=81)
        before = jobs_in(data / "quartet.db")

        code, out, said = await migrate(tmp_path, "--json", MIGRATE_TO=own_redis.url)
        assert code == 0, said
        report = json.loads(out)
        assert report["jobs_found"]["running"] + report["jobs_found"]["waiting"] == 2
        assert {report["kinds"][kind]["moved"] for kind in ("jobs", "turns")} == {3, 1}
        assert jobs_in(data / "quartet.db") == before

        async with processes(sim, data, 2, STORE_URL=own_redis.url) as new:
            await chat.final(30)
            await video.final(60)
            assert chat.message and "옮겨진 질문" in chat.message.content
            assert video.message and [file.filename for file in video.message.attachments] == ["video.mp4"]
            assert sum(keys_of(sim, "minimax").values()) == 1
            again = await sim.discord.interact(new[0].interactions, "채팅", {"질문": "내 이름은?"}, user_id=80)
            await again.final(20)
        judged(sim)


async def test_a_word_for_what_is_wrong(tmp_path: Path, own_redis: RedisServer) -> None:
    """No store to move from, no target, no store's URL: each in one sentence with its exit code, and no password."""
    env_file(tmp_path, DATA_DIR=f"'{tmp_path}/data'")
    code, _, said = await migrate(tmp_path, "--to", own_redis.url)
    assert code == 1 and "There is no" in said
    code, _, said = await migrate(tmp_path, "--to", "http://user:secret@host")
    assert code == 2 and "is no store's URL" in said and "secret" not in said
    code, _, said = await migrate(tmp_path, "--from", "redis://a:secret@127.0.0.1:1/0", "--to", own_redis.url)
    assert code == 1 and "127.0.0.1:1" in said and "secret" not in said
    code, _, said = await migrate(tmp_path)
    assert code == 2 and "--to" in said
