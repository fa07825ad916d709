"""`python -m app`: one instance, from the environment. Variables are listed in .env.multi.example."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import structlog
import uvicorn

from app import logs
from app.errors import SettingsError
from app.settings import read_instance_settings

KEEP_ALIVE_S = 75
"""Longer than the proxy keeps its connections (60 s), so that it never sends into one that is being closed."""

GC_THRESHOLD = (10_000, 20, 20)
"""Allocations between two collections; Python's own 700 are reached by a few dozen interactions in flight."""


SOCKET_MODE = 0o666
"""Like its port, an instance's socket is open to every user of the machine who can enter its folder: nginx's workers
may be another one."""


class Server(uvicorn.Server):
    """Listens at a Unix socket besides its port, if it is given one. Tells what never ends by itself to end: on its way
    out the server waits for every answer under way."""

    def __init__(self, config: uvicorn.Config, *, ending: Callable[[], None], unix_socket: str = "") -> None:
        super().__init__(config)
        self._unix_socket = unix_socket
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._unix_socket:
            await self._listen_there_too()

    async def _listen_there_too(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            bound = bound_socket(self._unix_socket)
        except OSError as error:
            structlog.get_logger("web").critical("the socket can't be had", socket=self._unix_socket, error=str(error))
            self.started = False
            self.should_exit = True
        else:
            listening = await loop.create_unix_server(self._connected, sock=bound, backlog=self.config.backlog)
            self.servers.append(listening)

    def _connected(self) -> asyncio.Protocol:
        """Make a connection's protocol, as uvicorn does for those at the port."""
        protocol: type[asyncio.Protocol] = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)


def bound_socket(path: str) -> socket.socket:
    """Return a Unix socket at `path`, in place of what an earlier life left there; raise `OSError` if not."""
    place = Path(path)
    if place.is_socket():
        place.unlink()
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(path)
        place.chmod(SOCKET_MODE)
    except OSError:
        made.close()
        raise
    return made


def main() -> int:
    """Serve until told to stop; 2 if the environment is wrong, another number if the start failed."""
    try:
        settings = read_instance_settings()
    except SettingsError as error:
        print("The configuration is wrong:", *(f"  {fault}" for fault in error.faults), sep="\n", file=sys.stderr)
        return 2
    logs.configure(settings.log_level, settings.instance_id, settings.secrets)

    # After the settings are known to be right: these load everything else.
    from app.main import Instance
    from app.web.protocol import InteractionsProtocol

    instance = Instance(settings, when_warm=spare_the_collector)
    config = uvicorn.Config(
        instance.asgi,
        host=settings.host,
        port=settings.port,
        http=InteractionsProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody here asks for the client's address
        timeout_keep_alive=KEEP_ALIVE_S,
        lifespan="on",
    )
    server = Server(config, ending=instance.feed.close, unix_socket=settings.unix_socket)
    # The server ends in good order at these and then raises them once more: what was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run()
    return 0 if server.started else 1


def spare_the_collector() -> None:
    """Take what is loaded, and lives as long as the process, out of the garbage collector's sight.

    A full collection would walk through all of it and hold up every answer for 50 ms and more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


if __name__ == "__main__":
    sys.exit(main())
