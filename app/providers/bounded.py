"""Lets the OpenAI SDK use our HTTP client without ever holding more of an answer than we allow.

The SDK reads an error's whole body, and collects a server-sent event until its blank line comes, however long that
takes: an answer of 50 MB without a line break would lie in memory in full, several times over.

And it wakes for every token. A hundred answers of forty tokens a second would take an instance's whole core, most of it
for waking up; what was shown once a second anyway would be late. So but for an answer's beginning the socket is read
ten times a second: what gathers meanwhile is read at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx2

from app.errors import ProviderBadAnswer
from app.providers.wire import ERROR_BODY_BYTES

EVENT_BYTES = 1024 * 1024
STREAM_BYTES = 32 * 1024 * 1024
GATHER_S = 0.1
AT_ONCE = 16
"""So many pieces of an answer are read as they come: the first word must not wait."""

_BLANK_LINES = (b"\n\n", b"\r\r", b"\r\n\r\n")
_BODY_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends through `http_client` (never closes it) and bounds what comes back, counted after decompression."""

    def __init__(self, http_client: httpx2.AsyncClient) -> None:
        self._http_client = http_client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._http_client.send(request, stream=True, auth=None, follow_redirects=False)
        body = _Events(response) if response.is_success else _Head(response)
        return httpx2.Response(
            response.status_code,
            headers=[(k, v) for k, v in response.headers.multi_items() if k.lower() not in _BODY_HEADERS],
            stream=body,
            extensions={k: v for k, v in response.extensions.items() if k != "network_stream"},
            request=request,
        )


class _Head(httpx2.AsyncByteStream):
    """The first `ERROR_BODY_BYTES` of an error's body: enough for its code and message."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = ERROR_BODY_BYTES
        async with aclosing(self._response.aiter_bytes()) as pieces:
            async for piece in pieces:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return

    async def aclose(self) -> None:
        await self._response.aclose()


class _Events(httpx2.AsyncByteStream):
    """A stream of events, each at most `EVENT_BYTES` and together at most `STREAM_BYTES`."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = pending = 0
        tail = b""
        async with aclosing(_gathered(self._response.aiter_bytes())) as pieces:
            async for piece in pieces:
                total += len(piece)
                seen = tail + piece
                end = max(seen.rfind(blank) for blank in _BLANK_LINES)
                pending = pending + len(piece) if end < 0 else len(seen) - end
                if pending > EVENT_BYTES or total > STREAM_BYTES:
                    raise ProviderBadAnswer("openai: the stream is larger than any answer can be", provider="openai")
                tail = seen[-3:]
                yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the pieces, after the first few with `GATHER_S` between those that had to be waited for."""
    loop = asyncio.get_running_loop()
    number, read_at = 0, loop.time()
    waiting = asyncio.Event()
    async with aclosing(pieces) as source:  # type: ignore[type-var]
        while True:
            # A piece that is there already comes before the loop's next turn.
            waiting.clear()
            mark = loop.call_soon(waiting.set)
            piece = await anext(source, None)
            mark.cancel()
            if piece is None:
                return
            number += 1
            if waiting.is_set():
                if number > AT_ONCE and (rest := read_at + GATHER_S - loop.time()) > 0:
                    await asyncio.sleep(rest)
                read_at = loop.time()
            yield piece
