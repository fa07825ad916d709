"""What is looked at when Prometheus asks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.balancing.budget import Allowance, KeyState
from app.balancing.keyset import MINIMAX, OPENAI, STABILITY, KeySet, ManagedKey
from app.errors import ProviderKeyRejected, StoreUnavailable
from app.jobs.store import JobStore, QueueCounts
from app.web import gauges
from app.web.gauges import Gauges
from app.worker.loop import Worker
from tests.unit.worker.bench_worker import Bench
from tests.unit.worker.memory import MemoryCalls

STATES = ("waiting", "running")


def looking(bench: Bench, **fields: Any) -> Gauges:
    """Return the gauges of instance 1 of two, with one job in flight at a time for OpenAI."""
    allowances = {
        OPENAI: Allowance(per_minute=10, max_in_flight=1), STABILITY: Allowance(), MINIMAX: Allowance(per_day=4),
    }  # fmt: skip
    keys = KeySet(ManagedKey(name, 1, bench.clock, MemoryCalls(), allowed) for name, allowed in allowances.items())
    worker = SimpleNamespace(healthy=lambda: {"store": True, "worker": False}, draining=False)

    async def no_time() -> float | None:
        return None

    values: dict[str, Any] = {
        "instance": 1, "overview": bench.overview, "keys": keys, "worker": cast(Worker, worker), "store": bench.store,
        "clock": bench.clock, "slots": 10, "instance_count": 2, "invalid": lambda: 7, "invalid_limit": 25,
        "store_time": no_time,
    }  # fmt: skip
    return Gauges(**values | fields)


async def seen(look: Gauges) -> dict[tuple[str, ...], float]:
    """Return every sample: its name and the values of its labels without the instance, in their order."""
    return {
        (sample.name, *(text for name, text in sample.labels.items() if name != "instance_id")): sample.value
        for family in await look.collect()
        for sample in family.samples
    }


async def test_a_key_s_use_and_what_is_left() -> None:
    """By window; where there is no limit, there is no limit and nothing left to show."""
    look = looking(Bench())
    async with look.keys[OPENAI].use(), look.keys[STABILITY].use():
        found = await seen(look)
    assert found["quartet_key_calls_used", OPENAI, "minute"] == 1
    assert found["quartet_key_calls_limit", OPENAI, "minute"] == 10
    assert found["quartet_key_calls_left", OPENAI, "minute"] == 9
    assert found["quartet_key_calls_used", OPENAI, "in_flight"] == found["quartet_key_calls_limit", OPENAI, "in_flight"]
    assert found["quartet_key_calls_left", OPENAI, "in_flight"] == 0
    assert found["quartet_key_calls_left", MINIMAX, "day"] == 4
    assert found["quartet_key_calls_used", STABILITY, "minute"] == 1
    assert not any(name == "quartet_key_calls_limit" and labels[0] == STABILITY for name, *labels in found if labels)


async def test_a_key_is_in_one_state() -> None:
    """Exactly one state of each key is 1; a rejected key is dead, and says for how long it rests."""
    look = looking(Bench())
    with pytest.raises(ProviderKeyRejected):
        async with look.keys[MINIMAX].use():
            raise ProviderKeyRejected("401", provider=MINIMAX)
    found = await seen(look)
    for provider, state in ((OPENAI, KeyState.READY), (MINIMAX, KeyState.DEAD)):
        ones = {s: found["quartet_key_state", provider, s.value] for s in KeyState}
        assert ones == {s: float(s is state) for s in KeyState}
    assert found["quartet_key_rest_seconds", MINIMAX] > 60
    assert found["quartet_key_rest_seconds", OPENAI] == 0


async def test_the_queue_and_its_oldest() -> None:
    """Open jobs of each home, none left out, and since when the oldest waits."""
    bench = Bench()
    await bench.store.put(bench.new("1"))
    await bench.clock.advance(3)
    await bench.store.put(bench.new("2", home=2))
    bench.overview.counts = QueueCounts(waiting={1: 1, 2: 4}, running={1: 3})
    found = await seen(looking(bench))
    places = {(home, state): found["quartet_queue_jobs", home, state] for home in "12" for state in STATES}
    assert places == {("1", "waiting"): 1, ("2", "waiting"): 4, ("1", "running"): 3, ("2", "running"): 0}
    assert found["quartet_queue_oldest_seconds",] == 3


async def test_instances_as_this_one_sees_them() -> None:
    """The age of each heartbeat; who is silent for long is not alive, also for who can't look any more; who never came
    has no age.
    """
    bench = Bench()
    await bench.beat()
    assert (await seen(looking(bench)))["quartet_instance_alive", "1"] == 1
    await bench.clock.advance(10)
    found = await seen(looking(bench))
    assert found["quartet_heartbeat_age_seconds", "1"] == 10
    assert found["quartet_instance_alive", "1"] == found["quartet_instance_alive", "2"] == 0
    assert ("quartet_heartbeat_age_seconds", "2") not in found
    assert (found["quartet_store_healthy",], found["quartet_worker_healthy",], found["quartet_draining",]) == (1, 0, 0)
    assert found["quartet_discord_invalid_responses", "seen"] == 7
    assert found["quartet_discord_invalid_responses", "limit"] == 25


async def test_the_clock_against_the_machine_s_and_the_store_s() -> None:
    """How far it is ahead of each; of a store without a clock nothing is said."""
    bench = Bench()
    assert (await seen(looking(bench)))["quartet_clock_offset_seconds", "wall"] == 0

    async def store_time() -> float | None:
        return bench.clock.now() - 2.5

    found = await seen(looking(bench, store_time=store_time))
    assert found["quartet_clock_offset_seconds", "store"] == 2.5


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_store_that_does_not_answer_hides_nothing_else(monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
    """Just what it was asked for is missing, and nobody waits for it for long."""
    monkeypatch.setattr(gauges, "ANSWER_WITHIN_S", 0.01)

    async def unserved(**_: Any) -> list[Any]:
        if hangs:
            await asyncio.Event().wait()
        raise StoreUnavailable("down")

    look = looking(Bench(), store=cast(JobStore, SimpleNamespace(unserved=unserved)))
    found = await seen(look)
    assert ("quartet_queue_oldest_seconds",) not in found
    assert ("quartet_key_state", OPENAI, "ready") in found and ("quartet_queue_jobs", "1", "waiting") in found


async def test_the_disk_of_the_store_s_file(tmp_path: Path) -> None:
    """The file with its log, not what else lies there; nothing of a file that is not there."""
    file = tmp_path / "quartet.db"
    for name, size in (("quartet.db", 100), ("quartet.db-wal", 20), ("quartet.db.backup", 1000)):
        (tmp_path / name).write_bytes(b"x" * size)
    found = await seen(looking(Bench(), disk=file))
    assert found["quartet_store_file_bytes",] == 120
    assert 0 < found["quartet_disk_free_bytes",] <= found["quartet_disk_size_bytes",]
    gone = await seen(looking(Bench(), disk=tmp_path / "no" / "quartet.db"))
    assert not any("disk" in name or "file" in name for name, *_ in gone)
