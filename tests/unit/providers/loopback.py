"""A server on loopback that misbehaves byte by byte, as a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"


@dataclass
class Peer:
    """One connection, as the server sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""
    body: bytes = b""
    sent: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, data: bytes) -> None:
        """Send `data` and wait until the socket's buffer has room again."""
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def read_request(self) -> None:
        """Read one request: its head, and as much body as the head announces."""
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        for line in self.head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self.body = await self.reader.readexactly(int(line.partition(b":")[2]))


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Loopback:
    """The running server; `peers` holds every connection there ever was."""

    url: str
    peers: list[Peer]


@asynccontextmanager
async def loopback(script: Script) -> AsyncIterator[Loopback]:
    """Run `script` for each connection, after its request has come; its end closes the connection."""
    peers: list[Peer] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        peers.append(peer)
        try:
            await peer.read_request()
            # Reading on is how a server learns that its client has closed the connection.
            watching = asyncio.create_task(reader.read())
            speaking = asyncio.ensure_future(script(peer))
            await asyncio.wait({watching, speaking}, return_when=asyncio.FIRST_COMPLETED)
            for task in (watching, speaking):
                if not task.done():
                    task.cancel()
                with suppress(asyncio.CancelledError, ConnectionError):
                    await task
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            peer.gone.set()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Loopback(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", peers)
    finally:
        server.close()
        for peer in peers:
            peer.writer.close()
            await asyncio.wait_for(peer.gone.wait(), 5)
        await server.wait_closed()


def whole(status: str, body: bytes, *headers: str) -> bytes:
    """Return a complete HTTP/1.1 answer that also ends the connection."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    """Return one piece of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
