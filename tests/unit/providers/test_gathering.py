"""A stream is read often enough to be felt as one, and no more often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.providers import bounded
from app.providers.bounded import AT_ONCE, FEW, GATHER_EACH_S, BoundedTransport, _gathered

GATHER_S = 0.02
LONG_S = 5.0


async def pieces(count: int, *, at_once: int = 1) -> AsyncIterator[bytes]:
    """Yield numbered pieces; every so many of them the reader has to wait for the socket, as short as may be."""
    for number in range(count):
        if number % at_once == 0:
            await asyncio.sleep(0)
        yield b"%d " % number


async def read(source: AsyncIterator[bytes]) -> tuple[bytes, float]:
    """Return everything, and the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    return b"".join([piece async for piece in _gathered(source, lambda: GATHER_S)]), loop.time() - began


def whole(count: int) -> bytes:
    """Return what `count` pieces hold."""
    return b"".join(b"%d " % number for number in range(count))


async def test_the_beginning_is_read_as_it_comes() -> None:
    """The first words wait for nothing."""
    text, seconds = await read(pieces(AT_ONCE))
    assert text == whole(AT_ONCE)
    assert seconds < GATHER_S


async def test_later_reads_keep_their_distance() -> None:
    """Each waits until more can have gathered; nothing is lost or moved."""
    text, seconds = await read(pieces(AT_ONCE + 5))
    assert text == whole(AT_ONCE + 5)
    assert seconds >= 5 * GATHER_S


async def test_what_came_together_is_read_together() -> None:
    """A thousand pieces of two reads take two waits, not a thousand."""
    text, seconds = await read(pieces(1000, at_once=500))
    assert text == whole(1000)
    assert seconds < 100 * GATHER_S


async def test_the_end_is_read_as_it_comes() -> None:
    """Whoever waits for the whole answer has it with the last piece, not a pause later."""

    async def ended() -> AsyncIterator[bytes]:
        async for piece in pieces(AT_ONCE):
            yield piece
        await asyncio.sleep(0)
        yield b"data: [DONE]\n\n"

    loop = asyncio.get_running_loop()
    began = loop.time()
    text = b"".join([piece async for piece in _gathered(ended(), lambda: LONG_S)])
    assert text.endswith(b"[DONE]\n\n")
    assert loop.time() - began < LONG_S


def test_a_few_answers_are_not_made_to_wait_and_many_a_quarter_of_a_second() -> None:
    """The pause grows with how many answers are read at this moment, and goes with them."""
    reader = BoundedTransport(httpx2.AsyncClient())
    for _ in range(FEW):
        reader.begun()
    assert reader.pause_s() == 0
    reader.begun()
    assert reader.pause_s() == pytest.approx(GATHER_EACH_S)
    for _ in range(500):
        reader.begun()
    assert reader.pause_s() == bounded.GATHER_S
    for _ in range(501):
        reader.ended()
    assert reader.pause_s() == 0


def test_a_busy_process_lets_many_answers_gather_longer_and_a_few_not() -> None:
    """By how busy it is, up to a bound."""
    stretch = [1.0]
    reader = BoundedTransport(httpx2.AsyncClient(), lambda: stretch[0])

    def pause_s(stretched: float) -> float:
        stretch[0] = stretched
        return reader.pause_s()

    pauses: list[float] = []
    for answers in (FEW, 10 * FEW, 50 * FEW):
        while reader._reading < answers:
            reader.begun()
        pauses += [pause_s(stretched) for stretched in (1.0, 2.0, 100.0)]
    assert pauses[:3] == [0, 0, 0]
    assert pauses[3:5] == pytest.approx([90 * GATHER_EACH_S, 180 * GATHER_EACH_S])
    assert pauses[6:8] == [bounded.GATHER_S, 2 * bounded.GATHER_S]
    assert pauses[5] == pauses[8] == bounded.GATHER_MOST_S


async def test_the_source_is_closed_when_the_reader_stops() -> None:
    """Also in the middle: an answer that was stopped costs nothing more."""
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                await asyncio.sleep(0)
                yield b"x"
        finally:
            closed.set()

    reader = _gathered(endless(), lambda: GATHER_S)
    await anext(reader)
    await reader.aclose()
    assert closed.is_set()
