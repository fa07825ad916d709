"""Runs a simulator on a real socket: for tests inside their event loop, or as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import uvicorn

from simulator.app import SimulatorApp, create_app
from simulator.config import SimulatorConfig
from simulator.discord_client import DiscordClient
from simulator.ledger import Ledger

DISCORD_PATH = "/discord/api/v10"


class ProcessServer(uvicorn.Server):
    """A server that says when it listens, and whose end does not wait for calls that hang on purpose."""

    def __init__(self, config: uvicorn.Config, app: SimulatorApp) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._simulator = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        seconds_tenths = 0
        while not await self.on_tick(seconds_tenths % 10):
            seconds_tenths += 1
            await self._simulator.world.sleep(0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._simulator.world.closing.set()
        await super().shutdown(sockets)


class _EmbeddedServer(ProcessServer):
    """The same inside somebody else's event loop: it leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_config(app: SimulatorApp, **options: object) -> uvicorn.Config:
    """Return the server settings every way of running shares."""
    return uvicorn.Config(
        app, log_level="critical", access_log=False, ws="none", lifespan="on", timeout_keep_alive=75,
        timeout_graceful_shutdown=2, backlog=4096, **options,  # type: ignore[arg-type]
    )  # fmt: skip


class SimulatorServer:
    """`async with SimulatorServer(config) as sim:` runs a simulator on a free loopback port in this event loop.

    `sim.discord` acts as Discord towards an application; the URLs go into that application's configuration.
    """

    def __init__(
        self, config: SimulatorConfig | None = None, *, ledger_path: Path | None = None, host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:  # fmt: skip
        self.app = create_app(config, ledger_path)
        self._address = (host, port)
        self._server: _EmbeddedServer | None = None
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    @property
    def discord(self) -> DiscordClient:
        """Return Discord as the caller."""
        return self.app.client

    @property
    def ledger(self) -> Ledger:
        """Return the ledger."""
        return self.app.world.ledger

    @property
    def public_key(self) -> str:
        """Return the application's public key, hex."""
        return self.app.discord.public_key

    @property
    def discord_url(self) -> str:
        """Return the base of Discord's API."""
        return self.url + DISCORD_PATH

    @property
    def openai_url(self) -> str:
        """Return OpenAI's base URL."""
        return f"{self.url}/openai/v1"

    @property
    def stability_url(self) -> str:
        """Return Stability's base URL."""
        return f"{self.url}/stability"

    @property
    def minimax_url(self) -> str:
        """Return MiniMax's base URL."""
        return f"{self.url}/minimax"

    async def __aenter__(self) -> SimulatorServer:
        # With the protocol named asyncio sets TCP_NODELAY; without, every answer waits 40 ms for a delayed ACK.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(self._address)
        host, port = sock.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        self.app.discord.cdn_url = self.app.world.config.public_url or self.url
        self._server = _EmbeddedServer(server_config(self.app), self.app)
        self._task = asyncio.create_task(self._server.serve(sockets=[sock]), name="simulator")
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await self._task
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            self.app.world.closing.set()
            await self._task
