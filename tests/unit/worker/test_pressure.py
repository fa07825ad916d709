"""A busy process shows growing answers less often, so that what cannot wait does not."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.discord.replies import Message
from app.texts import Locale
from app.worker.pressure import EACH_S, EDITS_AT_ONCE, FEW, FREE_S, SETTLES_S, SLOWEST, Pressure
from app.worker.progress import GROW_EVERY_S, ProgressReporter
from tests.kit.clock import FakeClock


class LateClock(FakeClock):
    """A clock of a process that wakes up late from every sleep."""

    def __init__(self, late_s: float) -> None:
        super().__init__(auto_advance=False)
        self.late_s = late_s

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + self.late_s)


async def seen(pressure: Pressure, clock: FakeClock, late_s: float, seconds: float) -> float:
    """Let somebody wake up so late ten times a second; return the stretch after that."""
    for _ in range(round(seconds * 10)):
        await clock.advance(0.1)
        pressure.noted(late_s)
    return pressure.stretch()


async def test_a_process_on_time_keeps_the_usual_pace() -> None:
    """However long it has been so."""
    clock = FakeClock(auto_advance=False)
    assert await seen(Pressure(clock, few=0), clock, FREE_S, 10) == 1


async def test_lateness_stretches_and_its_end_relaxes() -> None:
    """By its degree, up to a bound; a few seconds later nothing is left of it."""
    clock = FakeClock(auto_advance=False)
    pressure = Pressure(clock, few=0)
    assert await seen(pressure, clock, FREE_S + EACH_S, 10) == pytest.approx(2, rel=0.01)
    assert await seen(pressure, clock, 60.0, 10) == SLOWEST
    assert await seen(pressure, clock, 0.0, 12 * SETTLES_S) == 1


async def test_a_few_answers_keep_their_pace() -> None:
    """They are not what makes the process late; with as many as that is said of, they give way."""
    clock = FakeClock(auto_advance=False)
    pressure = Pressure(clock)
    growing = [asyncio.create_task(pressure.sleep(1000)) for _ in range(FEW - 1)]
    assert await seen(pressure, clock, 1.0, 10) == 1
    growing.append(asyncio.create_task(pressure.sleep(1000)))
    assert await seen(pressure, clock, 1.0, 10) == SLOWEST
    growing.pop().cancel()
    await clock.advance(0)
    assert pressure.stretch() == 1
    for one in growing:
        one.cancel()
    await asyncio.gather(*growing, return_exceptions=True)


async def test_one_late_moment_among_many_says_little() -> None:
    """A single pause, of the garbage collector say, is not taken for a busy process."""
    clock = FakeClock(auto_advance=False)
    pressure = Pressure(clock, few=0)
    await seen(pressure, clock, 0.0, 1)
    await clock.advance(0.002)
    pressure.noted(1.0)
    assert pressure.stretch() == 1


@given(late=st.lists(st.floats(-1, 1000), max_size=20))
async def test_the_stretch_is_always_bounded(late: list[float]) -> None:
    """Whatever was seen, clocks that go wrong included."""
    clock = FakeClock(auto_advance=False)
    pressure = Pressure(clock, few=0)
    for one in late:
        await clock.advance(0.3)
        pressure.noted(one)
        assert 1 <= pressure.stretch() <= SLOWEST


@pytest.mark.parametrize(("late_s", "gap_s"), [(0.0, GROW_EVERY_S), (0.5, SLOWEST * GROW_EVERY_S)])
async def test_a_growing_answer_is_shown_as_often_as_there_is_time(late_s: float, gap_s: float) -> None:
    """Once a second; where everything is late every few seconds, and the newest text each time."""
    clock = LateClock(late_s)
    shown: list[tuple[float, str]] = []

    async def send(message: Message) -> bool:
        shown.append((clock.elapsed, message.content))
        return True

    reporter = ProgressReporter(send, Locale.EN, clock, pressure=Pressure(clock, few=0))
    reporter.start()
    for n in range(400):
        reporter.grow(f"text {n}")
        await clock.advance(0.1)
    await reporter.close()
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(shown)]
    assert gaps[-1] == pytest.approx(gap_s + late_s, abs=0.2)
    assert all(int(text.split()[1]) >= round(at * 10) - 1 for at, text in shown)


async def test_so_many_edits_are_under_way_at_once_and_none_is_out_of_date() -> None:
    """Who has to wait shows, when its turn comes, what is the newest then; who is closed meanwhile shows nothing."""
    clock = FakeClock(auto_advance=False)
    pressure, go_on = Pressure(clock), asyncio.Event()
    shown: list[str] = []
    under_way = most = 0

    async def send(message: Message) -> bool:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1
        shown.append(message.content)
        return True

    reporters = [ProgressReporter(send, Locale.EN, clock, pressure=pressure) for _ in range(EDITS_AT_ONCE + 2)]
    for reporter in reporters:
        reporter.start()
        reporter.grow("old")
    await clock.advance(1)
    assert (most, under_way) == (EDITS_AT_ONCE, EDITS_AT_ONCE)
    waiting, closed = reporters[-2:]
    waiting.grow("new")
    await closed.close()
    go_on.set()
    await clock.advance(0.5)
    assert most == EDITS_AT_ONCE
    assert [text for text in shown if text.startswith("new")] == [shown[-1]]
    assert len(shown) == EDITS_AT_ONCE + 1
    for reporter in reporters:
        await reporter.close()
