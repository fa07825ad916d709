"""From the file in the containers' volume to the compose file's own Valkey, with a job that is still owed."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.containers.kit import Containers, user_of

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

URL = "redis://:simulated-valkey@valkey:6379/0"


async def test_a_volume_is_moved_to_valkey(fresh_system: Containers) -> None:
    """One env file line and one command later the same user is remembered, by instances that never saw the file."""
    system = fresh_system
    user = user_of(1, 4)
    async with system.control() as control:
        asked = await control.interact(system.target, "채팅", {"질문": "옮기기 전"}, user_id=user)
        assert (await control.final(asked["id"], 60))["state"] == "answered"
    system.engine.ask("rm", "--force", "--volumes", f"{system.project}-simulator")
    await asyncio.to_thread(system.must, "stop")
    system.configure(COMPOSE_PROFILES="valkey", VALKEY_PASSWORD="simulated-valkey")
    moved = await asyncio.to_thread(system.run, "migrate", "--to", URL, "--json")
    assert moved.returncode == 0, moved.stdout + moved.stderr
    report = json.loads(moved.stdout)
    assert (report["kinds"]["jobs"]["moved"], report["kinds"]["turns"]["moved"]) == (1, 1)
    assert report["to"] == "valkey:6379, database 0" and report["remarks"] == []

    system.configure(COMPOSE_PROFILES="valkey", VALKEY_PASSWORD="simulated-valkey", STORE_URL=URL)
    await asyncio.to_thread(system.must, "start")
    system.start_simulator()
    async with system.control() as control:
        asked = await control.interact(system.target, "기억", {}, user_id=user)
        shown = await control.final(asked["id"], 60)
    assert "문답 1개" in json.dumps(shown, ensure_ascii=False)
