"""Several instances and one file: who serves whom, and what becomes of a key that can't."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from app import main
from app.errors import ProviderKeyRejected, ProviderQuotaExhausted
from app.worker import loop
from simulator.config import Speed
from tests.integration.ledger_kit import judged, keys_of
from tests.kit.running import System, simulator_config, system
from tests.kit.waiting import wait_until


async def meet(running: System) -> None:
    """Wait until every instance knows of all others."""
    views = [instance.instance.overview for instance in running.instances]
    await wait_until(lambda: all(len(o.view.alive) == len(views) for o in views), 10, "all instances know each other")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a live home its jobs however busy this machine is."""
    monkeypatch.setattr(loop, "STEAL_AFTER_S", 60.0)


@pytest.mark.usefixtures("patient")
async def test_each_home_serves_its_own(tmp_path: Path) -> None:
    """With room everywhere, a user's question is answered with the key set of the user's home."""
    async with system(tmp_path, count=3) as running:
        await meet(running)
        for user in (30, 31, 32):
            asked = await running.ask(user, "채팅", {"질문": f"사용자 {user}"})
            await asked.final(10)
            assert keys_of(running.sim, "openai")[f"set-{user % 3 + 1}"] == 1
        judged(running.sim)


async def test_a_busy_home_s_jobs_are_taken_by_the_free(tmp_path: Path) -> None:
    """Six users of one home with one slot: the others' key sets work too, and nobody waits for six answers' time."""
    slow = simulator_config(3, speed=Speed(ttft_s=1.5, spread=0.0))
    async with system(tmp_path, count=3, sim=slow, max_concurrent_jobs=1) as running:
        await meet(running)
        asked = await asyncio.gather(*(running.ask(3 * n, "채팅", {"질문": f"질문 {n}"}) for n in range(100, 106)))
        await asyncio.gather(*(one.final(20) for one in asked))
        used = keys_of(running.sim, "openai")
        assert set(used) == {"set-1", "set-2", "set-3"}
        assert sum(used.values()) == 6
        judged(running.sim)


@pytest.mark.parametrize("kind", ["429", "401", "quota"])
async def test_a_key_that_can_not_is_replaced_by_another(tmp_path: Path, kind: str) -> None:
    """The job is answered once, by another instance's key set, and the failing key is left alone meanwhile."""
    async with system(tmp_path, count=2) as running:
        await meet(running)
        running.sim.app.world.faults.add({"target": "openai", "key": "set-1", "kind": kind, "retry_after": 30})
        first = await running.ask(40, "채팅", {"질문": "첫 질문"})
        await first.final(10)
        assert "첫 질문" in first.message.content
        second = await running.ask(40, "채팅", {"질문": "다음 질문"})
        await second.final(10)
        assert keys_of(running.sim, "openai")["set-2"] == 2
        refused = [call for call in running.sim.ledger.since(0) if call.get("key") == "set-1"]
        assert len([call for call in refused if call["event"] == "provider_call"]) <= 1
        judged(running.sim)


@pytest.mark.parametrize(("kind", "error"), [("401", ProviderKeyRejected), ("quota", ProviderQuotaExhausted)])
async def test_when_no_key_works_everybody_hears_so_soon(
    tmp_path: Path, kind: str, error: type[ProviderKeyRejected]
) -> None:
    """One honest sentence each, within seconds, and each key is tried about once, not once for each user."""
    async with system(tmp_path, count=2) as running:
        await meet(running)
        running.sim.app.world.faults.add({"target": "openai", "kind": kind})
        first = await running.ask(50, "채팅", {"질문": "아무도 못 할 질문"})
        await first.final(10)
        asked = await asyncio.gather(*(running.ask(50 + n, "채팅", {"질문": f"질문 {n}"}) for n in range(6)))
        await asyncio.gather(*(one.final(10) for one in asked))
        for one in (first, *asked):
            assert error.sentence.ko in one.message.content
        events = [e for e in running.sim.ledger.since(0) if e["event"] == "provider_call"]
        assert len(events) <= 4
        judged(running.sim)


@pytest.mark.usefixtures("patient")
async def test_a_picture_falls_back_here_before_it_goes_elsewhere(tmp_path: Path) -> None:
    """With Stability down the home's own MiniMax key makes the picture."""
    async with system(tmp_path, count=2) as running:
        await meet(running)
        running.sim.app.world.faults.add({"target": "stability", "key": "set-1", "kind": "401"})
        asked = await running.ask(60, "이미지", {"설명": "산"})
        await asked.final(15)
        assert "MiniMax".lower() in asked.message.content.lower()
        assert keys_of(running.sim, "minimax") == {"set-1": 1}
        judged(running.sim)


@pytest.mark.usefixtures("patient")
async def test_a_drain_hands_over_without_a_counted_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that an orderly stop cuts off is answered by another instance, as its first attempt."""
    monkeypatch.setattr(main, "DRAIN_S", 0.1)
    slow = simulator_config(2, speed=Speed(ttft_s=1.5))
    async with system(tmp_path, count=2, sim=slow) as running:
        await meet(running)
        asked = await running.ask(70, "채팅", {"질문": "넘겨받을 질문"})
        await wait_until(lambda: keys_of(running.sim, "openai")["set-1"] == 1, 20, "the home works on it")
        leaving = running.instances[0].instance
        await leaving.worker.stop(0.1)
        await leaving.storage.cluster.leave(1)
        await asked.final(15)
        assert keys_of(running.sim, "openai") == {"set-1": 1, "set-2": 1}
        row = _row(tmp_path, asked.id)
        await wait_until(lambda: _row(tmp_path, asked.id)["state"] == "done", 5, "the end is recorded")
        row = _row(tmp_path, asked.id)
        assert (row["attempts"], row["owner"], row["outcome"]) == (1, 2, "answered")
        judged(running.sim)


def _row(data_dir: Path, job_id: str) -> sqlite3.Row:
    connection = sqlite3.connect(data_dir / "quartet.db")
    connection.row_factory = sqlite3.Row
    try:
        found: sqlite3.Row = connection.execute("SELECT * FROM jobs WHERE id=?", (job_id,)).fetchone()
        return found
    finally:
        connection.close()
