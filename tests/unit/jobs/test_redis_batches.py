"""What is asked for while a call is under way goes together in the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from app.deadline import SharedBound
from app.errors import StoreUnavailable
from app.jobs.redis_batches import AT_ONCE, LARGEST_BATCH, Batcher, Encodable
from tests.kit.waiting import wait_until


class Server:
    """Doubles every argument once it is let; notes what came together."""

    def __init__(self) -> None:
        self.calls: list[list[Encodable]] = []
        self.free = asyncio.Event()
        self.fault: Exception | None = None

    def has(self, calls: int) -> bool:
        """Whether so many calls have come."""
        return len(self.calls) == calls

    async def run(self, args: Sequence[Encodable]) -> Sequence[Any]:
        self.calls.append(list(args))
        await self.free.wait()
        if self.fault is not None:
            raise self.fault
        return [int(arg) * 2 for arg in args]


async def turns(count: int = 20) -> None:
    """Let everything go on that can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_everyone_gets_their_own_result() -> None:
    """Results go to who asked, in few calls, of a bounded size, whose number under way is bounded too."""
    server = Server()
    batcher = Batcher(server.run, SharedBound(60))
    asked = [asyncio.create_task(batcher.ask([n])) for n in range(LARGEST_BATCH + 10)]
    await turns()
    more = [asyncio.create_task(batcher.ask([1000 + n])) for n in range(10)]
    await turns()
    assert len(server.calls) <= AT_ONCE
    server.free.set()
    assert await asyncio.gather(*asked) == [2 * n for n in range(LARGEST_BATCH + 10)]
    assert await asyncio.gather(*more) == [2000 + 2 * n for n in range(10)]
    assert max(map(len, server.calls)) <= LARGEST_BATCH
    await batcher.settle()


async def test_who_gives_up_before_it_is_sent_is_left_out() -> None:
    """A request that waited too long, or was cancelled, never reaches the server."""
    server = Server()
    batcher = Batcher(server.run, SharedBound(60))
    sent = []
    for n in range(AT_ONCE):
        sent.append(asyncio.create_task(batcher.ask([n])))
        await wait_until(partial(server.has, n + 1), description="the call went out")
    assert server.calls == [[n] for n in range(AT_ONCE)]
    late = asyncio.create_task(asyncio.wait_for(batcher.ask([77]), 0.001))
    gone, patient = (asyncio.create_task(batcher.ask([n])) for n in (78, 79))
    await turns()
    gone.cancel()
    with pytest.raises(TimeoutError):
        await late
    server.free.set()
    await asyncio.gather(*sent)
    assert await patient == 158
    assert server.calls[AT_ONCE:] == [[79]]
    await batcher.settle()


async def test_a_failed_call_fails_everyone_in_it_and_nobody_else() -> None:
    """Each hears of it by an error of their own, and the next call goes on."""
    server = Server()
    batcher = Batcher(server.run, SharedBound(60))
    server.free.set()
    server.fault = StoreUnavailable("gone")
    outcomes = await asyncio.gather(*(batcher.ask([n]) for n in range(3)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["gone"] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3
    server.fault = None
    assert await batcher.ask([5]) == 10
    await batcher.settle()
