"""What the proxy lets through, what it refuses, and how it gets rid of slow or oversized clients."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.acceptance.proxy_kit import connected, front, interaction, needs_nginx

pytestmark = needs_nginx

MEBIBYTE = 2**20


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
async def test_interactions_are_posted_only(tmp_path: Path, method: str) -> None:
    """Any other method gets 405 with Allow, and no instance hears of it."""
    async with front(tmp_path, 1) as running, connected(running.public_port) as client:
        answer = await client.ask(method, "/interactions")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert running.arrivals == []


@pytest.mark.parametrize(
    "target", ["/", "/interactions/", "/interactionsx", "/stats", "/metrics", "/dashboard", "/.env"]
)
async def test_nothing_else_is_public(tmp_path: Path, target: str) -> None:
    """Every other path is a short 404 on the public port, the operator's pages included, for any method."""
    async with front(tmp_path, 1) as running, connected(running.public_port) as client:
        for answer in [await client.ask("GET", target), await client.ask("POST", target, b"{}", Content_Length="2")]:
            assert (answer.status, answer.body) == (404, b'{"error":404}\n')
        assert running.arrivals == []


async def test_health_is_an_instances_health(tmp_path: Path) -> None:
    """GET and HEAD /health are answered by a living instance, on both ports; other methods are refused."""
    async with front(tmp_path) as running:
        for instance in running.instances[:3]:
            await instance.stop()
        for port in (running.public_port, running.ops_port):
            async with connected(port) as client:
                assert (await client.ask("GET", "/health")).body == b'{"instance":4}'
                head = await client.ask("HEAD", "/health")
                assert (head.status, head.instance, head.body) == (200, 4, b"")
                refused = await client.ask("POST", "/health", b"{}", Content_Length="2")
                assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
        assert {(arrival.method, arrival.target) for arrival in running.arrivals} == {("GET", "/health")}


async def test_the_operators_pages_are_on_the_ops_port(tmp_path: Path) -> None:
    """/stats, /metrics, /dashboard and what is below it come from an instance; interactions are not taken there."""
    targets = ["/stats", "/metrics", "/dashboard", "/dashboard/", "/dashboard/app.js?v=1"]
    async with front(tmp_path) as running, connected(running.ops_port) as client:
        for target in targets:
            assert (await client.ask("GET", target)).status == 200
        assert sorted(arrival.target for arrival in running.arrivals) == sorted(targets)
        assert (await client.ask("POST", "/stats")).status == 405
        for target in ("/interactions", "/", "/statsx", "/dashboards"):
            assert (await client.ask("GET", target)).status == 404
        for instance in running.instances:
            await instance.stop()
        assert (await client.ask("GET", "/stats")).status == 502


async def test_an_event_stream_is_passed_on_as_it_comes(tmp_path: Path) -> None:
    """The first event reaches the browser while the instance keeps the stream open."""
    async with front(tmp_path, 2) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ops_port)
        writer.write(b"GET /dashboard/events HTTP/1.1\r\nHost: bot\r\nAccept: text/event-stream\r\n\r\n")
        async with asyncio.timeout(3):
            assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(b"data: first\n\n")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_mebibyte_passes_and_more_is_413(tmp_path: Path, chunked: bool) -> None:
    """1 MiB is routed whole; one byte more is refused without an instance being asked, chunked or not."""
    frame = interaction(12345, data="")
    body = interaction(12345, data="x" * (MEBIBYTE - len(frame)))
    assert len(body) == MEBIBYTE
    async with front(tmp_path) as running:
        for data, status in [(body, 200), (body + b"\n", 413)]:
            async with connected(running.public_port) as client:
                if chunked:
                    raw = b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)
                    answer = await client.ask("POST", "/interactions", raw, Transfer_Encoding="chunked")
                else:
                    answer = await client.post(data)
            assert answer.status == status
        assert answer.body == b'{"error":413}\n'
        assert [(arrival.instance, arrival.body == body) for arrival in running.arrivals] == [(2, True)]


@pytest.mark.parametrize(
    "beginning",
    [
        b"POST /interactions HTTP/1.1\r\nHost: bot\r\nContent-Length: 100\r\n\r\n{",
        b"POST /interactions HTTP/1.1\r\nHost: bot\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"POST /interactions HTTP/1.1\r\nHost: b",
    ],
    ids=["body", "chunked body", "headers"],
)
async def test_a_client_that_falls_silent_is_cut_off(tmp_path: Path, beginning: bytes) -> None:
    """After the client timeout the connection ends; no instance has heard of the request."""
    async with front(tmp_path, 2, PROXY_CLIENT_TIMEOUT_S="1") as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.public_port)
        start = time.monotonic()
        writer.write(beginning)
        try:
            async with asyncio.timeout(5):
                said = await reader.read()
        except ConnectionResetError:
            said = b""
        assert 0.8 < time.monotonic() - start < 3
        assert said == b"" or said.startswith(b"HTTP/1.1 408 ")
        assert running.arrivals == []
        writer.close()


async def test_oversized_headers_are_refused(tmp_path: Path) -> None:
    """A header beyond 8 KiB is a 4xx at the proxy; answers tell neither nginx's version nor anything long."""
    async with front(tmp_path, 1) as running, connected(running.public_port) as client:
        answer = await client.ask("GET", "/health", X_Long="x" * 20_000)
        assert 400 <= answer.status < 500
        assert len(answer.body) < 50
        assert answer.headers["server"] == "nginx"
        assert running.arrivals == []


async def test_hostile_bodies_cost_little(tmp_path: Path) -> None:
    """Texts made to keep the routing script busy are passed on in well under a second, and nginx stays silent."""
    member = b',"member":{"user":{"id":"1"}}'
    bodies = [
        b"[" * MEBIBYTE,
        b'{"member":{' * 90_000,
        b"{" + b'"a":[{"member":{"a":0,' * 2900,
        b"{" + (member * 2200)[1:] + b',"x":',
        b'{"member":{"user":{"id":"1",' + b'"a":1,' * 10_000,
        b'{"member":{"a":"' + b"\\" * 65_000,
        b'{"a":0' + b',"member":{"a":{"a":{' * 3000,
        b'{"member":{"user":{"id":"5"}' + b',"a":[[0],[1]]' * 4500,
    ]
    async with front(tmp_path, NGINX_WORKERS="1") as running:
        for body in bodies:
            answer = await running.post(body)
            assert (answer.status, answer.seconds < 1) == (200, True), body[:40]
        assert running.error_log.read_text() == ""


async def test_connections_are_kept_on_both_sides(tmp_path: Path) -> None:
    """A hundred interactions on one connection reach the home over one connection."""
    async with front(tmp_path, NGINX_WORKERS="1") as running, connected(running.public_port) as client:
        for _ in range(100):
            assert (await client.post(interaction(12345))).instance == 2
        assert (len(running.arrivals), running.instances[1].connections) == (100, 1)
