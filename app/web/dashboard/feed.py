"""`/dashboard/events`: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

One picture a second is taken for all who listen, and none while nobody does. Each is sent the newest one there is: who
reads slowly misses some, and holds no more memory than what a connection buffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.clock import Clock

EVERY_S = 1.0
TAKEN_WITHIN_S = 5.0
SENT_WITHIN_S = 15.0
"""Who takes nothing for so long is not there any more."""

LINGER_S = 30.0
"""A page that is loaded again finds what was read for it before."""

MOST_LISTENERS = 32
RETRY: Final = b"retry: 500\n\n"
STILL_HERE: Final = b": still here\n\n"

log = structlog.get_logger("dashboard")


class _Listener:
    """One connection. `patience`: the deadline of what is being sent to it."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.gone = False
        self.patience: asyncio.Timeout | None = None

    async def watch(self, receive: Receive) -> None:
        """Notice that the other side has gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self.wake.set()


class Feed:
    """Takes pictures by `take` and hands them to everybody; `forget` is called when nobody has listened for a while."""

    def __init__(self, take: Callable[[], Awaitable[bytes]], forget: Callable[[], None], clock: Clock) -> None:
        self._take = take
        self._forget = forget
        self._clock = clock
        self._listeners: set[_Listener] = set()
        self._pump: asyncio.Task[None] | None = None
        self._newest = b""
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def open(self) -> Response:
        """Return the stream, or a 503 if there are too many already or this instance is about to end."""
        if self._closed or len(self._listeners) >= MOST_LISTENERS:
            reason = "this instance is stopping" if self._closed else "too many dashboards are open"
            return JSONResponse({"error": reason}, 503, headers={"retry-after": "1", "cache-control": "no-store"})
        return _EventStream(self)

    def close(self) -> None:
        """End every stream at once: the server waits for them before it stops."""
        self._closed = True
        if self._pump is not None:
            self._pump.cancel()
        for listener in self._listeners:
            listener.wake.set()
            if listener.patience is not None:
                listener.patience.reschedule(asyncio.get_running_loop().time())

    async def serve(self, receive: Receive, send: Send) -> None:
        """Send what there is until the other side goes, takes nothing any more, or the feed is closed."""
        listener = _Listener()
        self._listeners.add(listener)
        watching = asyncio.create_task(listener.watch(receive), name="dashboard-watch")
        try:
            await self._send(listener, send, RETRY + self._newest)
            self._start()
            while not (listener.gone or self._closed):
                await listener.wake.wait()
                listener.wake.clear()  # before the newest is looked up: what comes while it is sent wakes again
                if not (listener.gone or self._closed):
                    await self._send(listener, send, self._newest)
            if not listener.gone:
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            log.info("a dashboard that took nothing any more was left alone")
        finally:
            self._listeners.discard(listener)
            watching.cancel()

    async def _send(self, listener: _Listener, send: Send, piece: bytes) -> None:
        try:
            async with asyncio.timeout(SENT_WITHIN_S) as listener.patience:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            listener.patience = None

    def _start(self) -> None:
        if self._pump is None and not self._closed:
            self._pump = asyncio.create_task(self._keep_taking(), name="dashboard")

    async def _keep_taking(self) -> None:
        idle_s = 0.0
        try:
            while idle_s < LINGER_S:
                due = self._clock.monotonic() + EVERY_S
                idle_s = 0.0 if self._listeners else idle_s + EVERY_S
                if self._listeners:
                    self._publish(await self._taken())
                else:
                    self._newest = b""
                await self._clock.sleep(due - self._clock.monotonic())
        finally:
            self._pump = None
            self._newest = b""
            self._forget()

    async def _taken(self) -> bytes:
        try:
            async with asyncio.timeout(TAKEN_WITHIN_S):
                return await self._take()
        except TimeoutError:
            return STILL_HERE
        except Exception:
            log.exception("no picture for the dashboard")
            return STILL_HERE

    def _publish(self, picture: bytes) -> None:
        self._newest = picture
        for listener in self._listeners:
            listener.wake.set()


class _EventStream(Response):
    """The answer to one listener."""

    media_type = "text/event-stream"

    def __init__(self, feed: Feed) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-content-type-options": "nosniff"})
        del self.headers["content-length"]
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._feed.serve(receive, send)
