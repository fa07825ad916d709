"""The short way of a POST /interactions through uvicorn, byte for byte, and everything else beside it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
import uvicorn

from app.discord.answers import Reply
from app.web.interactions import LARGEST_BODY, InteractionsEndpoint
from app.web.protocol import InteractionsProtocol
from tests.kit.waiting import wait_until

KEEP_ALIVE_S = 1
SIGNED = b"X-Signature-Ed25519: aa\r\nX-Signature-Timestamp: 1\r\n"


class Echo(InteractionsEndpoint):
    """Answers with the body it got; `hold` keeps answers back, `fail` breaks them."""

    def __init__(self) -> None:
        super().__init__(None, self._other, 3)  # type: ignore[arg-type]
        self.bodies: list[bytes] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.passed_on: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.fail = False

    def begin(self, body: bytes, headers: Iterable[tuple[bytes, bytes]], told: Callable[[Reply], None]) -> None:
        self.bodies.append(body)
        self.headers.append(dict(headers))
        if self.fail:
            raise RuntimeError("broken for the test")
        reply = Reply(200, b'{"got":%d}' % len(body), "echo")
        if self.hold.is_set():
            told(reply)
            return
        held = asyncio.ensure_future(self.hold.wait())
        held.add_done_callback(lambda _: told(reply))

    async def _other(self, scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.passed_on.append(f"{scope['method']} {scope['path']}")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Wire:
    """One connection, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 5)).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await asyncio.wait_for(self._reader.readexactly(int(headers.get("content-length", 0))), 5)
        return int(head[0].split()[1]), headers, body

    async def ended(self) -> bool:
        return await asyncio.wait_for(self._reader.read(), 5) == b""

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


class Service:
    """A real uvicorn on a free port."""

    def __init__(self, endpoint: Echo, server: uvicorn.Server, port: int) -> None:
        self.endpoint = endpoint
        self.server = server
        self._port = port

    async def wire(self) -> Wire:
        return Wire(*await asyncio.open_connection("127.0.0.1", self._port))


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    endpoint = Echo()
    config = uvicorn.Config(
        endpoint, http=InteractionsProtocol, lifespan="off", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        listening.listen()
        task = asyncio.create_task(server._serve([listening]))
        await wait_until(lambda: server.started, description="the server listens")
        yield Service(endpoint, server, port)
        endpoint.hold.set()
        server.should_exit = True
        await asyncio.wait_for(task, 10)


def post(body: bytes, *, more: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = b"POST /interactions HTTP/%s\r\nHost: a\r\n%s%sContent-Length: %d\r\n\r\n"
    return head % (version, SIGNED, more, len(body)) + body


async def test_the_answer_is_whole_and_names_its_instance(service: Service) -> None:
    """Status, type, length, instance and date arrive with the body; the connection stays."""
    wire = await service.wire()
    for n in range(3):
        await wire.send(post(b"x" * n))
        status, headers, body = await wire.answer()
        assert (status, body) == (200, b'{"got":%d}' % n)
        assert headers["content-type"] == "application/json" and headers["x-quartet-instance"] == "3"
        assert "date" in headers and "connection" not in headers
    assert service.endpoint.headers[0][b"x-signature-ed25519"] == b"aa"
    await wire.close()


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_the_body_is_the_bytes_that_came(service: Service, size: int) -> None:
    """However a request is cut into pieces, and also in chunked coding."""
    body = bytes(range(256)) * 9
    whole = post(body)
    wire = await service.wire()
    await wire.send(*(whole[at : at + size] for at in range(0, len(whole), size)))
    assert (await wire.answer())[0] == 200
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:700], body[700:]))
    head = b"POST /interactions HTTP/1.1\r\nHost: a\r\n%sTransfer-Encoding: chunked\r\n\r\n" % SIGNED
    await wire.send(head + chunks + b"0\r\n\r\n")
    assert (await wire.answer())[0] == 200
    assert service.endpoint.bodies == [body, body]
    await wire.close()


async def test_everything_else_takes_the_long_way(service: Service) -> None:
    """Other paths and methods reach the rest of the application, before and after a POST, on one connection."""
    wire = await service.wire()
    for _ in range(2):
        await wire.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await wire.answer())[0] == 204
        await wire.send(post(b"{}"))
        assert (await wire.answer())[0] == 200
        await wire.send(b"GET /interactions HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await wire.answer())[0] == 405
    assert service.endpoint.passed_on == ["GET /health"] * 2
    await wire.close()


async def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    """Who sends the next request before the answer gets all of them, one after the other."""
    service.endpoint.hold.clear()
    wire = await service.wire()
    health = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    await wire.send(post(b"1") + post(b"22") + health + post(b"333"))
    await wait_until(lambda: bool(service.endpoint.bodies), description="the first has arrived")
    service.endpoint.hold.set()
    answers = [await wire.answer() for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 200, 204, 200]
    assert [body for _, _, body in answers] == [b'{"got":1}', b'{"got":2}', b"", b'{"got":3}']
    await wire.close()


async def test_who_expects_to_be_told_to_go_on_is_told(service: Service) -> None:
    """`Expect: 100-continue` is answered before the body is sent."""
    wire = await service.wire()
    head, _, body = post(b"12345", more=b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    await wire.send(head + b"\r\n\r\n")
    assert (await wire.answer())[0] == 100
    await wire.send(body)
    assert (await wire.answer())[2] == b'{"got":5}'
    await wire.close()


@pytest.mark.parametrize("request_", [post(b"1", version=b"1.0"), post(b"1", more=b"Connection: close\r\n")])
async def test_who_wants_the_connection_closed_has_it_closed(service: Service, request_: bytes) -> None:
    wire = await service.wire()
    await wire.send(request_)
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await wire.ended()
    await wire.close()


async def test_a_body_that_is_too_large_is_refused_before_it_has_come(service: Service) -> None:
    """413 after a little more than the limit, and the connection ends."""
    wire = await service.wire()
    head = b"POST /interactions HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n" % (SIGNED, 50 * LARGEST_BODY)
    await wire.send(head + b"x" * (LARGEST_BODY + 1))
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert service.endpoint.bodies == []
    await wire.close()


async def test_who_goes_away_disturbs_nobody(service: Service) -> None:
    """In mid-body or while the answer is made: the server goes on, and an accepted interaction is worked on."""
    wire = await service.wire()
    await wire.send(post(b"x" * 100)[:-50])
    await wire.close()
    service.endpoint.hold.clear()
    gone = await service.wire()
    await gone.send(post(b"{}"))
    await wait_until(lambda: service.endpoint.bodies == [b"{}"], description="the request has arrived")
    await gone.close()
    service.endpoint.hold.set()
    wire = await service.wire()
    await wire.send(post(b"{}"))
    assert (await wire.answer())[0] == 200
    await wire.close()


async def test_a_broken_endpoint_is_answered_500(service: Service) -> None:
    """Nobody waits for an answer that does not come, and the connection is good for the next."""
    wire = await service.wire()
    service.endpoint.fail = True
    await wire.send(post(b"{}"))
    assert (await wire.answer())[0] == 500
    service.endpoint.fail = False
    await wire.send(post(b"{}"))
    assert (await wire.answer())[0] == 200
    await wire.close()


async def test_an_idle_connection_ends_and_a_busy_one_does_not(service: Service) -> None:
    """The time without a request counts, not the time of the connection, nor that of an answer in the making."""
    service.endpoint.hold.clear()
    busy, idle = await service.wire(), await service.wire()
    await busy.send(post(b"{}"))
    await idle.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await idle.answer())[0] == 204
    assert await idle.ended()
    service.endpoint.hold.set()
    assert (await busy.answer())[0] == 200
    await idle.close()
    await busy.close()


async def test_shutdown_waits_for_the_answer(service: Service) -> None:
    """A request under way when the server is told to end is answered, and its connection closed."""
    service.endpoint.hold.clear()
    wire = await service.wire()
    await wire.send(post(b"{}"))
    await wait_until(lambda: bool(service.endpoint.bodies), description="the request has arrived")
    service.server.should_exit = True
    await wait_until(
        lambda: not service.server.servers or not service.server.servers[0].is_serving(), description="it ends"
    )
    service.endpoint.hold.set()
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await wire.ended()
    await wire.close()
