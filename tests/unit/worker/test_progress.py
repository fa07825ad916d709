"""Progress is paced, and never stands in the answer's way."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from app.discord.replies import Message
from app.errors import AnswerGone
from app.texts import Locale, Text
from app.worker.progress import EVERY_S, FIRST_AFTER_S, ProgressReporter
from tests.kit.clock import FakeClock


class Screen:
    """What was shown and when; with `blocked` an edit takes until it is released."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.shown: list[tuple[float, str]] = []
        self.error: Exception | None = None
        self.blocked: asyncio.Event | None = None
        self.in_flight = 0

    async def send(self, message: Message) -> bool:
        self.in_flight += 1
        try:
            if self.blocked is not None:
                # As the follow-up client does: an edit on its way is waited for, also by who is cancelled.
                try:
                    await self.blocked.wait()
                except asyncio.CancelledError:
                    await self.blocked.wait()
                    self.shown.append((self.clock.elapsed, message.content))
                    raise
            if self.error is not None:
                raise self.error
            self.shown.append((self.clock.elapsed, message.content))
        finally:
            self.in_flight -= 1
        return True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto_advance=False)


@pytest.fixture
def screen(clock: FakeClock) -> Screen:
    return Screen(clock)


@pytest.fixture
def reporter(screen: Screen, clock: FakeClock) -> ProgressReporter:
    return ProgressReporter(screen.send, Locale.EN, clock)


def word(text: str) -> Text:
    return Text(ko=f"한국어 {text}", en=text)


async def test_a_quick_answer_needs_none(reporter: ProgressReporter, screen: Screen, clock: FakeClock) -> None:
    """Before the first moment nothing is shown, and closing then leaves nothing behind."""
    reporter.start()
    reporter.show(word("soon"))
    await clock.advance(FIRST_AFTER_S - 0.01)
    await reporter.close()
    await clock.advance(100)
    assert screen.shown == []
    assert clock.sleepers == 0


async def test_is_paced_and_the_newest_word_wins(reporter: ProgressReporter, screen: Screen, clock: FakeClock) -> None:
    """However often something is said, edits keep their distance and skip what is outdated."""
    reporter.start()
    for tenth in range(100):
        reporter.show(word(str(tenth)))
        await clock.advance(0.1)
    await reporter.close()
    times = [at for at, _ in screen.shown]
    assert times[0] == pytest.approx(FIRST_AFTER_S)
    assert all(later - earlier >= EVERY_S for earlier, later in pairwise(times))
    assert len(times) == 4
    assert all(int(text) == pytest.approx(at * 10, abs=1) for at, text in screen.shown)


async def test_the_same_word_is_shown_once(reporter: ProgressReporter, screen: Screen, clock: FakeClock) -> None:
    """Nothing new, no edit."""
    reporter.start()
    for _ in range(10):
        reporter.show(word("thinking"))
        await clock.advance(2)
    await reporter.close()
    assert [text for _, text in screen.shown] == ["thinking"]


async def test_nothing_is_in_flight_after_close(reporter: ProgressReporter, screen: Screen, clock: FakeClock) -> None:
    """An edit on its way is waited for, and nothing said later is shown."""
    screen.blocked = asyncio.Event()
    reporter.start()
    reporter.show(word("one"))
    await clock.advance(1)
    closing = asyncio.create_task(reporter.close())
    await clock.advance(1)
    assert (closing.done(), screen.in_flight) == (False, 1)
    screen.blocked.set()
    await closing
    assert screen.in_flight == 0
    reporter.show(word("two"))
    await clock.advance(10)
    assert [text for _, text in screen.shown] == ["one"]


async def test_who_is_cancelled_while_closing_still_waits(
    reporter: ProgressReporter, screen: Screen, clock: FakeClock
) -> None:
    """Symptom: a drain that met a job while it closed its progress went unheard, and the job ran on.

    Cause: closing swallowed the cancellation, and returned with the edit still on its way. Rule: the wait goes on to
    its end, then the cancellation is passed on.
    """
    screen.blocked = asyncio.Event()
    reporter.start()
    reporter.show(word("one"))
    await clock.advance(1)
    closing = asyncio.create_task(reporter.close())
    await clock.advance(0)
    closing.cancel()
    await clock.advance(1)
    assert (closing.done(), screen.in_flight) == (False, 1)
    screen.blocked.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert screen.in_flight == 0


async def test_ends_when_the_message_is_gone(reporter: ProgressReporter, screen: Screen, clock: FakeClock) -> None:
    """A deleted message is not asked for again."""
    screen.error = AnswerGone("10008")
    reporter.start()
    reporter.show(word("one"))
    await clock.advance(1)
    screen.error = None
    reporter.show(word("two"))
    await clock.advance(10)
    assert screen.shown == []
    await reporter.close()


async def test_a_broken_edit_is_no_concern_of_the_answer(
    reporter: ProgressReporter, screen: Screen, clock: FakeClock
) -> None:
    """Closing returns in peace whatever an edit failed with."""
    screen.error = RuntimeError("a bug")
    reporter.start()
    reporter.show(word("one"))
    await clock.advance(1)
    await reporter.close()
    await reporter.close()
    assert clock.sleepers == 0
