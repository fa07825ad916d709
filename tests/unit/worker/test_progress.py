"""Progress is paced, and never stands in the answer's way."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from app.discord.graphemes import utf16_length
from app.discord.replies import Message
from app.discord.wire import CONTENT_MAX
from app.errors import AnswerGone
from app.texts import Locale, Text
from app.worker.progress import AGAIN_AFTER_S, CURSOR, EVERY_S, FIRST_AFTER_S, ProgressReporter, growing
from tests.kit.clock import FakeClock


class Screen:
    """What was shown and when; with `blocked` an edit takes until it is released."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.shown: list[tuple[float, str]] = []
        self.error: Exception | None = None
        self.blocked: asyncio.Event | None = None
        self.taken = True
        self.components: list[object] = []
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
            if self.taken:
                self.shown.append((self.clock.elapsed, message.content))
                self.components.append(message.components)
        finally:
            self.in_flight -= 1
        return self.taken


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


async def test_the_first_of_the_text_is_shown_at_once(
    reporter: ProgressReporter, screen: Screen, clock: FakeClock
) -> None:
    """Neither the first wait nor the distance to a word of progress holds it up."""
    reporter.start()
    await clock.advance(0.1)
    reporter.grow("Hel")
    await clock.advance(0)
    ((at, text),) = screen.shown
    assert at == pytest.approx(0.1)
    assert text == "Hel" + CURSOR
    await reporter.close()


async def test_the_first_text_does_not_wait_after_a_word(
    reporter: ProgressReporter, screen: Screen, clock: FakeClock
) -> None:
    """A "thinking" that was shown a moment ago costs the text nothing."""
    reporter.start()
    reporter.show(word("thinking"))
    await clock.advance(FIRST_AFTER_S)
    reporter.grow("Hel")
    await clock.advance(0)
    assert [text for _, text in screen.shown] == ["thinking", "Hel" + CURSOR]
    assert screen.shown[1][0] == pytest.approx(FIRST_AFTER_S)
    await reporter.close()


async def test_the_first_text_waits_for_the_edit_in_flight_only(
    reporter: ProgressReporter, screen: Screen, clock: FakeClock
) -> None:
    """Edits never overlap; as soon as the one on its way has landed the text follows."""
    screen.blocked = asyncio.Event()
    reporter.start()
    reporter.show(word("thinking"))
    await clock.advance(1)
    reporter.grow("Hel")
    await clock.advance(1)
    assert (screen.shown, screen.in_flight) == ([], 1)
    screen.blocked.set()
    await clock.advance(0)
    assert [text for _, text in screen.shown] == ["thinking", "Hel" + CURSOR]
    await reporter.close()


async def test_a_growing_answer_is_shown_once_a_second(
    reporter: ProgressReporter, screen: Screen, clock: FakeClock
) -> None:
    """Each edit shows all that has come by then."""
    reporter.start()
    for tenth in range(1, 51):
        reporter.grow("x" * tenth)
        await clock.advance(0.1)
    await reporter.close()
    times = [at for at, _ in screen.shown]
    assert [later - earlier for earlier, later in pairwise(times)] == [pytest.approx(1.0)] * 4
    assert [len(text) - len(CURSOR) for _, text in screen.shown] == [pytest.approx(at * 10, abs=1.01) for at in times]


async def test_the_pace_of_the_follow_up_client_is_kept(screen: Screen, clock: FakeClock) -> None:
    """Its seconds are waited out after each edit of a text."""
    waits = iter([2.0, 0.5, 100.0])
    reporter = ProgressReporter(screen.send, Locale.EN, clock, pace=lambda: next(waits))
    reporter.start()
    for tenth in range(100):
        reporter.grow("x" * tenth + "y")
        await clock.advance(0.1)
    await reporter.close()
    assert [at for at, _ in screen.shown] == [pytest.approx(at, abs=0.01) for at in (0.0, 2.0, 2.5)]


async def test_what_was_not_shown_is_tried_again(reporter: ProgressReporter, screen: Screen, clock: FakeClock) -> None:
    """An edit that Discord's limits hold back is made up for, with the newest text, though nothing more comes."""
    screen.taken = False
    reporter.start()
    reporter.grow("Hel")
    await clock.advance(AGAIN_AFTER_S)
    reporter.grow("Hello")
    screen.taken = True
    await clock.advance(1)
    assert [text for _, text in screen.shown] == ["Hello" + CURSOR]
    await reporter.close()


async def test_white_space_is_no_text_yet(reporter: ProgressReporter, screen: Screen, clock: FakeClock) -> None:
    """An empty message with a cursor would say nothing."""
    reporter.start()
    reporter.grow(" \n")
    await clock.advance(10)
    assert screen.shown == []
    await reporter.close()


async def test_buttons_stand_under_all_progress(screen: Screen, clock: FakeClock) -> None:
    """Under a word as under a text."""
    reporter = ProgressReporter(screen.send, Locale.EN, clock, components=({"type": 1},))
    reporter.start()
    reporter.show(word("thinking"))
    await clock.advance(1)
    reporter.grow("Hel")
    await clock.advance(1)
    assert screen.components == [({"type": 1},)] * 2
    await reporter.close()


@pytest.mark.parametrize("text", ["가" * 5000, "🙂" * 1500, "word " * 3000, "```py\n" + "x = 1\n" * 900])
def test_a_long_text_grows_visibly_although_it_does_not_fit(text: str) -> None:
    """The start stays, the length tells that more comes, a code block is closed before the cursor."""
    shown = growing(text, Locale.EN)
    assert utf16_length(shown) <= CONTENT_MAX
    assert shown.startswith(text[:500])
    assert f"{len(text) // 100 * 100:,} characters" in shown and shown.endswith(CURSOR)
    assert shown.count("```") % 2 == 0


@pytest.mark.parametrize("length", range(1990, 2003))
def test_a_growing_text_fits_at_every_length(length: int) -> None:
    """Around a message's limit as well."""
    assert utf16_length(growing("x" * length, Locale.KO)) <= CONTENT_MAX
