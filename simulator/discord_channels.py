"""Messages the bot itself posts to a channel, with its token; resources/message of Discord's documentation.

A nonce with `enforce_nonce` makes a repeated post harmless: within a few minutes the same nonce returns the message
that is there. Posts and deletions have buckets of their own for each channel.
"""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import discord_errors as codes
from simulator.discord_bodies import error_field, read_message
from simulator.discord_channel_state import ATTACH_FILES, MANAGE_MESSAGES, SEND_MESSAGES, VIEW_CHANNEL, Channel
from simulator.discord_errors import DiscordProblem, Faultfinder
from simulator.discord_faults import faulty_answer
from simulator.discord_limits import WindowLimits
from simulator.discord_state import Interaction, Message
from simulator.discord_webhooks import USER_AGENT
from simulator.discord_world import DiscordWorld
from simulator.ledger import digest
from simulator.multipart import Part
from simulator.wire import Dropped

LONGEST_NONCE = 25


@dataclass(slots=True)
class _Post:
    """What a call to a channel was about, for the ledger."""

    message: Message | None = None
    interaction: Interaction | None = None
    repeated: bool = False
    files: list[Part] | None = None


class Channels:
    """The endpoints below `/channels/{channel}/messages`; all ask for the bot's token."""

    def __init__(self, discord: DiscordWorld) -> None:
        self.discord = discord
        self.config = discord.world.config
        self._limits = WindowLimits(((self.config.channel_burst, self.config.channel_burst_s),), "channel")

    def routes(self) -> list[Route]:
        """Return the routes, relative to the API's base."""
        base = "/channels/{channel_id}/messages"
        return [
            Route(base, self._judged, methods=["POST"]),
            Route(f"{base}/{{message_id}}", self._judged, methods=["GET", "DELETE"]),
        ]

    async def _judged(self, request: Request) -> Response:
        started, post = time.monotonic(), _Post()
        fault = self.discord.world.faults.draw("discord", f"channel {request.method}")
        response = self.discord.invalid.ban()
        if response is None and fault is not None:
            response = await faulty_answer(self.discord.world, fault, request)
        if response is None:
            response = await self._answer(request, post)
        self.discord.invalid.note(response)
        self._record(request, response, post, started, fault.kind if fault else None)
        return Dropped() if fault is not None and fault.kind == "done_then_drop" else response

    async def _answer(self, request: Request, post: _Post) -> Response:
        verdict = self._limits.take(f"{request.method} {request.path_params['channel_id']}")
        if verdict.retry_after:
            return verdict.response()
        try:
            self._authorise(request)
            channel = self._channel(request.path_params["channel_id"])
            if request.method == "POST":
                response: Response = await self._post(request, channel, post)
            else:
                response = await self._one(request, channel, post)
        except DiscordProblem as problem:
            response = problem.response()
        response.headers.update(verdict.headers)
        return response

    def _authorise(self, request: Request) -> None:
        if self.config.require_user_agent and not USER_AGENT.match(request.headers.get("user-agent", "")):
            raise DiscordProblem(403, codes.BLOCKED_BY_CLOUDFLARE)
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bot {self.config.bot_token}".encode()):
            raise DiscordProblem(401, codes.UNAUTHORIZED)

    def _channel(self, channel_id: str) -> Channel:
        found = self.discord.channels.get(channel_id)
        if found is None:
            raise DiscordProblem(404, codes.UNKNOWN_CHANNEL)
        if not found.bot or not found.allows(VIEW_CHANNEL):
            raise DiscordProblem(403, codes.MISSING_ACCESS)
        return found

    async def _post(self, request: Request, channel: Channel, post: _Post) -> Response:
        body, files = await read_message(request, self.config.attachment_size_limit, editing=False)
        nonce = _nonce(body)
        if not channel.allows(SEND_MESSAGES) or (files and not channel.allows(ATTACH_FILES)):
            raise DiscordProblem(403, codes.MISSING_PERMISSIONS)
        post.files = files
        post.interaction = self.discord.memory.interactions.get(str(nonce))
        there = (
            self.discord.channels.said(channel.id, nonce) if nonce is not None and body.get("enforce_nonce") else None
        )
        if there is not None and there in self.discord.memory.messages:
            post.message, post.repeated = self.discord.memory.messages[there], True
            return JSONResponse(self.discord.render(post.message))
        made = Message(self.discord.memory.ids.next(), channel.id, nonce=nonce)
        await self.discord.write(None, made, body, files, new=True)
        post.message = self.discord.memory.keep_message(made)
        if nonce is not None:
            self.discord.channels.note(channel.id, nonce, made.id)
        if post.interaction is not None:
            post.interaction.late.append(made)
            await self.discord.settle(post.interaction, made)
        return JSONResponse(self.discord.render(made))

    async def _one(self, request: Request, channel: Channel, post: _Post) -> Response:
        """GET or DELETE one message; the bot's own needs no permission. Ephemeral ones can't be reached this way."""
        message = self.discord.memory.messages.get(request.path_params["message_id"])
        if message is None or message.deleted or message.ephemeral or message.channel_id != channel.id:
            raise DiscordProblem(404, codes.UNKNOWN_MESSAGE)
        if request.method == "GET":
            return JSONResponse(self.discord.render(message))
        if message.author_id and not (channel.place == "guild" and channel.allows(MANAGE_MESSAGES)):
            raise DiscordProblem(403, codes.MISSING_PERMISSIONS)
        post.message = message
        await self.discord.delete(None, message)
        return Response(status_code=204)

    def _record(
        self, request: Request, response: Response, post: _Post, started: float, fault: str | None
    ) -> None:  # fmt: skip
        message = post.message if response.status_code < 300 else None
        self.discord.world.ledger.add(
            "channel_message",
            interaction=post.interaction.id if post.interaction else None,
            channel=request.path_params["channel_id"],
            method=request.method,
            status=response.status_code,
            code=error_field(response, "code"),
            retry_after=error_field(response, "retry_after") if response.status_code == 429 else None,
            fault=fault,
            ms=round((time.monotonic() - started) * 1000, 2),
            repeated=post.repeated or None,
            message=message.id if message else None,
            visible=message.visible_digest() if message else None,
            deleted=(message.deleted or None) if message else None,
            head=message.content[:80] or None if message else None,
            pings=message.pings or None if message else None,
            files=[{"filename": p.filename, "size": len(p.data), "digest": digest(p.data)} for p in post.files or ()]
            or None,
        )


def _nonce(body: dict[str, Any]) -> str | int | None:
    """Return the nonce if it is one: an integer, or a text of at most 25 characters."""
    nonce, faults = body.get("nonce"), Faultfinder()
    if nonce is not None and (isinstance(nonce, bool) or not isinstance(nonce, str | int)):
        faults.wrong_type("nonce", "an integer or a string")
    elif isinstance(nonce, str):
        faults.length("nonce", nonce, LONGEST_NONCE)
    if body.get("enforce_nonce") is not None and not isinstance(body["enforce_nonce"], bool):
        faults.wrong_type("enforce_nonce", "a boolean")
    faults.check()
    return nonce
