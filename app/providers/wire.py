"""One bounded HTTP call to a provider: a total deadline, a byte limit, and only our own errors.

httpx2's timeouts are per socket operation, so a server that trickles one byte a second never meets them; the deadline
here covers everything from connecting to the last byte. Cancelling the task closes the connection at once.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from app.clock import Clock
from app.errors import (
    ProviderBadAnswer,
    ProviderBadInput,
    ProviderError,
    ProviderKeyRejected,
    ProviderNotReached,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.providers.base import RateHints, RateListener
from app.providers.hints import rate_hints, retry_after
from app.redaction import excerpt

ERROR_BODY_BYTES = 64 * 1024
_LONGEST_CONNECT_S = 5.0
_BIG_JSON_BYTES = 256 * 1024
_HEAD_BYTES = 4096
_KEY = re.compile(r"[\x21-\x7e]+")
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; the body of an error status is cut at `ERROR_BODY_BYTES`."""

    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def head(self) -> str:
        """The body's beginning as text, for a message; bytes that are no UTF-8 become replacement characters."""
        return self.body[:_HEAD_BYTES].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Wire:
    """How one provider with one key talks HTTP: what every call of it has in common."""

    provider: str
    api_key: str = field(repr=False)
    base_url: str
    http_client: httpx2.AsyncClient
    clock: Clock
    on_rate: RateListener | None = None

    def request(self, method: str, path: str, timeout_s: float, **content: Any) -> httpx2.Request:
        """Build a request to the provider's API with this key; `content` goes to httpx2 (`json`, `files`, `params`)."""
        self.check_key()
        headers = {"authorization": f"Bearer {self.api_key}", **content.pop("headers", {})}
        url = f"{self.base_url.rstrip('/')}/{path.lstrip('/')}"
        with self.own_errors():
            return self.http_client.build_request(method, url, headers=headers, timeout=timeouts(timeout_s), **content)

    def check_key(self) -> None:
        """Raise `ProviderKeyRejected` for a key that no HTTP header can carry, such as one with a line break."""
        if not _KEY.fullmatch(self.api_key):
            raise self.error(ProviderKeyRejected, "the key is empty or holds characters no HTTP header can carry")

    async def call(self, request: httpx2.Request, *, timeout_s: float, max_bytes: int) -> Answer:
        """Send `request` and return the whole answer, whatever its status; redirects are not followed."""
        async with self.deadline(timeout_s), self.open(request) as response:
            self.tell_rate(response.headers)
            if response.is_success:
                body = await read_at_most(response, max_bytes)
                if body is None:
                    raise self.error(ProviderBadAnswer, f"the answer is larger than {max_bytes} bytes")
            else:
                body = await read_head(response, ERROR_BODY_BYTES)
            return Answer(response.status_code, response.headers, body)

    @asynccontextmanager
    async def deadline(self, timeout_s: float) -> AsyncIterator[None]:
        """Bound what runs inside by `timeout_s` seconds in all; turn what goes wrong into our own errors."""
        with self.own_errors(timeout_s):
            async with asyncio.timeout(timeout_s):
                yield

    @asynccontextmanager
    async def open(self, request: httpx2.Request) -> AsyncIterator[httpx2.Response]:
        """Send `request` and yield the response with its body unread; it is closed at the end, come what may."""
        response = await self.http_client.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            yield response
        finally:
            await response.aclose()

    @contextmanager
    def own_errors(self, timeout_s: float = 0.0) -> Iterator[None]:
        """Turn timeouts and httpx2's errors into ours, without the chain: its requests hold the key."""
        try:
            yield
        except TimeoutError:
            raise self.error(ProviderTimeout, f"no complete answer within {timeout_s:g} s") from None
        except _NEVER_SENT as error:
            raise self.error(ProviderNotReached, f"no connection: {type(error).__name__}") from None
        except httpx2.TimeoutException as error:
            raise self.error(ProviderTimeout, f"no complete answer: {type(error).__name__}") from None
        except httpx2.DecodingError as error:
            raise self.error(ProviderBadAnswer, f"the answer can't be decompressed: {error}") from None
        except httpx2.RequestError as error:
            raise self.error(ProviderUnavailable, f"connection failed: {type(error).__name__}: {error}") from None
        except (httpx2.InvalidURL, UnicodeError) as error:
            # An address with characters no URL can carry; the error's text would quote it.
            raise self.error(ProviderBadInput, f"the request can't be built: {type(error).__name__}") from None

    def tell_rate(self, headers: httpx2.Headers) -> None:
        """Report what an answer's rate-limit headers say of this key, if they say anything."""
        hints = rate_hints(headers)
        if self.on_rate is not None and hints != RateHints():
            self.on_rate(hints)

    def error(
        self, kind: type[ProviderError], said: str, answer: Answer | None = None, *, wait_s: float | None = None
    ) -> ProviderError:
        """Make an error of `kind` whose message is redacted; `answer` tells how long to wait, else `wait_s` does."""
        if answer is not None:
            waiting = retry_after(answer.headers, said, now=self.clock.now())
            wait_s = wait_s if waiting is None else waiting
            said = f"HTTP {answer.status}: {said}"
        message = f"{self.provider}: {excerpt(said, [self.api_key])}"
        return kind(message, provider=self.provider, retry_after=wait_s)

    async def json(self, answer: Answer, *, wait_s: float | None = None) -> dict[str, Any]:
        """Return the body as a JSON object; anything else raises `ProviderBadAnswer` or what the status says.

        `wait_s` is how long a 429 without any hint means.
        """
        try:
            # A picture in base64 takes long enough to parse to be felt by the other users of this event loop.
            big = len(answer.body) > _BIG_JSON_BYTES
            value = await asyncio.to_thread(json.loads, answer.body) if big else json.loads(answer.body)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value
        kind = kind_of_status(answer.status)
        wait_s = wait_s if kind is ProviderRateLimited else None
        raise self.error(kind, f"the answer is no JSON object: {answer.head}", answer, wait_s=wait_s)


def timeouts(timeout_s: float) -> httpx2.Timeout:
    """Return socket timeouts that only catch a dead peer early; the total deadline is kept by `asyncio.timeout`."""
    return httpx2.Timeout(timeout_s, connect=min(_LONGEST_CONNECT_S, timeout_s))


def kind_of_status(status: int) -> type[ProviderError]:
    """Return the error a bare HTTP status stands for, where the body says nothing better."""
    kinds: dict[int, type[ProviderError]] = {
        401: ProviderKeyRejected,
        402: ProviderQuotaExhausted,
        403: ProviderKeyRejected,
        408: ProviderTimeout,
        409: ProviderUnavailable,
        425: ProviderUnavailable,
        429: ProviderRateLimited,
    }
    if status in kinds:
        return kinds[status]
    if status >= 500:
        return ProviderUnavailable
    return ProviderBadInput if 400 <= status < 500 else ProviderBadAnswer


async def read_at_most(response: httpx2.Response, max_bytes: int) -> bytes | None:
    """Return the whole decoded body, or None as soon as it is known to be larger than `max_bytes`."""
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        return None
    body = bytearray()
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > max_bytes:
                return None
    return bytes(body)


async def read_head(response: httpx2.Response, max_bytes: int) -> bytes:
    """Return the first `max_bytes` of the decoded body; the rest is never read."""
    body = bytearray()
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) >= max_bytes:
                break
    return bytes(body[:max_bytes])


def encodable(text: str) -> str:
    """Return `text` with lone surrogates replaced: Discord's JSON may hold them, and no request body can."""
    return text.encode("utf-8", "replace").decode("utf-8")
