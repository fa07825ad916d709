"""The engine on a real server: scripts, batches, and what it says when it can't."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from app.errors import StoreUnavailable
from app.jobs.redis_engine import RedisEngine
from tests.redis_kit import RedisServer

ADD = "local out = {} for i = 1, #ARGV do out[i] = redis.call('INCRBY', KEYS[1], ARGV[i]) end return out"


@pytest.fixture
async def engine(own_redis: RedisServer) -> AsyncIterator[RedisEngine]:
    """An engine on a server of the test's own."""
    engine = RedisEngine(own_redis.url)
    await engine.open()
    yield engine
    await engine.close()


async def test_what_is_asked_at_once_goes_together(engine: RedisEngine) -> None:
    """Each caller gets its own result, in the order asked, and few calls reach the server."""
    script = engine.script(ADD)
    counter = engine.key("n")
    results = await asyncio.gather(*(engine.run_batched(script, [counter], [1]) for _ in range(200)))
    assert results == list(range(1, 201))
    calls = (await engine.ask(lambda client: client.info("commandstats")))["cmdstat_evalsha"]["calls"]
    assert calls <= 5


async def test_says_when_its_clock_is(engine: RedisEngine) -> None:
    """The server's clock is this machine's, in tests."""

    assert abs(await engine.time() - time.time()) < 1


async def test_goes_on_after_a_restart(engine: RedisEngine, own_redis: RedisServer) -> None:
    """While the server is away calls fail at once; when it is back it needs no new engine, and knows the scripts."""
    script = engine.script(ADD)
    assert await engine.run(script, [engine.key("n")], [5]) == [5]
    own_redis.kill()
    with pytest.raises(StoreUnavailable, match="can't be reached"):
        await engine.run(script, [engine.key("n")], [1])
    own_redis.start()
    assert (await engine.run(script, [engine.key("n")], [1]))[0] >= 6


async def test_a_server_that_does_not_answer_is_given_up_in_time(engine: RedisEngine, own_redis: RedisServer) -> None:
    """A frozen server costs each caller two seconds, batched or not, and serves again when it goes on."""
    script = engine.script(ADD)
    own_redis.freeze()
    loop = asyncio.get_running_loop()
    began = loop.time()
    calls = [engine.run(script, [engine.key("n")], [1]), engine.run_batched(script, [engine.key("n")], [1])]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable, StoreUnavailable]
    assert loop.time() - began < 2.5
    own_redis.thaw()
    assert await engine.run_batched(script, [engine.key("other")], [7]) == 7
