"""Puts the parts together into one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from simulator.config import SimulatorConfig
from simulator.control import Control
from simulator.discord_channels import Channels
from simulator.discord_client import DiscordClient
from simulator.discord_commands import Commands
from simulator.discord_webhooks import Webhooks
from simulator.discord_world import DiscordWorld
from simulator.minimax import MiniMax
from simulator.openai import OpenAI
from simulator.page import page_routes
from simulator.stability import Stability
from simulator.wire import remember_transport
from simulator.world import World


class SimulatorApp(Starlette):
    """The whole simulator. `world`, `discord` and `client` are there for tests in the same process."""

    def __init__(self, config: SimulatorConfig, ledger_path: Path | None = None) -> None:
        self.world = World(config, ledger_path)
        self.discord = DiscordWorld(self.world)
        self.client = DiscordClient(self.discord)
        self.minimax = MiniMax(self.world)
        self.control = Control(self.world, self.discord, self.client)
        super().__init__(routes=self._routes(), lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep the transport within reach of faults, then answer."""
        if scope["type"] == "http":
            remember_transport(scope, send)
        await super().__call__(scope, receive, send)

    def _routes(self) -> list[BaseRoute]:
        commands = Commands(self.discord)
        webhooks = [*Webhooks(self.discord).routes(), *Channels(self.discord).routes()]
        # url_for needs names at the top level, hence the two download routes stand beside their mount.
        downloads = [
            Route("/minimax/download/{link}/output_aigc.mp4", self.minimax.download, name="minimax_download"),
            Route("/minimax/download/{link}/image.png", self.minimax.download_image, name="minimax_image"),
        ]
        return [
            *downloads,
            Mount("/discord/api/v10", routes=[*webhooks, *commands.routes()]),
            Route("/discord/cdn/attachments/{id}/{filename}", self._file),
            Mount("/openai/v1", routes=OpenAI(self.world).routes()),
            Mount("/stability", routes=Stability(self.world).routes()),
            Mount("/minimax", routes=self.minimax.routes()),
            Mount("/control", routes=self.control.routes()),
            *page_routes(),
        ]

    async def _file(self, request: Request) -> Response:
        """GET a file a message carries."""
        attachment = self.discord.memory.files.get(request.path_params["id"])
        if attachment is None or attachment.filename != request.path_params["filename"]:
            return Response("This content is no longer available.", 404, media_type="text/plain")
        # What a model or a user wrote must not run as a page of this origin.
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
        return Response(attachment.data, headers=headers, media_type=attachment.content_type)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        await self.close()

    async def close(self) -> None:
        """End what waits, close the delivering client and the ledger."""
        self.world.closing.set()
        await self.client.close()
        await self.control.operator.close()
        self.world.ledger.close()


def create_app(config: SimulatorConfig | None = None, ledger_path: Path | None = None) -> SimulatorApp:
    """Return a new simulator that shares nothing with any other."""
    return SimulatorApp(config or SimulatorConfig(), ledger_path)
