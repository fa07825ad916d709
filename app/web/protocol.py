"""uvicorn's HTTP protocol, with a short way for the one request that comes all the time.

A `POST /interactions` needs none of what ASGI offers: no scope, no streamed body, no streamed answer. Its raw body and
two headers go to the endpoint as soon as the body is whole, and the answer leaves in one write. Everything else takes
uvicorn's own way, on the same connection: other paths and methods, requests that expect `100 Continue` or come before
the last one was answered, and HTTP/1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.discord.answers import DEFERRED, Reply
from app.web.interactions import BROKEN, LARGEST_BODY, PATH, TOO_LARGE, InteractionsEndpoint

_URL = PATH.encode()

log = structlog.get_logger("web")


class _Whole:
    """Stands where uvicorn's protocol expects an event of the request: nobody waits for it."""

    def set(self) -> None:
        """Do nothing."""


_WHOLE = _Whole()


class DirectCycle:
    """One request on the short way, as uvicorn's protocol looks at its requests."""

    __slots__ = ("body", "disconnected", "keep_alive", "response_complete")

    message_event = _WHOLE

    def __init__(self, keep_alive: bool) -> None:
        self.body = b""
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False


class Answers:
    """Whole answers, head and body, for one connection. The one given all the time is put together once a second only:
    that often uvicorn makes a new list of its headers, with the date in it."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._deferred = b""
        self._made_of: object = None

    def whole(self, reply: Reply, common: Sequence[tuple[bytes, bytes]], *more: bytes) -> bytes:
        """Return what goes over the wire; `common` are uvicorn's headers, `more` are lines of the head."""
        if reply is not DEFERRED or more:
            return self._put_together(reply, common, more)
        if self._made_of is not common:
            self._deferred = self._put_together(reply, common, ())
            self._made_of = common
        return self._deferred

    def _put_together(self, reply: Reply, common: Sequence[tuple[bytes, bytes]], more: Sequence[bytes]) -> bytes:
        head = b"".join([STATUS_LINE[reply.status], *(b"%s: %s\r\n" % header for header in common), self._head, *more])
        return b"%scontent-length: %d\r\n\r\n%s" % (head, len(reply.body), reply.body)


class InteractionsProtocol(HttpToolsProtocol):
    """One connection. Give it to `uvicorn.Config(http=...)`; `config.app` is the `InteractionsEndpoint`."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        app = self.config.loaded_app
        self._endpoint = app if isinstance(app, InteractionsEndpoint) else None
        self._answers = Answers(b"" if self._endpoint is None else self._endpoint.head)
        self._direct: DirectCycle | None = None
        self._used_at = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def _unset_keepalive_if_required(self) -> None:
        """Leave the timer alone: it looks for itself."""

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        left = self._used_at + self.timeout_keep_alive - self.loop.time()
        busy = self.cycle is not None and not self.cycle.response_complete
        if left > 0 or busy:
            self._look_later(max(left, 1.0))
        else:
            super().timeout_keep_alive_handler()

    def _look_later(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._used_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_later(self.timeout_keep_alive)

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._direct = None

    def on_headers_complete(self) -> None:
        if self.url == _URL and self._may_be_direct():
            self.cycle = self._direct = DirectCycle(self.parser.should_keep_alive())  # type: ignore[assignment]
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()

    def _may_be_direct(self) -> bool:
        parser = self.parser
        return (
            self._endpoint is not None
            and (self.cycle is None or self.cycle.response_complete)
            and parser.get_method() == b"POST"
            and not self.expect_100_continue
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
        )

    def on_body(self, body: bytes) -> None:
        cycle = self._direct
        if cycle is None:
            super().on_body(body)
        elif not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > LARGEST_BODY:
                cycle.keep_alive = False  # what is still to come of it is not worth reading
                self._write(cycle, TOO_LARGE)

    def on_message_complete(self) -> None:
        cycle = self._direct
        if cycle is None:
            super().on_message_complete()
        elif not cycle.response_complete:
            assert self._endpoint is not None
            try:
                self._endpoint.begin(cycle.body, self.headers, partial(self._write, cycle))
            except Exception:
                log.exception("an interaction broke the endpoint")
                self._write(cycle, BROKEN)

    def _write(self, cycle: DirectCycle, reply: Reply) -> None:
        """Send the whole answer in one piece; without a reader nobody misses it."""
        if cycle.response_complete:
            return
        cycle.response_complete = True
        if cycle.disconnected or self.transport.is_closing():
            return
        common = self.server_state.default_headers
        if cycle.keep_alive:
            self.transport.write(self._answers.whole(reply, common))
        else:
            self.transport.write(self._answers.whole(reply, common, b"connection: close\r\n"))
            self.transport.close()
        self.on_response_complete()
