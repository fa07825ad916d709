"""A shared bound: one timer for many blocks."""

from __future__ import annotations

import asyncio

import pytest

from app.deadline import SharedBound


async def test_what_is_quick_is_left_alone() -> None:
    """The block's result and its errors pass through."""
    bound = SharedBound(5)
    async with bound():
        await asyncio.sleep(0)
    with pytest.raises(KeyError):
        async with bound():
            raise KeyError


async def test_what_is_slow_times_out_and_only_that() -> None:
    """Of blocks that began together, the slow ones end with `TimeoutError`; the task can go on."""
    bound = SharedBound(0.05)

    async def block(slow: bool) -> str:
        try:
            async with bound():
                await (asyncio.Event().wait() if slow else asyncio.sleep(0))
        except TimeoutError:
            await asyncio.sleep(0)
            return "timed out"
        return "done"

    results = await asyncio.wait_for(asyncio.gather(*(block(n % 3 == 0) for n in range(9))), 5)
    assert results == ["timed out" if n % 3 == 0 else "done" for n in range(9)]
    assert await block(True) == "timed out", "the timer was set anew"


async def test_a_cancelled_task_is_cancelled() -> None:
    """Somebody else's cancellation is not taken for a timeout, even in the moment of one."""
    bound = SharedBound(0.05)
    entered = asyncio.Event()

    async def block() -> None:
        async with bound():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nothing_is_kept() -> None:
    """After a thousand blocks there is no deadline left, and soon no timer."""
    bound = SharedBound(5)
    for _ in range(1000):
        async with bound():
            pass
    assert not bound._open
