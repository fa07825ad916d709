"""A result that comes later: told at once, awaited like a future, given up like one."""

from __future__ import annotations

import asyncio

import pytest

from app.promise import Promise, promised


def settled(result: str) -> Promise[str]:
    promise: Promise[str] = Promise()
    promise.result = result
    promise.settle()
    return promise


async def test_settling_tells_everybody_in_turn_before_it_returns() -> None:
    """Both heard it, in the order in which they asked, without a turn of the event loop."""
    promise, heard = Promise[str](), list[tuple[int, str | None]]()
    promise.when_settled(lambda told: heard.append((1, told.result)))
    promise.when_settled(lambda told: heard.append((2, told.result)))
    promise.result = "here"
    promise.settle()
    assert heard == [(1, "here"), (2, "here")]


async def test_who_asks_late_is_told_at_once() -> None:
    """One that is settled already tells immediately."""
    heard: list[str | None] = []
    settled("before").when_settled(lambda told: heard.append(told.result))
    assert heard == ["before"]


async def test_it_is_told_only_once() -> None:
    """A second settling, and giving up afterwards, change nothing."""
    promise, heard = Promise[str](), list[str | None]()
    promise.when_settled(lambda told: heard.append(told.result))
    promise.result = "first"
    promise.settle()
    promise.settle()
    promise.cancel()
    assert heard == ["first"]
    assert not promise.cancelled
    assert await promise == "first"


async def test_one_that_breaks_when_told_keeps_it_from_nobody() -> None:
    """The others hear the result, and the loop hears of what broke."""
    broken: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(str(context["exception"])))
    promise, heard = Promise[str](), list[str | None]()

    def breaks(_told: Promise[str]) -> None:
        raise RuntimeError("broke")

    promise.when_settled(breaks)
    promise.when_settled(lambda told: heard.append(told.result))
    promise.result = "all the same"
    promise.settle()
    assert heard == ["all the same"]
    assert broken == ["broke"]


async def test_awaiting_returns_the_result_or_raises_the_error() -> None:
    """What is awaited before and after it is settled is the same."""
    promise: Promise[str] = Promise()
    waiting = asyncio.ensure_future(promise)
    await asyncio.sleep(0)
    promise.error = ValueError("no")
    promise.settle()
    for awaited in (waiting, promise):
        with pytest.raises(ValueError, match="no"):
            await awaited


async def test_who_stops_waiting_gives_it_up() -> None:
    """Cancelling the one who awaits cancels the promise, as with a future; whoever listens is told so."""
    promise, errors = Promise[str](), list[BaseException | None]()
    promise.when_settled(lambda told: errors.append(told.error))
    waiting = asyncio.ensure_future(promise)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert promise.cancelled
    assert isinstance(errors[0], asyncio.CancelledError)
    promise.result = "too late"
    promise.settle()
    assert len(errors) == 1


async def test_a_promise_is_taken_as_it_is() -> None:
    """No task is made of what is a promise already."""
    promise = settled("same")
    assert promised(promise) is promise


async def test_anything_else_becomes_a_task() -> None:
    """A coroutine's result, error and cancellation arrive the same way."""

    async def work(text: str) -> str:
        await asyncio.sleep(0)
        if not text:
            raise ValueError("nothing")
        return text

    assert await promised(work("done")) == "done"
    with pytest.raises(ValueError, match="nothing"):
        await promised(work(""))


async def test_giving_up_ends_the_work() -> None:
    """The task behind a promise is cancelled with it, and nothing is left running."""
    ended = asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    promise = promised(work())
    await asyncio.sleep(0)
    promise.cancel()
    assert promise.cancelled
    await asyncio.wait_for(ended.wait(), 5)


async def test_work_that_is_cancelled_from_outside_is_given_up() -> None:
    """Who waits hears a cancellation, not silence."""

    async def work() -> str:
        raise asyncio.CancelledError

    promise = promised(work())
    with pytest.raises(asyncio.CancelledError):
        await promise
    assert promise.cancelled
