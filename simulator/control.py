"""The control API: play a user, read the ledger, ask for faults. See simulator/README.md."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from simulator.control_acts import Acts, BadRequest
from simulator.control_events import EventFeed
from simulator.control_operator import NoOperator, OperatorLink
from simulator.discord_client import DiscordClient
from simulator.discord_payloads import CHANNELS
from simulator.discord_state import Interaction, Message
from simulator.discord_world import DiscordWorld
from simulator.wire import bearer
from simulator.world import World

Endpoint = Callable[[Request], Awaitable[Response]]
MAX_WAIT_S = 900.0
PLACE_OF = {0: "guild", 1: "dm", 2: "user_install"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Control:
    """The endpoints below `/control`."""

    def __init__(self, world: World, discord: DiscordWorld, client: DiscordClient) -> None:
        self.world = world
        self.discord = discord
        self.client = client
        self.operator = OperatorLink(world)
        self.acts = Acts(discord, client)
        self.feed = EventFeed(world, self._show_if_known)

    def routes(self) -> list[Route]:
        """Return the routes, each behind the control token."""
        table: list[tuple[str, str, Endpoint]] = [
            ("GET", "/info", self.info),
            ("POST", "/interactions", self.interact),
            ("GET", "/interactions/{id}", self.interaction),
            ("POST", "/ping", self.ping),
            ("GET", "/messages", self.messages),
            ("POST", "/messages", self.say),
            ("GET", "/channel", self.channel),
            ("GET", "/commands", self.commands),
            ("GET", "/ledger", self.ledger),
            ("GET", "/stats", self.stats),
            ("GET", "/faults", self.faults),
            ("POST", "/faults", self.add_fault),
            ("DELETE", "/faults", self.clear_faults),
            ("DELETE", "/faults/{id:int}", self.remove_fault),
            ("GET", "/events", self.events),
            ("GET", "/operator", self.operator_state),
            ("POST", "/operator", self.operator_act),
        ]
        return [Route(path, self._guarded(endpoint), methods=[method]) for method, path, endpoint in table]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        token = self.world.config.control_token

        async def guarded(request: Request) -> Response:
            if not token and request.url.hostname not in LOOPBACK:
                return JSONResponse({"error": "without a control token only a loopback address may be used"}, 403)
            given = request.headers.get("x-control-token") or bearer(request)
            if token and not hmac.compare_digest(given.encode(), token.encode()):
                return JSONResponse({"error": "the control token is missing or wrong"}, 401)
            # A page of another origin can't set this type without asking first, so it can't reach a loopback control.
            if request.method == "POST" and not request.headers.get("content-type", "").startswith("application/json"):
                return JSONResponse({"error": "content-type must be application/json"}, 415)
            try:
                return await endpoint(request)
            except (BadRequest, ValueError) as error:
                return JSONResponse({"error": str(error)}, 400)
            except NoOperator as error:
                return JSONResponse({"error": str(error)}, 503)

        return guarded

    async def info(self, request: Request) -> Response:
        """GET /info: what an application needs to know."""
        config = self.world.config
        return JSONResponse({
            "public_key": self.discord.public_key, "application_id": config.application_id, "seed": self.world.seed,
            "default_target": config.default_target, "progress_mark": config.progress_mark,
            "instance_count": config.instance_count, "operator": bool(config.operator_url),
            "channels": CHANNELS, "keys": sorted({key.label for key in config.keys if key.label}),
        })  # fmt: skip

    async def interact(self, request: Request) -> Response:
        """POST /interactions: use a command, press a button, submit a form or ask for choices."""
        body = await _body(request)
        target = str(body.get("target") or self.world.config.default_target)
        if not target.startswith(("http://", "https://")):
            raise BadRequest("target must be the interactions endpoint's URL")
        made = await self.acts.perform(target, body)
        if wait := body.get("wait_s"):
            await self._wait(made, float(wait))
        return JSONResponse(self.show(made))

    async def interaction(self, request: Request) -> Response:
        """GET /interactions/{id}[?wait_s=30]: what the user sees, on request only once it is final."""
        found = self.acts.find(request.path_params["id"])
        if wait := request.query_params.get("wait_s"):
            await self._wait(found, float(wait))
        return JSONResponse(self.show(found))

    async def _wait(self, interaction: Interaction, seconds: float) -> None:
        try:
            await interaction.final(min(seconds, MAX_WAIT_S))
        except TimeoutError:
            return

    async def ping(self, request: Request) -> Response:
        """POST /ping: a good PING, then a bad signature; both as Discord's portal does."""
        body = await _body(request)
        target = str(body.get("target") or self.world.config.default_target)
        made = await self.client.ping(target)
        bad = await self.client.probe_bad_signature(target)
        return JSONResponse({"accepted": made.state == "pong", "bad_signature_status": bad,
                             "valid": made.state == "pong" and bad == 401})  # fmt: skip

    async def messages(self, request: Request) -> Response:
        """GET /messages[?limit=50]: the newest interactions and what users see, newest first."""
        limit = int(request.query_params.get("limit", 50))
        newest = list(self.discord.memory.interactions.values())[-limit:][::-1]
        return JSONResponse([self.show(interaction) for interaction in newest])

    async def say(self, request: Request) -> Response:
        """POST /messages: write a message of one's own; `user_id`, `content`, `attachments` (a list), `place`, …"""
        written = self._message(self.acts.say(await _body(request)))
        self.feed.publish("message", written)
        return JSONResponse(written, 201)

    async def channel(self, request: Request) -> Response:
        """GET /channel?id=…&viewer=…: the newest messages of a channel that the viewer sees, oldest first."""
        query = request.query_params
        channel, viewer = query.get("id") or CHANNELS["guild"], query.get("viewer", "")
        shown = [m for m in self.discord.memory.messages.values() if m.channel_id == channel and m.seen_by(viewer)]
        return JSONResponse([self._message(message) for message in shown[-int(query.get("limit", 50)) :]])

    async def commands(self, request: Request) -> Response:
        """GET /commands: every registered command, by scope."""
        return JSONResponse({scope: list(found.values()) for scope, found in self.discord.commands.items()})

    async def ledger(self, request: Request) -> Response:
        """GET /ledger[?since=n&limit=1000]: events after number n."""
        since, limit = (int(request.query_params.get(name, 0)) for name in ("since", "limit"))
        return JSONResponse(self.world.ledger.since(since, limit or 10_000))

    async def stats(self, request: Request) -> Response:
        """GET /stats: counts per key and of Discord's side."""
        states: dict[str, int] = {}
        for interaction in self.discord.memory.interactions.values():
            states[interaction.state] = states.get(interaction.state, 0) + 1
        return JSONResponse({
            "keys": self.world.keys.stats(), "interactions": states,
            "invalid_requests": {"now": self.discord.invalid.count, "peak": self.discord.invalid.peak},
        })  # fmt: skip

    async def faults(self, request: Request) -> Response:
        """GET /faults: the rules in force."""
        return JSONResponse([rule.describe() for rule in self.world.faults.rules])

    async def add_fault(self, request: Request) -> Response:
        """POST /faults: add one rule."""
        fault = self.world.faults.add(await _body(request))
        self.world.ledger.add("fault", **{k: v for k, v in fault.describe().items() if v not in ("", None)})
        return JSONResponse(fault.describe(), 201)

    async def clear_faults(self, request: Request) -> Response:
        """DELETE /faults: forget them all."""
        self.world.faults.clear()
        self.world.ledger.add("faults_cleared")
        return Response(status_code=204)

    async def remove_fault(self, request: Request) -> Response:
        """DELETE /faults/{id}: forget one rule; one that is gone already is fine."""
        number = int(request.path_params["id"])
        self.world.faults.remove(number)
        self.world.ledger.add("fault_removed", id=number)
        return Response(status_code=204)

    async def events(self, request: Request) -> Response:
        """GET /events: everything as it happens, see control_events.py."""
        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(self.feed.read(), media_type="text/event-stream", headers=headers)

    async def operator_state(self, request: Request) -> Response:
        """GET /operator: the system's state as its operator tells it; 503 where there is none."""
        return JSONResponse(await self.operator.state())

    async def operator_act(self, request: Request) -> Response:
        """POST /operator: `{"act": "kill" | "off" | "on", "instance": 2}`."""
        return JSONResponse(await self.operator.act(await _body(request)))

    def _show_if_known(self, interaction_id: str) -> dict[str, Any] | None:
        found = self.discord.memory.interactions.get(interaction_id)
        return self.show(found) if found is not None else None

    def show(self, interaction: Interaction) -> dict[str, Any]:
        """Return an interaction as JSON values: never its token."""
        ack, payload = interaction.ack, interaction.payload
        data, pressed = payload.get("data") or {}, payload.get("message") or {}
        return {
            "kind": interaction.kind, "place": PLACE_OF.get(int(payload.get("context") or 0)),
            "channel_id": interaction.channel_id,
            "locale": payload.get("locale"), "custom_id": data.get("custom_id"), "target_id": data.get("target_id"),
            "pressed_on": pressed.get("id"), "of": (pressed.get("interaction_metadata") or {}).get("id"),
            "command_type": data.get("type"),
            "id": interaction.id, "user_id": interaction.user_id, "command": interaction.command,
            "options": data.get("options", []), "state": interaction.state,
            "final": interaction.is_final, "sent": interaction.sent_wall,
            "took_ms": round((interaction.final_t - interaction.sent_t) * 1000, 1) if interaction.final_t else None,
            "ack": {"ms": round(ack.ms, 2), "status": ack.status, "type": ack.type, "ok": ack.ok,
                    "reason": ack.reason, "served_by": ack.served_by} if ack else None,
            "message": self._message(interaction.message), "choices": interaction.choices, "modal": interaction.modal,
            "followups": [self._message(m) for m in interaction.followups if not m.deleted],
            "late": [self._message(m) for m in interaction.late if not m.deleted],
        }  # fmt: skip

    def _message(self, message: Message | None) -> dict[str, Any] | None:
        if message is None:
            return None
        shown = self.discord.render(message)
        wanted = ("id", "channel_id", "author", "type", "content", "embeds", "components", "attachments")
        history = [{"wall": e.wall, "content": e.content, "final": e.final, "files": list(e.attachments)}
                   for e in message.history[-50:]]  # fmt: skip
        return {**{name: shown[name] for name in wanted}, "thinking": message.thinking,
                "ephemeral": message.ephemeral, "pings": message.pings, "edits": len(message.history),
                "edited": bool(shown["edited_timestamp"]), "flags": shown["flags"], "viewer_id": message.viewer_id,
                "interaction_metadata": message.metadata, "reply_to": message.reply_to or None,
                "history": history}  # fmt: skip


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise BadRequest("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be an object")
    return body
