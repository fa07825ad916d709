"""`POST /interactions`: HTTP only. Bytes in, bytes out; what they mean is the edge's business.

This is a plain ASGI application in front of FastAPI's: Discord waits three seconds and probes often, so this path has
no routing, dependency or validation machinery in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from app.discord.answers import Reply
from app.discord.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from app.edge import Edge, settle

PATH: Final = "/interactions"
LARGEST_BODY: Final = 1024 * 1024

TOO_LARGE: Final = Reply(413, b'{"error":"the body is larger than 1 MiB"}', "too_large")
BROKEN: Final = Reply(500, b'{"error":"internal error"}', "broken")
NOT_ALLOWED: Final = Reply(405, b'{"error":"use POST"}', "not_allowed")


class InteractionsEndpoint:
    """Answers `POST /interactions` and leaves everything else to `rest`."""

    def __init__(self, edge: Edge, rest: ASGIApp, instance: int) -> None:
        self._edge = edge
        self._rest = rest
        self._headers = [(b"content-type", b"application/json"), (b"x-quartet-instance", b"%d" % instance)]
        self.head = b"".join(b"%s: %s\r\n" % header for header in self._headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._rest(scope, receive, send)
            return
        reply = await self._reply(scope, receive)
        if reply is not None:
            await self._send(reply, send)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply | None:
        if scope["method"] != "POST":
            return NOT_ALLOWED
        body = await _read(receive)
        if body is None:
            return None
        if len(body) > LARGEST_BODY:
            return TOO_LARGE
        return await self.answer(body, scope["headers"])

    async def answer(self, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Reply:
        """Answer a whole POST, given its raw body and its headers, names in lower case."""
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.begin(body, headers, partial(settle, answered))
        return await answered

    def begin(self, body: bytes, headers: Iterable[tuple[bytes, bytes]], told: Callable[[Reply], None]) -> None:
        """Like `answer`; `told` is called once with the answer, before this returns or later."""
        self._edge.on_interaction(body, *_signed(headers), told)

    async def _send(self, reply: Reply, send: Send) -> None:
        headers = [*self._headers, (b"content-length", b"%d" % len(reply.body))]
        if reply.status == NOT_ALLOWED.status:
            headers.append((b"allow", b"POST"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})


def _signed(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes | None, bytes | None]:
    """Return the signature's and the timestamp's bytes. Of two, one may be somebody else's: then there is none."""
    signature = timestamp = None
    signatures = timestamps = 0
    for name, value in headers:
        if name == SIGNATURE_HEADER:
            signature, signatures = value, signatures + 1
        elif name == TIMESTAMP_HEADER:
            timestamp, timestamps = value, timestamps + 1
    return (signature, timestamp) if signatures == timestamps == 1 else (None, None)


async def _read(receive: Receive) -> bytes | None:
    """Return the body, no more than one chunk beyond the limit of it; None if the client went away."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    if not message.get("more_body", False):
        return bytes(message.get("body", b""))
    body = bytearray(message.get("body", b""))
    while message.get("more_body", False) and len(body) <= LARGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
    return bytes(body)
