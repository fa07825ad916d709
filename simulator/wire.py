"""What goes wrong on the wire: connections that hang, drip, break in the middle or never end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from simulator.world import World

TRANSPORT_KEY = "simulator.transport"


def remember_transport(scope: Scope, send: Send) -> None:
    """Keep uvicorn's transport in the scope: ASGI itself has no way to break a connection."""
    owner: Any = getattr(send, "__self__", None)
    scope[TRANSPORT_KEY] = getattr(owner, "transport", None)


def abort(scope: Scope) -> None:
    """Reset the connection this request came on."""
    transport = scope.get(TRANSPORT_KEY)
    if transport is None:
        raise RuntimeError("only a real server can break a connection")
    transport.abort()


class Dropped(Response):
    """No answer at all: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset the connection and wait until the server has noticed, so that it writes nothing more."""
        abort(scope)
        while (await receive())["type"] != "http.disconnect":
            pass


class CutBody(Response):
    """An answer that promises its whole length and breaks off after `share` of it."""

    def __init__(self, response: Response, share: float = 0.5) -> None:
        super().__init__(b"")
        self._inner = response
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send status, headers and the first part, then reset."""
        body = bytes(self._inner.body)
        await send({"type": "http.response.start", "status": self._inner.status_code,
                    "headers": self._inner.raw_headers})  # fmt: skip
        await send({"type": "http.response.body", "body": body[: int(len(body) * self._share)], "more_body": True})
        # What was written has to leave before the reset, or the caller never sees the first part.
        await asyncio.sleep(0.02)
        abort(scope)


class Dripping(Response):
    """An answer that arrives in small pieces over `seconds`."""

    def __init__(self, world: World, response: Response, seconds: float, pieces: int = 50) -> None:
        super().__init__(b"")
        self._world = world
        self._inner = response
        self._seconds = seconds
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body piece by piece."""
        body = bytes(self._inner.body)
        step = max(1, len(body) // self._pieces)
        await send({"type": "http.response.start", "status": self._inner.status_code,
                    "headers": self._inner.raw_headers})  # fmt: skip
        for at in range(0, len(body), step):
            await send({"type": "http.response.body", "body": body[at : at + step], "more_body": True})
            await self._world.sleep(self._seconds / self._pieces)
            if self._world.closing.is_set():
                abort(scope)
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def hang(world: World, request: Request, seconds: float) -> None:
    """Do nothing for `seconds`, or until the caller has given up."""
    await request.body()

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    waits = {asyncio.ensure_future(gone()), asyncio.ensure_future(world.sleep(seconds))}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def endless(size: int, head: bytes = b"") -> AsyncIterator[bytes]:
    """Yield `head` and then filler up to `size` bytes."""
    yield head
    block = b"x" * 65_536
    for _ in range(size // len(block)):
        yield block
        await asyncio.sleep(0)  # or a reader that has gone is never noticed


@cache
def tls() -> ssl.SSLContext:
    """Return the settings every client here shares: reading the certificates takes a tenth of a second."""
    return httpx2.create_ssl_context()


def bearer(request: Request) -> str:
    """Return the secret of an `Authorization: Bearer …` header, or an empty string."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""
