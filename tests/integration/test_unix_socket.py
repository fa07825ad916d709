"""An instance is reached at a socket as it is at its port."""

from __future__ import annotations

import contextlib
import socket
import stat
from pathlib import Path

import httpx2

from app.__main__ import bound_socket
from simulator.server import SimulatorServer
from tests.integration.process_kit import Process
from tests.kit.running import simulator_config


async def test_an_instance_answers_at_both(tmp_path: Path) -> None:
    """With UNIX_SOCKET it answers at the port and at the socket, which any user may connect to; also in its next life,
    which finds the socket that a kill left behind."""
    place = tmp_path / "instance-1.sock"
    async with SimulatorServer(simulator_config(1)) as sim:
        process = Process(sim, tmp_path, 1, 1, UNIX_SOCKET=str(place))
        for _ in range(2):
            await process.start()
            try:
                assert stat.S_IMODE(place.stat().st_mode) == 0o666
                transport = httpx2.AsyncHTTPTransport(uds=str(place))
                async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
                    assert (await client.get("http://instance/health")).status_code == 200
                    refused = await client.post("http://instance/interactions", content=b"{}")
                    assert (refused.status_code, refused.headers["x-quartet-instance"]) == (401, "1")
            finally:
                await process.kill()
            assert place.is_socket()


def test_only_a_socket_is_replaced(tmp_path: Path) -> None:
    """A file that stands in the way stays as it is, and the instance can't have the place."""
    place = tmp_path / "precious"
    place.write_text("mine")
    with contextlib.suppress(OSError):
        bound_socket(str(place)).close()
    assert place.read_text() == "mine"
    first = bound_socket(str(tmp_path / "free"))
    second = bound_socket(str(tmp_path / "free"))
    second.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "free"))
    first.close()
    second.close()
