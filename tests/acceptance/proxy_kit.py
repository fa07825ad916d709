"""The real nginx in front of small stand-ins for instances, and a client that can send anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

PROXY_DIR = Path(__file__).resolve().parents[2] / "proxy"
NGINX = os.environ.get("NGINX_BINARY") or shutil.which("nginx") or "/usr/sbin/nginx"
MODULE = os.environ.get("NGINX_MODULE", "/usr/lib/nginx/modules/ngx_http_js_module.so")
MISSING = "" if Path(NGINX).exists() and Path(MODULE).exists() else "nginx with its njs module is not installed"

needs_nginx = [pytest.mark.nginx, pytest.mark.skipif(bool(MISSING), reason=MISSING)]
Mode = Literal["answering", "draining", "frozen", "refusing"]


def compact(body: object) -> bytes:
    """JSON without spaces, text as UTF-8: Discord's way of writing it."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def interaction(user_id: str | int, **more: object) -> bytes:
    """A guild interaction as Discord writes it: compact, keys in alphabetical order; `more` are top-level keys."""
    user = {"avatar": None, "id": str(user_id), "primary_guild": {"tag": "ABC"}, "username": 'a}"b'}
    member = {"deaf": False, "nick": None, "roles": ["1", "2"], "user": user}
    body: dict[str, object] = {"channel_id": "7", "id": "9", "member": member, "type": 2, "version": 1, **more}
    return compact(dict(sorted(body.items())))


@dataclass(frozen=True)
class Arrival:
    """One request as an instance saw it; header names are in lower case."""

    instance: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One response as the client saw it; `seconds` counts from the request's first byte."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def instance(self) -> int:
        """Which stand-in answered."""
        return int(self.headers["x-instance"])


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """The first line and the headers of an HTTP message."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return first, {name.lower(): value.strip() for name, value in pairs}


@dataclass
class StandIn:
    """Stands in for an instance: records what arrives, behaves as its `mode` says and answers after `delay` s."""

    id: int
    mode: Mode = "answering"
    status: int = 200
    delay: float = 0.0
    port: int = 0
    connections: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=2**21, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        self.mode = "answering"

    async def stop(self) -> None:
        """Die: from now on connections are refused, open ones are closed."""
        self.mode = "refusing"
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                await self._serve_one(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._connections.discard(task)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, headers = await read_head(reader)
        method, target, _ = first.split(" ")
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.arrivals.append(Arrival(self.id, method, target, headers, body))
        if self.mode == "frozen":
            await asyncio.Event().wait()
        await asyncio.sleep(self.delay)
        if target.startswith("/dashboard/events"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n")
            await writer.drain()
            await asyncio.Event().wait()
        status = 503 if self.mode == "draining" else self.status
        answer = b'{"instance":%d}' % self.id
        writer.write(
            b"HTTP/1.1 %d Status\r\nContent-Type: application/json\r\nX-Instance: %d\r\nContent-Length: %d\r\n\r\n%s"
            % (status, self.id, len(answer), answer)
        )
        await writer.drain()


@dataclass
class Client:
    """One keep-alive connection to nginx."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, raw: bytes) -> Answer:
        """Send these very bytes and read one response."""
        start = time.monotonic()
        self.writer.write(raw)
        await self.writer.drain()
        first, headers = await read_head(self.reader)
        length = 0 if raw.startswith(b"HEAD ") else int(headers.get("content-length", "0"))
        body = await self.reader.readexactly(length)
        return Answer(int(first.split(" ")[1]), headers, body, time.monotonic() - start)

    async def post(self, body: bytes, **headers: str) -> Answer:
        """POST /interactions."""
        return await self.ask("POST", "/interactions", body, Content_Length=str(len(body)), **headers)

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """Any request; underscores in the names of headers stand for hyphens."""
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        return await self.send(f"{method} {target} HTTP/1.1\r\nHost: bot\r\n{extra}\r\n".encode() + body)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """A connection to a loopback port, closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@dataclass
class Front:
    """A running nginx and the stand-ins behind it."""

    instances: list[StandIn]
    public_port: int
    ops_port: int
    error_log: Path

    @property
    def arrivals(self) -> list[Arrival]:
        """Everything that arrived at any instance, instance by instance."""
        return [arrival for instance in self.instances for arrival in instance.arrivals]

    async def post(self, body: bytes, **headers: str) -> Answer:
        """POST /interactions over a new connection."""
        async with connected(self.public_port) as client:
            return await client.post(body, **headers)


def environment(addresses: list[str], directory: Path, public_port: int, ops_port: int) -> dict[str, str]:
    """What render.sh needs."""
    return {
        "PATH": os.environ["PATH"],
        "INSTANCE_COUNT": str(len(addresses)),
        "INSTANCE_ADDRESSES": ",".join(addresses),
        "PUBLIC_LISTEN": f"127.0.0.1:{public_port}",
        "OPS_LISTEN": f"127.0.0.1:{ops_port}",
        "NGINX_RUN_DIR": str(directory / "run"),
        "NGINX_MODULE": MODULE,
        "NGINX_WORKERS": "2",
    }


def render(env: dict[str, str], out: Path) -> subprocess.CompletedProcess[str]:
    """Run render.sh with nothing but `env` in its environment."""
    command = ["/bin/sh", str(PROXY_DIR / "render.sh"), str(out)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=10, check=False)


def free_port() -> int:
    """A loopback port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def wait_until(predicate: Callable[[], bool], timeout: float, description: str) -> None:
    """Return as soon as `predicate()` is true; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout} s: {description}"
        await asyncio.sleep(0.01)


def is_listening(port: int) -> bool:
    """Whether a connection to the loopback port is accepted."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.asynccontextmanager
async def nginx(addresses: list[str], directory: Path, **more: str) -> AsyncIterator[tuple[int, int]]:
    """A running nginx in front of `addresses`: its public and its ops port. `more` goes to render.sh."""
    ports = free_port(), free_port()
    rendered = render(environment(addresses, directory, *ports) | more, directory / "conf")
    assert rendered.returncode == 0, rendered.stderr
    conf = directory / "conf/nginx.conf"
    with (directory / "error.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(NGINX, "-p", f"{directory}/", "-c", str(conf), "-e", "stderr", "-g", "daemon off;"), stderr=log
        )
        try:
            await wait_until(
                lambda: process.returncode is not None or all(map(is_listening, ports)), 10, "nginx listens"
            )
            assert process.returncode is None, (directory / "error.log").read_text()
            yield ports
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


@contextlib.asynccontextmanager
async def front(
    directory: Path, count: int = 4, holes: dict[int, int] | None = None, **more: str
) -> AsyncIterator[Front]:
    """nginx before `count` stand-ins. `holes` puts other ports in the places of instances; `more` goes to render.sh."""
    instances = [StandIn(number) for number in range(1, count + 1)]
    for instance in instances:
        await instance.start()
    addresses = [f"127.0.0.1:{(holes or {}).get(instance.id, instance.port)}" for instance in instances]
    try:
        async with nginx(addresses, directory, **more) as (public_port, ops_port):
            yield Front(instances, public_port, ops_port, directory / "error.log")
    finally:
        for instance in instances:
            await instance.stop()


@contextlib.contextmanager
def black_hole(host: str = "127.0.0.1") -> Iterator[int]:
    """A port where connecting gets no answer at all: its queue is full, so the kernel drops what comes."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((host, 0))
        server.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()[1]
