"""The webhook endpoints of an interaction token: what an application edits and adds after its first answer."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import discord_errors as codes
from simulator.discord_bodies import error_field, read_message
from simulator.discord_errors import DiscordProblem
from simulator.discord_faults import faulty_answer
from simulator.discord_state import FLAG_EPHEMERAL, Interaction, Message, age_s, interaction_id_of
from simulator.discord_world import DiscordWorld
from simulator.ledger import digest
from simulator.multipart import Part
from simulator.wire import Dropped

USER_AGENT = re.compile(r"DiscordBot \(https?://[^,\s]+, [^)]+\)")


@dataclass(slots=True)
class Call:
    """One webhook call while it is being judged."""

    request: Request
    path_kind: str
    interaction: Interaction | None = None
    message: Message | None = None
    content: str = ""
    files: list[Part] = field(default_factory=list)


class Webhooks:
    """The endpoints below `/webhooks/{application}/{token}`."""

    def __init__(self, discord: DiscordWorld) -> None:
        self.discord = discord
        self.config = discord.world.config

    def routes(self) -> list[Route]:
        """Return the routes, relative to the API's base."""
        base = "/webhooks/{app_id}/{token}"
        return [
            Route(base, self.execute, methods=["POST"]),
            Route(f"{base}/messages/{{message_id}}", self.one_message, methods=["GET", "PATCH", "DELETE"]),
        ]

    async def execute(self, request: Request) -> Response:
        """POST a follow-up."""
        return await self._judged(Call(request, "followup"))

    async def one_message(self, request: Request) -> Response:
        """GET, PATCH or DELETE one message, `@original` or by id."""
        kind = "original" if request.path_params["message_id"] == "@original" else "message"
        return await self._judged(Call(request, kind))

    async def _judged(self, call: Call) -> Response:
        token = call.request.path_params["token"]
        call.interaction = self.discord.memory.by_token(token)
        since_ack = self._since_ack(call.interaction)
        route = f"webhook {call.request.method} {call.path_kind}"
        started, faults = time.monotonic(), self.discord.world.faults
        final = faults.tell_finals_apart and await self._brings_end(call.request)
        fault = faults.draw("discord", route, since_ack_s=since_ack, final=final)
        response = self.discord.invalid.ban()
        if response is None and fault is not None:
            response = await faulty_answer(self.discord.world, fault, call.request)
        if response is None:
            response = await self._answer(call, token)
        self.discord.invalid.note(response)
        self._record(call, response, started, fault.kind if fault else None)
        return Dropped() if fault is not None and fault.kind == "done_then_drop" else response

    async def _brings_end(self, request: Request) -> bool:
        """Say whether a call would leave an outcome to see; one that is refused anyway does not."""
        if request.method not in ("POST", "PATCH"):
            return False
        try:
            body, _ = await read_message(request, self.config.attachment_size_limit, editing=True)
        except DiscordProblem:
            return False
        return not self.discord.is_progress(str(body.get("content") or ""))

    async def _answer(self, call: Call, token: str) -> Response:
        verdict = self.discord.limits.take(token)
        if verdict.retry_after:
            return verdict.response()
        try:
            response = await self._perform(call)
        except DiscordProblem as problem:
            response = problem.response()
        response.headers.update(verdict.headers)
        return response

    async def _perform(self, call: Call) -> Response:
        request = call.request
        if self.config.require_user_agent and not USER_AGENT.match(request.headers.get("user-agent", "")):
            raise DiscordProblem(403, codes.BLOCKED_BY_CLOUDFLARE)
        if request.path_params["app_id"] != self.config.application_id:
            raise DiscordProblem(404, codes.UNKNOWN_WEBHOOK)
        interaction = self._usable(call.interaction, request.path_params["token"])
        if request.method == "POST":
            return await self._post(call, interaction)
        call.message = self._find(interaction, request.path_params["message_id"])
        if request.method == "GET":
            return JSONResponse(self.discord.render(call.message))
        if request.method == "DELETE":
            await self.discord.delete(interaction, call.message)
            return Response(status_code=204)
        body = await self._body(call, editing=True)
        await self.discord.write(interaction, call.message, body, call.files, new=False)
        return JSONResponse(self.discord.render(call.message))

    async def _post(self, call: Call, interaction: Interaction) -> Response:
        body = await self._body(call, editing=False)
        original = interaction.original
        if original is not None and original.thinking and not original.deleted:
            # Documented as deprecated: the first follow-up after a defer edits the deferred message.
            call.message = original
            await self.discord.write(interaction, original, body, call.files, new=False)
            return JSONResponse(self.discord.render(original))
        if interaction.user_install_only and len(interaction.followups) >= self.config.max_user_install_followups:
            raise DiscordProblem(400, codes.MAX_FOLLOWUPS)
        flags = int(body.get("flags") or 0) & FLAG_EPHEMERAL
        call.message = self.discord.new_message(interaction, flags=flags)
        await self.discord.write(interaction, call.message, body, call.files, new=True)
        interaction.followups.append(call.message)
        return JSONResponse(self.discord.render(call.message))

    def _usable(self, interaction: Interaction | None, token: str) -> Interaction:
        """Return the interaction if its token works now."""
        if interaction is None:
            named = interaction_id_of(token)
            expired = named is None or age_s(named) >= self.config.token_lifetime_s
            if expired:
                raise DiscordProblem(401, codes.INVALID_WEBHOOK_TOKEN)
            raise DiscordProblem(404, codes.UNKNOWN_WEBHOOK)
        if time.monotonic() - interaction.sent_t >= self.config.token_lifetime_s:
            raise DiscordProblem(401, codes.INVALID_WEBHOOK_TOKEN)
        since_ack = self._since_ack(interaction)
        # Before Discord has taken in the first answer, the webhook does not exist yet (discord-api-docs#7220).
        if since_ack is None or since_ack < self.config.race_s or interaction.state == "failed":
            raise DiscordProblem(404, codes.UNKNOWN_WEBHOOK)
        return interaction

    def _find(self, interaction: Interaction, message_id: str) -> Message:
        candidates = [interaction.original] if message_id == "@original" else [interaction.original,
                                                                               *interaction.followups]  # fmt: skip
        for message in candidates:
            if message is not None and not message.deleted and message_id in ("@original", message.id):
                return message
        raise DiscordProblem(404, codes.UNKNOWN_MESSAGE)

    @staticmethod
    def _since_ack(interaction: Interaction | None) -> float | None:
        if interaction is None or interaction.acked_t is None:
            return None
        return time.monotonic() - interaction.acked_t

    async def _body(self, call: Call, *, editing: bool) -> dict[str, Any]:
        """Read and validate the request's body."""
        body, call.files = await read_message(call.request, self.config.attachment_size_limit, editing=editing)
        call.content = str(body.get("content") or "")
        return body

    def _record(self, call: Call, response: Response, started: float, fault: str | None) -> None:
        interaction, message = call.interaction, call.message
        now = time.monotonic()
        ok = response.status_code < 300
        seen = self._seen(message) if ok and message is not None and call.request.method != "GET" else {}
        self.discord.world.ledger.add(
            "webhook",
            interaction=interaction.id if interaction else interaction_id_of(call.request.path_params["token"]),
            method=call.request.method,
            path=call.path_kind,
            status=response.status_code,
            ok=ok,
            fault=fault,
            code=error_field(response, "code"),
            retry_after=error_field(response, "retry_after") if response.status_code == 429 else None,
            ms=round((now - started) * 1000, 2),
            age_s=round(now - interaction.sent_t, 6) if interaction else None,
            digest=digest(call.content) if call.content else None,
            head=(call.content or (message.content if seen and message else ""))[:80] or None,
            files=[{"filename": p.filename, "size": len(p.data), "digest": digest(p.data)} for p in call.files] or None,
            **seen,
        )

    @staticmethod
    def _seen(message: Message) -> dict[str, Any]:
        """Return what the call left for the user to see."""
        return {
            "message": message.id,
            "visible": message.visible_digest(),
            "final": message.history[-1].final,
            "deleted": message.deleted or None,
            "pings": message.pings or None,
        }
