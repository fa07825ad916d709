"""A lean HTTP/1.1 client for deliveries.

General clients spend a millisecond of processor time per call and more the more calls are open; the simulator shares
its machine with the system it measures, and its acks are to show that system's time, not its own.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from simulator.wire import tls

MAX_IDLE = 200
MAX_HEAD = 64 * 1024
MAX_BODY = 16 * 1024 * 1024
Origin = tuple[str, int, bool]


class DeliveryError(Exception):
    """No complete HTTP answer came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower-case names) and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Deliverer:
    """POSTs bodies over kept-alive connections; deadlines are the caller's."""

    def __init__(self) -> None:
        self._idle: defaultdict[Origin, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = defaultdict(list)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the answer, or raise `DeliveryError`."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host = parts.hostname or ""
        origin = (host, parts.port or (443 if secure else 80), secure)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
        try:
            reader, writer = self._reuse(origin) or await self._connect(origin)
        except OSError as error:
            raise DeliveryError(type(error).__name__) from error
        keep = False
        try:
            writer.write(request)
            answer, keep = await _read(reader)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise DeliveryError(type(error).__name__) from error
        finally:
            if keep and len(self._idle[origin]) < MAX_IDLE:
                self._idle[origin].append((reader, writer))
            else:
                writer.transport.abort()
        return answer

    def _reuse(self, origin: Origin) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        idle = self._idle[origin]
        while idle:
            reader, writer = idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return None

    @staticmethod
    async def _connect(origin: Origin) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port, secure = origin
        return await asyncio.open_connection(host, port, ssl=tls() if secure else None, limit=MAX_HEAD)

    def close(self) -> None:
        """Close every idle connection."""
        for idle in self._idle.values():
            for _, writer in idle:
                writer.transport.abort()
            idle.clear()


async def _read(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    """Read one answer and say whether the connection may be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, status, *_ = head[0].split(" ", 2)
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if 100 <= int(status) < 200:
        return await _read(reader)
    keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunked(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(_bounded(int(headers["content-length"])))
    elif int(status) in (204, 304):
        body = b""
    else:
        body, keep = await reader.read(MAX_BODY), False
    return Answer(int(status), headers, body), keep


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    total = 0
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        total = _bounded(total + size)
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(pieces)


def _bounded(size: int) -> int:
    if not 0 <= size <= MAX_BODY:
        raise ValueError("body too large")
    return size
