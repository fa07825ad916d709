"""Connections to Discord give up what they can't get rid of."""

from __future__ import annotations

import asyncio
import socket

import httpx2
import pytest

from app.discord.connections import UNACKNOWLEDGED_MS, discord_client

LIMITS = httpx2.Limits(max_connections=10)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await writer.drain()


async def test_an_edit_is_not_sent_once_others_may_have_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Symptom: a host lost its network in the middle of a streamed answer; another one finished it; when the first was
    back, its last edit stood over the answer. Cause: the kernel had kept the edit and sent it again and again. Rule:
    what is not acknowledged within less time than an instance is taken for dead is dropped with its connection.
    """
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, discord_client(LIMITS) as client, client.stream("PATCH", url, content=b"edit") as response:
        connection = response.extensions["network_stream"].get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNACKNOWLEDGED_MS < 3000
        await response.aread()


async def test_a_proxy_that_is_set_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that reach Discord only through a proxy go on doing so."""
    asked = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    monkeypatch.setenv("no_proxy", "")
    async with server, discord_client(LIMITS) as client:
        assert (await client.get("http://discord.invalid/api")).status_code == 204
    assert asked == [b"GET http://discord.invalid/api HTTP/1.1"]
