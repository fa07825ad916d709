"""While the number of instances changes, some know of homes that others don't: nobody's job is left behind for it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from simulator.config import Speed
from simulator.server import SimulatorServer
from tests.integration.ledger_kit import calls, judged, keys_of
from tests.kit.running import RunningInstance, running, settings_for, simulator_config
from tests.redis_kit import require_redis, running_redis

ANSWERED_S = 20.0


@pytest.fixture(name="store", params=["sqlite", "redis"])
def a_store(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    """Either engine's STORE_URL, with a server of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/quartet.db"
    require_redis()
    server = running_redis()
    url = server.__enter__().url
    request.addfinalizer(lambda: server.__exit__(None, None, None))
    return url


async def start(
    stack: AsyncExitStack, sim: SimulatorServer, store: object, number: int, count: int, **fields: object
) -> RunningInstance:
    """Start one instance that believes in `count` of them."""
    settings = settings_for(sim, Path("unused"), number, instance_count=count, store_url=store, **fields)
    return await stack.enter_async_context(running(settings))


async def test_growing_serves_the_users_of_old_and_new_homes(store: object) -> None:
    """Two instances that still count two, and two new ones that count four: whoever is asked, everybody is answered;
    by the home's own keys where the home was asked, and a home counts as such only for who knows of it.
    """
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(SimulatorServer(simulator_config(4)))
        old = [await start(stack, sim, store, number, 2) for number in (1, 2)]
        new = [await start(stack, sim, store, number, 4) for number in (3, 4)]
        everybody = [*old, *new]
        asked = [
            await sim.discord.interact(each.interactions, "채팅", {"질문": f"물음 {user}"}, user_id=200 + user)
            for each in everybody
            for user in range(4)
        ]
        await asyncio.gather(*(each.final(ANSWERED_S) for each in asked))
        assert all(each.message and "질문하신" in each.message.content for each in asked)
        assert sum(keys_of(sim, "openai").values()) == 16
        judged(sim)


async def test_a_home_that_only_some_know_of_is_served_when_it_is_away(store: object) -> None:
    """Home 3 does not exist for the two old instances, and instance 3 is not up yet: what the new instance 4, which is
    full, takes in for it is answered by an old one all the same.
    """
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(SimulatorServer(simulator_config(4)))
        for number in (1, 2):
            await start(stack, sim, store, number, 2)
        full = await start(stack, sim, store, 4, 4, max_concurrent_jobs=0)
        asked = await sim.discord.interact(full.interactions, "채팅", {"질문": "누구의 집?"}, user_id=202)
        await asked.final(ANSWERED_S)
        assert asked.message and "누구의 집?" in asked.message.content
        assert set(keys_of(sim, "openai")) <= {"set-1", "set-2"}
        judged(sim)


async def test_shrinking_leaves_no_job_of_a_home_that_is_gone(store: object) -> None:
    """Instances 3 and 4 took jobs in and go before they are done; those that stay count two and answer them."""
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(SimulatorServer(simulator_config(4, speed=Speed(ttft_s=0.1))))
        asked = []
        async with AsyncExitStack() as leaving:
            for number in (3, 4):
                full = await start(leaving, sim, store, number, 4, max_concurrent_jobs=0)
                for user in range(4):
                    words = {"질문": f"남은 일 {number} {user}"}
                    asked.append(await sim.discord.interact(full.interactions, "채팅", words, user_id=300 + user))
            assert calls(sim, "openai") == []
        for number in (1, 2):
            await start(stack, sim, store, number, 2)
        await asyncio.gather(*(each.final(ANSWERED_S) for each in asked))
        assert all(each.message and "남은 일" in each.message.content for each in asked)
        judged(sim)
