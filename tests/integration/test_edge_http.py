"""The way in over real HTTP: one instance on a socket, hostile and well-meaning clients beside each other."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.settings import InstanceSettings
from app.web.interactions import LARGEST_BODY
from tests.kit.running import RunningInstance, running
from tests.kit.waiting import wait_until
from tests.unit.edge.kit import KEY, signed, use

NOWHERE = "http://127.0.0.1:9"
SEED = 20_261_122
JSON = {"content-type": "application/json"}


def settings(data_dir: Path, **fields: Any) -> InstanceSettings:
    """Return settings of an instance that accepts everything and runs nothing."""
    urls = ("discord_api_url", "openai_base_url", "stability_base_url", "minimax_base_url")
    keys = ("openai_api_key", "stability_api_key", "minimax_api_key")
    values: dict[str, Any] = {
        "discord_application_id": "1200000000000000001",
        "discord_public_key": KEY.verify_key.encode().hex(),
        "data_dir": data_dir,
        "instance_id": 1,
        "instance_count": 1,
        "max_concurrent_jobs": 0,
        **dict.fromkeys(urls, NOWHERE),
        **dict.fromkeys(keys, "sk-test"),
    }
    return InstanceSettings(**values | fields)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[RunningInstance]:
    """A started instance."""
    async with running(settings(tmp_path)) as instance:
        yield instance


@pytest.fixture
async def client(one: RunningInstance) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of it."""
    limits = httpx2.Limits(max_connections=40)
    async with httpx2.AsyncClient(base_url=one.url, timeout=20, limits=limits) as made:
        yield made


def good_headers(body: bytes, at: float | None = None) -> dict[str, str]:
    """Return the headers Discord sends with a body."""
    signature, timestamp = signed(body, time.time() if at is None else at)
    return {"x-signature-ed25519": signature.decode(), "x-signature-timestamp": timestamp.decode(), **JSON}


def question(number: int) -> bytes:
    """Return a chat interaction of its own id."""
    return json.dumps(use("채팅", {"질문": f"왜? {number}"}, id=str(number))).encode()


async def waiting(one: RunningInstance) -> int:
    """Return how many open jobs the store holds: after a while one may be leased, to tell its user their place."""
    counts = await one.instance.store.counts()
    return counts.total_waiting + sum(counts.running.values())


def hostile(rng: random.Random, large: bytes) -> tuple[str, bytes, dict[str, str], set[int]]:
    """Return a kind of hostile request: its name, body, headers and the statuses that are right."""
    body = question(rng.randrange(10**6, 10**9))
    good = good_headers(body)
    signature = good["x-signature-ed25519"]
    deep = b"[" * 100_000
    return rng.choice(
        [
            ("none", body, JSON, {401}),
            ("odd", body, good | {"x-signature-ed25519": signature[:-1]}, {401}),
            ("short", body, good | {"x-signature-ed25519": signature[:64]}, {401}),
            ("long", body, good | {"x-signature-ed25519": signature * 2}, {401}),
            ("random", body, good | {"x-signature-ed25519": rng.randbytes(64).hex()}, {401}),
            ("not hexadecimal", body, good | {"x-signature-ed25519": "xyz" * 42 + "00"}, {401}),
            ("altered", body.replace(b"\\uc65c", b"\\uc65d"), good, {401}),
            ("stale", body, good_headers(body, time.time() - 301), {401}),
            ("future", body, good_headers(body, time.time() + 330), {401}),
            ("timestamp", body, good | {"x-signature-timestamp": "1e9"}, {401}),
            ("not UTF-8", b"\xff" + body, good_headers(b"\xff" + body), {400}),
            ("deep", deep, good_headers(deep), {400}),
            ("no interaction", b"[]", good_headers(b"[]"), {400}),
            ("large", large, good_headers(b""), {413}),
        ]
    )


async def test_hostile_requests_beside_valid_ones(one: RunningInstance, client: httpx2.AsyncClient) -> None:
    """Fault 13 in small. Of 1,000 hostile requests each gets the 401, 400 or 413 that fits, none a 5xx. The 60 valid
    ones between them, and a replay of each, are deferred within Discord's three seconds and make 60 jobs. Memory is
    bounded.
    """
    rng = random.Random(SEED)
    large = b"x" * (2 * LARGEST_BODY)
    statuses: dict[str, set[int]] = {}
    wrong: list[str] = []
    slowest = 0.0
    gate = asyncio.Semaphore(32)

    async def attack() -> None:
        async with gate:
            name, body, headers, right = hostile(rng, large)
            status = (await client.post("/interactions", content=body, headers=headers)).status_code
        statuses.setdefault(name, set()).add(status)
        if status not in right:
            wrong.append(f"{name}: {status}")

    async def use_it(number: int) -> None:
        nonlocal slowest
        body = question(number)
        for _ in range(2):
            async with gate:
                started = time.monotonic()
                answer = await client.post("/interactions", content=body, headers=good_headers(body))
                slowest = max(slowest, time.monotonic() - started)
            if answer.content != b'{"type":5}':
                wrong.append(f"valid: {answer.status_code} {answer.text}")

    await asyncio.gather(*(attack() for _ in range(100)))
    gc.collect()
    before = resident()
    tasks = [*(attack() for _ in range(900)), *(use_it(number) for number in range(1, 61))]
    rng.shuffle(tasks)
    await asyncio.gather(*tasks)
    gc.collect()
    assert wrong == [], f"seed {SEED}"
    assert len(statuses) == 14
    assert slowest < 3
    assert await waiting(one) == 60
    assert resident() - before < 20 * 1024 * 1024
    assert (await client.get("/health")).status_code == 200


def resident() -> int:
    """Return this process's resident memory in bytes, 0 where the system doesn't tell."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 if status.exists() else 0


@pytest.mark.parametrize("size", [LARGEST_BODY, LARGEST_BODY + 1])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_limit_of_a_body(one: RunningInstance, client: httpx2.AsyncClient, size: int, chunked: bool) -> None:
    """Exactly one mebibyte is taken, a byte more is 413, with a length and in chunks; the next request is fine."""
    body = question(5)
    body = body[:-1] + b', "padding": "' + b"x" * (size - len(body) - len(', "padding": ""')) + b'"}'
    assert len(body) == size

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, size, 50_000):
            yield body[start : start + 50_000]

    answer = await client.post("/interactions", content=parts() if chunked else body, headers=good_headers(body))
    assert answer.status_code == (200 if size == LARGEST_BODY else 413)
    assert await waiting(one) == (1 if size == LARGEST_BODY else 0)
    ping = b'{"type":1}'
    pong = await client.post("/interactions", content=ping, headers=good_headers(ping))
    assert (pong.status_code, pong.content, pong.headers["content-type"]) == (200, ping, "application/json")


async def test_two_headers_of_one_name(client: httpx2.AsyncClient) -> None:
    """401, whichever comes first."""
    body = b'{"type":1}'
    good = list(good_headers(body).items())
    for name in ("x-signature-ed25519", "x-signature-timestamp"):
        for headers in ([*good, (name, "0" * 128)], [(name, "0" * 128), *good], [*good, (name, dict(good)[name])]):
            assert (await client.post("/interactions", content=body, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/interactions", 405), ("HEAD", "/interactions", 405), ("DELETE", "/interactions", 405),
        ("OPTIONS", "/interactions", 405), ("POST", "/interactions/", 404), ("GET", "/", 404), ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404), ("POST", "/health", 405), ("GET", "/health", 200), ("HEAD", "/health", 200),
        ("GET", "/stats", 200), ("GET", "/metrics", 200), ("GET", "/dashboard", 200),
        ("HEAD", "/stats", 200), ("HEAD", "/metrics", 200), ("HEAD", "/dashboard", 200), ("POST", "/dashboard", 405),
        ("GET", "/dashboard/main.js", 200), ("HEAD", "/dashboard/events", 200), ("GET", "/dashboard/page.html", 404),
    ],
)  # fmt: skip
async def test_what_there_is(client: httpx2.AsyncClient, method: str, path: str, status: int) -> None:
    """Each page by its method, nothing else; a HEAD has no body."""
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert (answer.content == b"") is (method == "HEAD")


@pytest.mark.parametrize("sent", ["headers", "half", "a chunk"])
async def test_a_client_that_goes_away(one: RunningInstance, client: httpx2.AsyncClient, sent: str) -> None:
    """In the middle of its request: nothing is recorded, and others are served as before."""
    body = question(6)
    framing = "transfer-encoding: chunked" if sent == "a chunk" else f"content-length: {len(body)}"
    lines = [f"{name}: {value}" for name, value in good_headers(body).items()]
    head = "\r\n".join(["POST /interactions HTTP/1.1", "host: x", framing, *lines, "", ""]).encode()
    part = {"headers": b"", "half": body[:50], "a chunk": b"32\r\n" + body[:50] + b"\r\n"}[sent]
    host, port = one.url.removeprefix("http://").split(":")
    for _ in range(5):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(head + part)
        await writer.drain()
        writer.transport.abort()
    answer = await client.post("/interactions", content=question(7), headers=good_headers(question(7)))
    assert answer.content == b'{"type":5}'
    await wait_until(lambda: _jobs_are(one, 1), 5, "one job is recorded")


async def _jobs_are(one: RunningInstance, count: int) -> bool:
    return await waiting(one) == count
