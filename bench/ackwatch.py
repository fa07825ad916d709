"""Stands between the simulated Discord and the endpoint and times the answers: a busy simulator's own lag stays out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from bench.load import content_length, is_ack
from simulator.delivery import Answer, Deliverer, DeliveryError

LOOK_EVERY_S = 0.01
PASSED_ON = (b"x-signature-ed25519", b"x-signature-timestamp", b"content-type", b"user-agent")


@dataclass
class AckWatch:
    """What was seen: when each interaction was passed on (CLOCK_MONOTONIC) and how many seconds its answer took.

    `late_s` is how late this process's own event loop was, every `LOOK_EVERY_S`.
    """

    target: str
    url: str = ""
    acks: list[tuple[float, float]] = field(default_factory=list)
    failed: int = 0
    late_s: list[tuple[float, float]] = field(default_factory=list)
    _deliverer: Deliverer = field(default_factory=Deliverer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes over one connection until it closes."""
        with suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(content_length(head))
                writer.write(await self._pass_on(head, body))
        writer.close()

    async def _pass_on(self, head: bytes, body: bytes) -> bytes:
        pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        headers = {name.decode(): value.strip().decode() for name, _, value in pairs if name.lower() in PASSED_ON}
        began = time.monotonic()
        try:
            answer = await self._deliverer.post(self.target, body, headers)
        except DeliveryError:
            answer = Answer(502, {}, b"")
        self.acks.append((began, time.monotonic() - began))
        self.failed += not is_ack(b"HTTP/1.1 %d -" % answer.status, answer.body)
        served = answer.headers.get("x-quartet-instance", "")
        return (
            b"HTTP/1.1 %d -\r\ncontent-type: application/json\r\nx-quartet-instance: %s\r\ncontent-length: %d\r\n\r\n%s"
            % (answer.status, served.encode(), len(answer.body), answer.body)
        )

    async def watch_loop(self) -> None:
        """Note how late this loop is, until cancelled."""
        while True:
            due = time.monotonic() + LOOK_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)
            self.late_s.append((due, time.monotonic() - due))


@asynccontextmanager
async def ack_watch(target: str) -> AsyncIterator[AckWatch]:
    """Listen on a free loopback port, `url`, for what is to go to `target`."""
    watch = AckWatch(target)
    listening = await asyncio.start_server(watch.serve, "127.0.0.1", 0, backlog=1024)
    watch.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/interactions"
    looking = asyncio.create_task(watch.watch_loop())
    try:
        yield watch
    finally:
        looking.cancel()
        listening.close()
        await asyncio.gather(looking, return_exceptions=True)
