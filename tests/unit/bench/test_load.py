"""The load generator counts acks and nothing else as acks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bench.load import content_length, is_ack, load

DEFERRED = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: 10\r\n\r\n{"type":5}'
BROKEN = b'HTTP/1.1 500 Oh\r\ncontent-length: 10\r\n\r\n{"type":5}'
OTHER = b'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"type":4}'
REQUEST = b"one request"


@asynccontextmanager
async def answering(answers: Sequence[bytes]) -> AsyncIterator[int]:
    """A server that answers each request with the next of `answers` (in two pieces), and hangs up after the last."""
    left = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(len(REQUEST)):
            answer = next(left, None)
            if answer is None:
                break
            for piece in (answer[:30], answer[30:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_every_ack_is_counted_with_the_request_it_answers() -> None:
    """Numbers, latencies and the rate belong to the answered requests; the run ends when the requests do."""
    async with answering([DEFERRED] * 10) as port:
        run = await load(port, [REQUEST] * 10, iter(range(10)), connections=3, seconds=30)
    assert sorted(run.acked) == list(range(10))
    assert len(run.latencies_s) == 10
    assert run.errors == 0
    assert run.per_second == pytest.approx(10 / run.elapsed_s)
    assert 0 < run.latency_ms(0.5) <= run.latency_ms(0.99) <= 1000 * run.elapsed_s


async def test_other_answers_are_errors() -> None:
    """Neither a 500 nor another type is an ack; the first of them is told."""
    async with answering([DEFERRED, BROKEN, OTHER, DEFERRED]) as port:
        run = await load(port, [REQUEST] * 4, iter(range(4)), connections=1, seconds=30)
    assert list(run.acked) == [0, 3]
    assert run.errors == 2
    assert "500" in run.first_error


async def test_a_lost_connection_is_an_error_and_ends_its_part() -> None:
    """A server that hangs up is noticed; the run does not wait for it."""
    async with answering([DEFERRED]) as port:
        run = await load(port, [REQUEST] * 5, iter(range(5)), connections=1, seconds=30)
    assert (list(run.acked), run.errors) == ([0], 1)
    assert "connection lost" in run.first_error


async def test_no_request_is_sent_after_the_time_is_over() -> None:
    """A run of no length sends nothing."""
    async with answering([DEFERRED]) as port:
        run = await load(port, [REQUEST], iter(range(1)), connections=1, seconds=0)
    assert (len(run.acked), run.errors) == (0, 0)


@pytest.mark.parametrize(
    ("head", "content", "expected"),
    [
        (b"HTTP/1.1 200 OK", b'{"type": 5, "data": {}}', True),
        (b"HTTP/1.1 200", b'{"type":5}', True),
        (b"HTTP/1.1 401 Unauthorized", b'{"type":5}', False),
        (b"HTTP/1.1 200 OK", b'{"type":1}', False),
        (b"HTTP/1.1 200 OK", b"[5]", False),
        (b"HTTP/1.1 200 OK", b"type 5", False),
    ],
)
def test_an_ack_is_200_with_type_5(head: bytes, content: bytes, expected: bool) -> None:
    """Whatever else comes is none."""
    assert is_ack(head, content) is expected


def test_the_length_is_read_however_it_is_written() -> None:
    """Header names are case-insensitive; without one there is no content."""
    assert content_length(b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 12\r\nx: y") == 12
    assert content_length(b"HTTP/1.1 204 No Content") == 0
