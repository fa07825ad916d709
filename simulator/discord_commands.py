"""Discord's endpoints for applications: command registration and the small ones a check-up uses."""

from __future__ import annotations

import hmac
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import discord_errors as codes
from simulator.discord_command_rules import check_command, check_set, normalised
from simulator.discord_errors import DiscordProblem
from simulator.discord_faults import faulty_answer
from simulator.discord_payloads import user_object
from simulator.discord_webhooks import USER_AGENT
from simulator.discord_world import DiscordWorld

DAILY_CREATES = 200
DAY_S = 86_400.0
LOCALIZATIONS = ("name_localizations", "description_localizations")
Endpoint = Callable[[Request], Awaitable[Response]]


class Commands:
    """The endpoints below `/applications`, `/users/@me` and `/gateway/bot`; all ask for the bot's token."""

    def __init__(self, discord: DiscordWorld) -> None:
        self.discord = discord
        self.config = discord.world.config
        self._creates: dict[str, deque[float]] = {}
        for raw in self.config.commands:
            self._store("global", normalised(raw))

    def routes(self) -> list[Route]:
        """Return the routes, relative to the API's base."""
        routes = [
            Route("/applications/@me", self._guarded("application", self.application), methods=["GET"]),
            Route("/users/@me", self._guarded("user", self.me), methods=["GET"]),
            Route("/gateway/bot", self._guarded("gateway", self.gateway), methods=["GET"]),
        ]
        for base in ("/applications/{app_id}/commands", "/applications/{app_id}/guilds/{guild_id}/commands"):
            for method, path, endpoint in (
                ("GET", base, self.listed), ("PUT", base, self.replaced), ("POST", base, self.created),
                ("GET", base + "/{command_id}", self.one), ("PATCH", base + "/{command_id}", self.edited),
                ("DELETE", base + "/{command_id}", self.deleted),
            ):  # fmt: skip
                routes.append(Route(path, self._guarded(f"commands.{method}", endpoint), methods=[method]))
        return routes

    def _guarded(self, route: str, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            fault = self.discord.world.faults.draw("discord", route)
            response = await faulty_answer(self.discord.world, fault, request) if fault else None
            if response is None:
                try:
                    self._authorise(request)
                    response = await endpoint(request)
                except DiscordProblem as problem:
                    response = problem.response()
            self.discord.invalid.note(response)
            self.discord.world.ledger.add("discord_api", method=request.method, route=route,
                                          scope=self._scope(request), status=response.status_code,
                                          fault=fault.kind if fault else None)  # fmt: skip
            return response

        return guarded

    def _authorise(self, request: Request) -> None:
        if self.config.require_user_agent and not USER_AGENT.match(request.headers.get("user-agent", "")):
            raise DiscordProblem(403, codes.BLOCKED_BY_CLOUDFLARE)
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bot {self.config.bot_token}".encode()):
            raise DiscordProblem(401, codes.UNAUTHORIZED)
        app_id = request.path_params.get("app_id")
        if app_id is None or app_id == self.config.application_id:
            return
        if not app_id.isdigit():
            faults = codes.Faultfinder()
            faults.add("application_id", "NUMBER_TYPE_COERCE", f'Value "{app_id}" is not snowflake.')
            faults.check()
        raise DiscordProblem(403, codes.MISSING_ACCESS)

    async def application(self, request: Request) -> Response:
        """GET /applications/@me."""
        return JSONResponse({
            "id": self.config.application_id, "name": "Quartet (simulated)", "icon": None, "description": "",
            "type": None, "verify_key": self.discord.public_key, "flags": 0, "bot_public": True,
            "bot_require_code_grant": False, "flags_new": "0", "redirect_uris": [], "team": None,
            "role_connections_verification_url": None, "owner": user_object("1000000000000000001"),
            "approximate_guild_count": 1, "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0, "explicit_content_filter": 0, "eligible_oauth2_scopes": [],
            "interactions_endpoint_url": self.config.default_target or None,
        })  # fmt: skip

    async def me(self, request: Request) -> Response:
        """GET /users/@me."""
        return JSONResponse(
            {
                **user_object(self.config.application_id),
                "username": "quartet",
                "bot": True,
                "locale": "en-US",
                "mfa_enabled": True,
            }
        )

    async def gateway(self, request: Request) -> Response:
        """GET /gateway/bot."""
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
        return JSONResponse({"url": "wss://gateway.invalid", "shards": 1, "session_start_limit": limit})

    async def listed(self, request: Request) -> Response:
        """GET the scope's commands; localizations only with `with_localizations=true`."""
        full = request.query_params.get("with_localizations", "").lower() in ("true", "1")
        return JSONResponse([self._shown(command, full) for command in self._of(request).values()])

    async def one(self, request: Request) -> Response:
        """GET one command."""
        return JSONResponse(self._shown(self._found(request), True))

    async def replaced(self, request: Request) -> Response:
        """PUT the whole set: names that are there already keep their id and cost no creation."""
        body = await _json(request)
        if not isinstance(body, list):
            raise DiscordProblem(400, codes.INVALID_FORM_BODY, {"_errors": [
                {"code": "BASE_TYPE_BAD_TYPE", "message": "Only iterables may be used in a ListType"}]})  # fmt: skip
        check_set(body)
        scope = self._scope(request)
        wanted = [normalised(raw) for raw in body]
        before = {(c["type"], c["name"]): c for c in self._of(request).values()}
        self._count_creates(scope, sum(1 for c in wanted if (c["type"], c["name"]) not in before))
        self.discord.commands[scope] = {}
        stored = [self._store(scope, c, before.get((c["type"], c["name"]))) for c in wanted]
        return JSONResponse([self._shown(command, True) for command in stored])

    async def created(self, request: Request) -> Response:
        """POST one command: 201 if new, 200 if it replaces one of the same name."""
        body = await _json(request)
        faults = codes.Faultfinder()
        check_command(body, faults, "")
        faults.check()
        wanted = normalised(body)
        scope = self._scope(request)
        same = (c for c in self._of(request).values() if (c["type"], c["name"]) == (wanted["type"], wanted["name"]))
        old = next(same, None)
        if old is None:
            check_set([*self._of(request).values(), body])
            self._count_creates(scope, 1)
        return JSONResponse(self._shown(self._store(scope, wanted, old), True), 200 if old else 201)

    async def edited(self, request: Request) -> Response:
        """PATCH one command."""
        old = self._found(request)
        body = {**old, **(await _json(request) or {})}
        faults = codes.Faultfinder()
        check_command(body, faults, "")
        faults.check()
        return JSONResponse(self._shown(self._store(self._scope(request), normalised(body), old), True))

    async def deleted(self, request: Request) -> Response:
        """DELETE one command."""
        del self._of(request)[self._found(request)["id"]]
        return Response(status_code=204)

    def _store(self, scope: str, command: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, Any]:
        ids = self.discord.memory.ids
        whole = {**command, "application_id": self.config.application_id, "id": old["id"] if old else ids.next()}
        unchanged = old is not None and {**old, "version": 0} == {**whole, "version": 0}
        whole["version"] = old["version"] if old is not None and unchanged else ids.next()
        if scope != "global":
            whole["guild_id"] = scope
        self.discord.commands.setdefault(scope, {})[whole["id"]] = whole
        return whole

    def _count_creates(self, scope: str, count: int) -> None:
        now = time.monotonic()
        times = self._creates.setdefault(scope, deque())
        while times and times[0] <= now - DAY_S:
            times.popleft()
        if len(times) + count > DAILY_CREATES:
            raise DiscordProblem(400, codes.DAILY_COMMAND_CREATES)
        times.extend([now] * count)

    def _of(self, request: Request) -> dict[str, dict[str, Any]]:
        return self.discord.commands.setdefault(self._scope(request), {})

    def _found(self, request: Request) -> dict[str, Any]:
        command = self._of(request).get(request.path_params["command_id"])
        if command is None:
            raise DiscordProblem(404, codes.UNKNOWN_COMMAND)
        return command

    @staticmethod
    def _scope(request: Request) -> str:
        return str(request.path_params.get("guild_id", "global"))

    @staticmethod
    def _shown(command: dict[str, Any], full: bool) -> dict[str, Any]:
        if full:
            return command
        return {name: value for name, value in command.items() if name not in LOCALIZATIONS}


async def _json(request: Request) -> Any:
    if not request.headers.get("content-type", "").startswith("application/json"):
        errors = {"_errors": [{"code": "CONTENT_TYPE_INVALID", "message": "Expected application/json"}]}
        raise DiscordProblem(400, codes.INVALID_FORM_BODY, errors)
    try:
        return json.loads(await request.body())
    except ValueError:
        raise DiscordProblem(400, codes.INVALID_JSON) from None
