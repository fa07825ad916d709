"""A TCP proxy between the instances and the outside, whose network can be made to fail."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

Mode = Literal["open", "reset", "black_hole", "lag"]
CHUNK = 65_536


class FaultyNetwork:
    """Passes connections on to `target`, once that is set. A black hole accepts, then is silent."""

    def __init__(self) -> None:
        self.target = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._clear = asyncio.Event()
        self._clear.set()
        self.mode: Mode = "open"
        self.lag_s = 0.5
        self.port = 0
        self.connections = 0

    def set(self, mode: Mode) -> None:
        """Change the network's state, for open connections too."""
        self.mode = mode
        if mode == "black_hole":
            self._clear.clear()
        else:
            self._clear.set()
        if mode == "reset":
            for writer in list(self._writers):
                _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        out: asyncio.StreamWriter | None = None
        try:
            if self.mode == "reset":
                _reset(writer)
                return
            await self._clear.wait()
            back, out = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(out)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, out))
                group.create_task(self._pump(back, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in filter(None, (writer, out)):
                self._writers.discard(end)
                end.transport.abort()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._clear.wait()
            if self.mode == "lag":
                await asyncio.sleep(self.lag_s)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def close(self) -> None:
        """End every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: a mere close would end the stream in order."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it is closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def faulty_network() -> AsyncIterator[FaultyNetwork]:
    """Run one on a free loopback port."""
    network = FaultyNetwork()
    server = await asyncio.start_server(network._serve, "127.0.0.1", 0)
    network.port = server.sockets[0].getsockname()[1]
    try:
        yield network
    finally:
        server.close()
        await network.close()
        await server.wait_closed()
