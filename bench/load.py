"""The load: keep-alive connections that each send the next request as soon as the last one is answered."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

DEFERRED = 5
PATIENCE_S = 15.0
"""How long after its end a run may still wait for answers."""


@dataclass(slots=True)
class Run:
    """What one run saw. `acked` are the numbers of the requests answered 200 `{"type":5}`; all else is an error."""

    acked: array[int] = field(default_factory=lambda: array("l"))
    latencies_s: array[float] = field(default_factory=lambda: array("d"))
    errors: int = 0
    first_error: str = ""
    elapsed_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def per_second(self) -> float:
        """Acks per second from the first request to the last answer."""
        return len(self.acked) / self.elapsed_s if self.elapsed_s else 0.0

    def latency_ms(self, quantile: float) -> float:
        """Return a quantile of the answer times in milliseconds, 0 if there are none."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] if ordered else 0.0


async def load(
    port: int, requests: Sequence[bytes], numbers: Iterator[int], *, connections: int, seconds: float
) -> Run:
    """Send the requests that `numbers` names until they run out or `seconds` are over; return what came back.

    Nothing is allocated that the garbage collector would have to look at, and it is off meanwhile.
    """
    loop = asyncio.get_running_loop()
    run = Run()
    clients = [_Client(run, requests, numbers) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(partial(_itself, client), "127.0.0.1", port)
    gc.collect()
    gc.disable()
    try:
        busy, started = time.process_time(), time.perf_counter()
        for client in clients:
            client.stop_at = started + seconds
            client.send_next()
        await asyncio.wait([client.done for client in clients], timeout=seconds + PATIENCE_S)
        run.elapsed_s, run.cpu_s = time.perf_counter() - started, time.process_time() - busy
    finally:
        gc.enable()
        for client in clients:
            client.close()
    return run


def _itself(client: _Client) -> _Client:
    return client


class _Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, run: Run, requests: Sequence[bytes], numbers: Iterator[int]) -> None:
        self._run = run
        self._requests = requests
        self._numbers = numbers
        self._number = -1
        self._sent_at = 0.0
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.stop_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def send_next(self) -> None:
        """Send the next request, or end."""
        now = time.perf_counter()
        number = next(self._numbers, None) if now < self.stop_at else None
        if number is None or self._transport is None:
            self._end()
            return
        self._number, self._sent_at = number, now
        self._transport.write(self._requests[number])

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, content = self._received.partition(b"\r\n\r\n")
        if not separator or len(content) < content_length(head):
            return
        self._received = b""
        if is_ack(head, content):
            self._run.latencies_s.append(time.perf_counter() - self._sent_at)
            self._run.acked.append(self._number)
        else:
            self._fail(f"{head.split(maxsplit=2)[:2]} {content[:200]!r}")
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.done.done():
            self._fail(f"connection lost: {exc or 'closed'}")
            self._end()

    def close(self) -> None:
        """End, answered or not."""
        if not self.done.done():
            self._fail("no answer")
            self._end()
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, what: str) -> None:
        self._run.errors += 1
        self._run.first_error = self._run.first_error or what

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


def content_length(head: bytes) -> int:
    """Return the length that a response's head announces, 0 without one."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def is_ack(head: bytes, content: bytes) -> bool:
    """Return whether a response is 200 with the type 5."""
    if head.split(b" ", 2)[1] != b"200":
        return False
    try:
        answer = json.loads(content)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("type") == DEFERRED
