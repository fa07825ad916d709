"""The stream of pictures: one is taken for all, nobody holds it up, and it ends when it is to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from app.web.dashboard import feed as feed_module
from app.web.dashboard.feed import LINGER_S, MOST_LISTENERS, RETRY, STILL_HERE, Feed
from tests.kit.clock import FakeClock
from tests.kit.waiting import wait_turns_until, wait_until


class Browser:
    """One connection to the stream. While `stuck` it takes nothing."""

    def __init__(self, feed: Feed, method: str = "GET") -> None:
        self.heard: list[bytes] = []
        self.status = 0
        self.ended = False
        self._going = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self.task = asyncio.create_task(feed.open()({"type": "http", "method": method}, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._going.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self._free.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.heard.append(message["body"])
            self.ended = not message.get("more_body", False)

    def get_stuck(self) -> None:
        """Take nothing any more."""
        self._free.clear()

    def come_free(self) -> None:
        """Take again what comes."""
        self._free.set()

    async def go(self) -> None:
        """Close the page."""
        self._going.set()
        await self.task


class Camera:
    """Takes numbered pictures."""

    def __init__(self) -> None:
        self.taken = 0
        self.forgotten = 0
        self.before: Callable[[], Awaitable[None]] | None = None

    async def take(self) -> bytes:
        if self.before is not None:
            await self.before()
        self.taken += 1
        return b"%d" % self.taken

    def forget(self) -> None:
        self.forgotten += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto_advance=False)


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
async def feed(clock: FakeClock, camera: Camera) -> AsyncIterator[Feed]:
    made = Feed(camera.take, camera.forget, clock)
    yield made
    made.close()
    await asyncio.sleep(0)


async def listening(feed: Feed, count: int = 1) -> list[Browser]:
    """Return browsers that have heard the beginning."""
    browsers = [Browser(feed) for _ in range(count)]
    await wait_turns_until(lambda: all(len(browser.heard) >= 2 for browser in browsers), "each has a picture")
    return browsers


async def test_one_picture_is_taken_for_all(feed: Feed, clock: FakeClock, camera: Camera) -> None:
    """Three listeners cost what one costs, and hear the same once a second, after word of when to come again."""
    browsers = await listening(feed, 3)
    for second in range(2, 6):
        await clock.advance(1)
        await wait_turns_until(lambda wanted=second: camera.taken == wanted, "the next picture")  # type: ignore[misc]
    for browser in browsers:
        await wait_turns_until(lambda b=browser: len(b.heard) == 6, "all have come")  # type: ignore[misc]
        assert (browser.status, browser.heard) == (200, [RETRY, b"1", b"2", b"3", b"4", b"5"])
        await browser.go()


async def test_nobody_looks_and_nothing_is_taken(feed: Feed, clock: FakeClock, camera: Camera) -> None:
    """Without listeners nothing is read; after a while what was read is forgotten, and a new listener begins anew."""
    await clock.advance(10)
    assert camera.taken == 0 and clock.sleepers == 0
    (browser,) = await listening(feed)
    await browser.go()
    await clock.advance(LINGER_S - 2)
    assert (camera.taken, camera.forgotten, feed.listeners) == (1, 0, 0)
    await clock.advance(4)
    assert (camera.taken, camera.forgotten, clock.sleepers) == (1, 1, 0)
    (again,) = await listening(feed)
    assert again.heard == [RETRY, b"2"]
    await again.go()


async def test_a_page_that_is_loaded_again_loses_nothing(feed: Feed, clock: FakeClock, camera: Camera) -> None:
    """Within the while nothing is forgotten, and no old picture is shown as if it were new."""
    (browser,) = await listening(feed)
    await browser.go()
    await clock.advance(5)
    again = Browser(feed)
    await clock.advance(1)
    await wait_turns_until(lambda: len(again.heard) == 2, "the next picture")
    assert again.heard == [RETRY, b"2"] and camera.forgotten == 0
    await again.go()


async def test_a_slow_listener_holds_nobody_up_and_misses_some(feed: Feed, clock: FakeClock, camera: Camera) -> None:
    """The others hear every picture; it hears the newest one when it takes again, and none is kept for it."""
    slow, quick = await listening(feed, 2)
    slow.get_stuck()
    for _ in range(8):
        await clock.advance(1)
    await wait_turns_until(lambda: quick.heard[-1] == b"9", "the quick one has the last")
    slow.come_free()
    await wait_turns_until(lambda: slow.heard[-1] == b"9", "the slow one has the last, too")
    assert quick.heard == [RETRY, *(b"%d" % n for n in range(1, 10))]
    assert len(slow.heard) <= 4
    await asyncio.gather(slow.go(), quick.go())


async def test_who_takes_nothing_is_left_alone(
    feed: Feed, clock: FakeClock, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose other side is dead, though nobody said so, does not stay for ever."""
    monkeypatch.setattr(feed_module, "SENT_WITHIN_S", 0.02)
    (browser,) = await listening(feed)
    browser.get_stuck()
    await clock.advance(1)
    await wait_until(browser.task.done, 5, "it is left alone")
    assert browser.task.exception() is None and feed.listeners == 0


async def test_the_end_comes_at_once(feed: Feed, clock: FakeClock, camera: Camera) -> None:
    """The server waits for every stream before it stops: a waiting one ends properly, a stuck one is cut."""
    waiting, stuck = await listening(feed, 2)
    stuck.get_stuck()
    await clock.advance(1)
    feed.close()
    await wait_until(lambda: waiting.task.done() and stuck.task.done(), 5, "both are over")
    assert waiting.ended and not stuck.ended and feed.listeners == 0
    assert (late := feed.open()).status_code == 503 and late.headers["retry-after"] == "1"
    await clock.advance(3)
    assert camera.taken == 2


async def test_there_is_a_bound(feed: Feed, camera: Camera) -> None:
    """One too many is told to try elsewhere; when one has gone there is room again."""
    browsers = await listening(feed, MOST_LISTENERS)
    assert feed.open().status_code == 503
    await browsers[0].go()
    assert feed.open().status_code == 200
    await asyncio.gather(*(browser.go() for browser in browsers[1:]))


async def test_a_picture_that_fails(feed: Feed, clock: FakeClock, camera: Camera) -> None:
    """A fault in one picture is in the log; the listeners hear that the stream lives, and the next one comes."""
    (browser,) = await listening(feed)

    async def fail() -> None:
        raise ValueError("a fault in the picture")

    camera.before = fail
    await clock.advance(1)
    await wait_turns_until(lambda: browser.heard[-1] == STILL_HERE, "a sign of life")
    camera.before = None
    await clock.advance(1)
    await wait_turns_until(lambda: browser.heard[-1] == b"2", "the next picture")
    await browser.go()


async def test_a_picture_that_takes_too_long(
    feed: Feed, clock: FakeClock, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store hangs: the listeners hear that the stream lives all the same."""
    monkeypatch.setattr(feed_module, "TAKEN_WITHIN_S", 0.02)
    (browser,) = await listening(feed)
    camera.before = asyncio.Event().wait  # type: ignore[assignment]
    await clock.advance(1)
    await wait_until(lambda: browser.heard[-1] == STILL_HERE, 5, "a sign of life")
    await browser.go()


async def test_a_head_is_answered_without_listening(feed: Feed, camera: Camera) -> None:
    """The status and no body."""
    browser = Browser(feed, "HEAD")
    await browser.task
    assert (browser.status, browser.heard, camera.taken) == (200, [b""], 0)
