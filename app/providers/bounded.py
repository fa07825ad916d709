"""Lets the OpenAI SDK use our HTTP client without ever holding more of an answer than we allow.

The SDK reads an error's whole body, and collects a server-sent event until its blank line comes, however long that
takes: an answer of 50 MB without a line break would lie in memory in full, several times over.

And it wakes for every token. A hundred answers of forty tokens a second would take an instance's whole core, most of it
for waking up; what was shown once a second anyway would be late. So where many answers grow at once, the socket of each
is read, but for its beginning, as rarely as four times a second, and once a second where the process is late with
everything: what gathers meanwhile is read at once. A few answers cost little; nobody waits for the end of theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import httpx2

from app.errors import ProviderBadAnswer
from app.providers.wire import ERROR_BODY_BYTES

EVENT_BYTES = 1024 * 1024
STREAM_BYTES = 32 * 1024 * 1024
GATHER_S = 0.25
GATHER_MOST_S = 1.0
FEW = 10
"""So many answers at once are read as they come; each one more adds to the pause between two reads."""

GATHER_EACH_S = 0.002
AT_ONCE = 4
"""So many pieces of an answer are read as they come: the first word must not wait."""

_BLANK_LINES = (b"\n\n", b"\r\r", b"\r\n\r\n")
_END = b"[DONE]"
_BODY_HEADERS = {"content-encoding", "content-length", "transfer-encoding"}


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends through `http_client` (never closes it) and bounds what comes back, counted after decompression.

    `stretch` says how many times longer pieces may gather than they usually do: by how busy the process is.
    """

    def __init__(self, http_client: httpx2.AsyncClient, stretch: Callable[[], float] = lambda: 1.0) -> None:
        self._http_client = http_client
        self._stretch = stretch
        self._reading = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._http_client.send(request, stream=True, auth=None, follow_redirects=False)
        body = _Events(response, self) if response.is_success else _Head(response)
        return httpx2.Response(
            response.status_code,
            headers=[(k, v) for k, v in response.headers.multi_items() if k.lower() not in _BODY_HEADERS],
            stream=body,
            extensions={k: v for k, v in response.extensions.items() if k != "network_stream"},
            request=request,
        )

    def begun(self) -> None:
        """One more answer is being read."""
        self._reading += 1

    def ended(self) -> None:
        """One less is."""
        self._reading -= 1

    def pause_s(self) -> float:
        """Return how long pieces of an answer gather between two reads, by how many answers are read now."""
        usual = min(GATHER_S, max(0, self._reading - FEW) * GATHER_EACH_S)
        return min(GATHER_MOST_S, usual * self._stretch())


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
    """A stream of events, each at most `EVENT_BYTES` and together at most `STREAM_BYTES`.

    Who iterates again goes on where the last one stopped: so the SDK, past the mark of the end, reads what is left of
    the body, without which the connection could not be used again.
    """

    def __init__(self, response: httpx2.Response, reader: BoundedTransport) -> None:
        self._response = response
        self._reader = reader
        self._counted = False
        self._bounded = self._read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._bounded

    async def _read(self) -> AsyncGenerator[bytes, None]:
        total = pending = 0
        tail = b""
        self._reader.begun()
        self._counted = True
        try:
            async with aclosing(_gathered(self._response.aiter_bytes(), self._reader.pause_s)) as pieces:
                async for piece in pieces:
                    total += len(piece)
                    seen = tail + piece
                    end = max(seen.rfind(blank) for blank in _BLANK_LINES)
                    pending = pending + len(piece) if end < 0 else len(seen) - end
                    if pending > EVENT_BYTES or total > STREAM_BYTES:
                        what = "openai: the stream is larger than any answer can be"
                        raise ProviderBadAnswer(what, provider="openai")
                    tail = seen[-3:]
                    yield piece
        finally:
            self._uncount()

    async def aclose(self) -> None:
        self._uncount()
        await self._response.aclose()

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self._reader.ended()


async def _gathered(pieces: AsyncIterator[bytes], pause_s: Callable[[], float]) -> AsyncGenerator[bytes, None]:
    """Yield the pieces, after the first few with a pause between those that had to be waited for; the end at once."""
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
                rest = read_at + pause_s() - loop.time()
                if rest > 0 and number > AT_ONCE and not piece.rstrip().endswith(_END):
                    await asyncio.sleep(rest)
                read_at = loop.time()
            yield piece
