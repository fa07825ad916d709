"""The tests' own tools do what the tests rely on."""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.clock import FakeClock
from tests.kit.waiting import wait_turns_until, wait_until


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    """Also across tasks, and the clock shows each its own time."""
    clock = FakeClock()
    woken: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.elapsed))

    await asyncio.gather(*(sleeper(seconds) for seconds in (30, 10, 20)))
    assert woken == [(10, 10), (20, 20), (30, 30)]
    assert clock.sleeps == [30, 10, 20]


async def test_time_stands_still_until_it_is_moved() -> None:
    """Without `auto_advance` a sleeper wakes only when `advance` has passed its time."""
    clock = FakeClock(auto_advance=False)
    task = asyncio.create_task(clock.sleep(5))
    await clock.advance(4.9)
    assert not task.done()
    assert clock.sleepers == 1
    await clock.advance(0.1)
    assert task.done()
    assert clock.elapsed == pytest.approx(5)


async def test_advance_lets_a_loop_take_every_turn() -> None:
    """A task that sleeps again and again runs at each of its times, not once at the end."""
    clock = FakeClock(auto_advance=False)
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            ticks.append(clock.elapsed)

    task = asyncio.create_task(tick())
    await clock.advance(3)
    task.cancel()
    assert ticks == [1, 2, 3]


async def test_a_cancelled_sleeper_does_not_hold_the_others() -> None:
    """Its time is not waited for."""
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await clock.sleep(10)
    assert clock.elapsed == 10
    assert clock.sleepers == 0


async def test_a_jump_moves_only_the_wall_clock() -> None:
    """Durations don't change when the wall clock is set."""
    clock = FakeClock(now=100)
    before = clock.monotonic()
    clock.jump(-50)
    assert clock.now() == 50
    assert clock.monotonic() == before


async def test_waiting_in_vain_names_what_was_waited_for() -> None:
    """Both ways of waiting fail with the description."""
    with pytest.raises(AssertionError, match="a miracle"):
        await wait_until(lambda: False, timeout=0.01, description="a miracle")
    with pytest.raises(AssertionError, match="a miracle"):
        await wait_turns_until(lambda: False, "a miracle")
