"""`POST /interactions` as an ASGI application: limits, methods, headers, and clients that go away."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from app.web.interactions import LARGEST_BODY, InteractionsEndpoint
from tests.unit.edge.kit import Bench, signed, use

Message = dict[str, Any]
Headers = list[tuple[bytes, bytes]]


class Client:
    """Calls the endpoint as a server does, and keeps what it sends."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.passed_on: list[str] = []
        self.sent: list[Message] = []
        self.received = 0
        self._endpoint = InteractionsEndpoint(self.bench.edge, self._rest, 3)

    async def _rest(self, scope: Any, receive: Any, send: Any) -> None:
        self.passed_on.append(scope.get("path", scope["type"]))

    async def call(
        self, messages: Iterable[Message], headers: Headers, *, method: str = "POST", path: str = "/interactions"
    ) -> int | None:
        """Return the status that was sent, None if nothing was."""
        self.sent, self.received, incoming = [], 0, iter(messages)

        async def receive() -> Message:
            self.received += 1
            return next(incoming)

        async def send(message: Any) -> None:
            self.sent.append(dict(message))

        scope = {"type": "http", "path": path, "method": method, "headers": headers}
        await self._endpoint(scope, receive, send)
        return int(self.sent[0]["status"]) if self.sent else None

    async def post(self, body: bytes, *, chunk: int = 0, headers: Headers | None = None) -> int | None:
        """Send a signed body, in chunks of a size if given."""
        return await self.call(chunks(body, chunk or len(body) or 1), self.signed(body) if headers is None else headers)

    def signed(self, body: bytes) -> Headers:
        """Return the two headers of a body."""
        signature, timestamp = signed(body, self.bench.clock.now())
        return [(b"x-signature-ed25519", signature), (b"x-signature-timestamp", timestamp)]

    @property
    def header(self) -> dict[bytes, bytes]:
        """The headers that were sent."""
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        """The body that was sent."""
        return bytes(self.sent[1]["body"])


def chunks(body: bytes, size: int) -> Sequence[Message]:
    """Return a body as a server hands it in."""
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    return [
        {"type": "http.request", "body": part, "more_body": n < len(parts)} for n, part in enumerate(parts, start=1)
    ]


def padded(size: int) -> bytes:
    """Return a question's interaction of exactly `size` bytes."""
    body = json.dumps(use("채팅", {"질문": "왜?"}, padding="")).encode()
    return body.replace(b'"padding": ""', b'"padding": "' + b"x" * (size - len(body)) + b'"')


@pytest.fixture
def client() -> Client:
    """A client of a fresh endpoint."""
    return Client()


@pytest.mark.parametrize("chunk", [0, 65_536, 1_000_003])
async def test_a_mebibyte_is_taken_and_a_byte_more_is_not(client: Client, chunk: int) -> None:
    """The limit is exact, in one piece as in chunks, and what is too large is never looked at."""
    assert len(padded(LARGEST_BODY)) == LARGEST_BODY == 1024 * 1024
    assert await client.post(padded(LARGEST_BODY), chunk=chunk) == 200
    assert json.loads(client.body) == {"type": 5} and len(client.bench.store.jobs) == 1
    client.bench.store.jobs.clear()
    assert await client.post(padded(LARGEST_BODY + 1), chunk=chunk) == 413
    assert client.bench.store.jobs == {}


async def test_an_endless_body_is_not_read_to_its_end(client: Client) -> None:
    """413 as soon as the limit is passed: memory stays bounded."""
    endless = ({"type": "http.request", "body": b"x" * 65_536, "more_body": True} for _ in range(10**9))
    assert await client.call(endless, []) == 413
    assert client.received == LARGEST_BODY // 65_536 + 1


@pytest.mark.parametrize("chunk", [1, 7, 100])
async def test_chunks_are_put_together(client: Client, chunk: int) -> None:
    """However the body is cut, also inside a character, the signature fits."""
    body = json.dumps(use("채팅", {"질문": "왜?"}), ensure_ascii=False).encode()
    assert await client.post(body, chunk=chunk) == 200
    assert client.bench.store.jobs["1300000000000000001"].payload == body


async def test_an_answer_says_what_it_is(client: Client) -> None:
    """JSON, with the exact length, and who answered."""
    assert await client.post(b'{"type":1}') == 200
    assert client.header == {
        b"content-type": b"application/json", b"content-length": b"10", b"x-quartet-instance": b"3"
    }  # fmt: skip
    assert client.body == b'{"type":1}'


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post", "X"])
async def test_only_post(client: Client, method: str) -> None:
    """405, which says what is allowed, without reading anything."""
    assert await client.call([], client.signed(b""), method=method) == 405
    assert client.header[b"allow"] == b"POST" and client.received == 0


@pytest.mark.parametrize("double", [b"x-signature-ed25519", b"x-signature-timestamp"])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("same", [True, False])
async def test_a_header_that_is_there_twice_is_not_believed(
    client: Client, double: bytes, order: int, same: bool
) -> None:
    """401, whichever of the two is the good one, and even if both are."""
    body = b'{"type":1}'
    good = client.signed(body)
    other = dict(good)[double] if same else b"0" * 128
    assert await client.post(body, headers=[*good, (double, other)][::order]) == 401


@pytest.mark.parametrize("missing", [0, 1])
async def test_a_header_that_is_missing(client: Client, missing: int) -> None:
    """401, without a word on which."""
    headers = client.signed(b'{"type":1}')
    del headers[missing]
    assert await client.post(b'{"type":1}', headers=headers) == 401
    assert client.body == b'{"error":"unauthorized"}'


@pytest.mark.parametrize("parts", [0, 1, 5])
async def test_a_client_that_goes_away_while_sending(client: Client, parts: int) -> None:
    """Nothing is answered, nothing is recorded, nothing is raised."""
    body = json.dumps(use("채팅", {"질문": "왜?"})).encode()
    messages = [*[{**part, "more_body": True} for part in chunks(body, 60)[:parts]], {"type": "http.disconnect"}]
    assert await client.call(messages, client.signed(body)) is None
    assert client.bench.store.jobs == {}


@pytest.mark.parametrize(
    "path", ["/", "/interactions/", "/Interactions", "/health", "/interactions/x", "//interactions"]
)
async def test_other_paths_are_left_to_others(client: Client, path: str) -> None:
    """Exactly one path is ours."""
    assert await client.call([], [], path=path) is None
    assert client.passed_on == [path]
