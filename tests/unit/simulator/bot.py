"""A scripted application: answers deliveries as told, and calls the webhook as an application would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx2

from simulator.discord_state import Interaction
from simulator.server import SimulatorServer
from simulator.wire import tls

USER_AGENT = "DiscordBot (https://example.invalid/bot, 1.0)"
DEFER: dict[str, Any] = {"type": 5}


@dataclass(slots=True)
class Delivery:
    """One request the application got."""

    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        """Return the parsed interaction."""
        return dict(json.loads(self.body))


@dataclass
class Bot:
    """Listens on a free port; `answer` makes the JSON answer, `status` and `content_type` go with it."""

    answer: Callable[[dict[str, Any]], Any] = lambda payload: DEFER
    status: int = 200
    content_type: str = "application/json"
    silent: bool = False
    deliveries: list[Delivery] = field(default_factory=list)
    url: str = ""
    _server: asyncio.Server | None = None
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Bot:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/interactions"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        pairs = (line.split(":", 1) for line in head.split("\r\n")[1:] if ":" in line)
        headers = {name.lower(): value.strip() for name, value in pairs}
        delivery = Delivery(headers, await reader.readexactly(int(headers["content-length"])))
        self.deliveries.append(delivery)
        if self.silent:
            await self._closing.wait()
        else:
            body = json.dumps(self.answer(delivery.payload)).encode()
            lines = f"HTTP/1.1 {self.status} X\r\nContent-Type: {self.content_type}\r\nContent-Length: {len(body)}\r\n"
            writer.write(lines.encode() + b"Connection: close\r\n\r\n" + body)
        writer.close()


class Webhook:
    """Calls the webhook endpoints of an interaction's token, and those of channels with the bot's."""

    def __init__(self, sim: SimulatorServer) -> None:
        self.sim = sim
        self.http = httpx2.AsyncClient(headers={"User-Agent": USER_AGENT}, timeout=10, verify=tls())

    def url(self, interaction: Interaction, path: str = "/messages/@original") -> str:
        """Return the address of an endpoint of this token."""
        app = self.sim.app.world.config.application_id
        return f"{self.sim.discord_url}/webhooks/{app}/{interaction.token}{path}"

    async def edit(self, interaction: Interaction, body: dict[str, Any], **more: Any) -> httpx2.Response:
        """PATCH the original message."""
        return await self.http.patch(self.url(interaction), json=body, **more)

    async def say(self, interaction: Interaction, content: str) -> httpx2.Response:
        """PATCH the original message's text."""
        return await self.edit(interaction, {"content": content})

    async def follow_up(self, interaction: Interaction, content: str) -> httpx2.Response:
        """POST a further message."""
        return await self.http.post(self.url(interaction, ""), json={"content": content})

    async def post(self, channel_id: str, body: dict[str, Any], token: str = "") -> httpx2.Response:
        """POST a message to a channel as the bot."""
        headers = {"Authorization": f"Bot {token or self.sim.app.world.config.bot_token}"}
        return await self.http.post(self.channel_url(channel_id), json=body, headers=headers)

    async def take_away(self, channel_id: str, message_id: str) -> httpx2.Response:
        """DELETE a message of a channel as the bot."""
        headers = {"Authorization": f"Bot {self.sim.app.world.config.bot_token}"}
        return await self.http.delete(f"{self.channel_url(channel_id)}/{message_id}", headers=headers)

    def channel_url(self, channel_id: str) -> str:
        """Return the address of a channel's messages."""
        return f"{self.sim.discord_url}/channels/{channel_id}/messages"

    async def upload(
        self, interaction: Interaction, body: dict[str, Any], files: dict[str, tuple[str, bytes, str]]
    ) -> httpx2.Response:
        """PATCH the original message with files; `files` maps `files[n]` to name, bytes and type."""
        form: dict[str, Any] = {"payload_json": (None, json.dumps(body), "application/json"), **files}
        return await self.http.patch(self.url(interaction), files=form)
