"""Registers the bot's commands: look, compare, and send the whole list only if something changes.

Sending names that exist already costs nothing of the 200 command creations a day
(https://discord.com/developers/docs/interactions/application-commands#bulk-overwrite-global-application-commands).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2

from app.clock import Clock, SystemClock
from app.discord.api_errors import ApiError, read_error
from app.discord.command_plan import Definition, Plan, make_plan
from app.discord.rate_limits import read_rate_limit
from app.discord.replies import JSON_MEDIA_TYPE, encode
from app.discord.wire import USER_AGENT, ErrorCode
from app.errors import DiscordError
from app.redaction import excerpt

TIMEOUT_S: Final = 30.0
LONGEST_WAIT_S: Final = 120.0
_TRIES: Final = 4
_EXPLANATION_MAX: Final = 1500


class RegistrationError(DiscordError):
    """The commands could not be read or registered; the message tells an operator what to do."""


class CommandsApi:
    """Reads and replaces an application's commands, globally or in one guild, with the bot's token."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        api_url: str,
        application_id: str | int,
        token: str,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._http = http
        self._api_url = api_url.rstrip("/")
        self._application_id = str(application_id)
        self._token = token
        self._clock = clock or SystemClock()

    async def fetch(self, guild_id: str | None = None) -> list[dict[str, Any]]:
        """Return what is registered now; without `with_localizations` Discord would leave all localizations out."""
        return await self._call("GET", guild_id, query="?with_localizations=true")

    def plan(
        self,
        existing: Sequence[Definition],
        wanted: Sequence[Definition],
        guild_id: str | None = None,
        *,
        delete: bool = True,
    ) -> Plan:
        """Return what registering `wanted` in this scope would change; sends nothing."""
        return make_plan(existing, wanted, guild_id, delete=delete)

    async def apply(self, plan: Plan) -> bool:
        """Make it so by one bulk PUT; return whether anything had to be sent."""
        if not plan.changes_anything:
            return False
        await self._call("PUT", plan.guild_id, body=encode(plan.payload))
        return True

    async def _call(
        self, method: str, guild_id: str | None, *, query: str = "", body: bytes | None = None
    ) -> list[dict[str, Any]]:
        """Make the call, waiting out rate limits and short outages: both calls may be repeated safely."""
        scope = f"/guilds/{guild_id}" if guild_id is not None else ""
        url = f"{self._api_url}/applications/{self._application_id}{scope}/commands{query}"
        problem = ""
        for tries in range(1, _TRIES + 1):
            response, problem = await self._request(method, url, body)
            wait = float(2 ** (tries - 1))
            if response is not None and response.is_success:
                return self._commands(response)
            if response is not None:
                error = read_error(response)
                problem = self._explained(error)
                if error.status == 429:
                    wait = self._wait(error, response.headers, wait)
                elif error.status < 500:
                    raise RegistrationError(self._advice(error, guild_id))
            if tries < _TRIES:
                await self._clock.sleep(wait)
        raise RegistrationError(f"Discord could not be reached at {self._api_url}: {problem}")

    async def _request(self, method: str, url: str, body: bytes | None) -> tuple[httpx2.Response | None, str]:
        """Make one try; the HTTP client's exceptions end here, since their requests carry the token."""
        headers = {"Authorization": f"Bot {self._token}", "User-Agent": USER_AGENT}
        if body is not None:
            headers["Content-Type"] = JSON_MEDIA_TYPE
        try:
            return await self._http.request(method, url, headers=headers, content=body, timeout=TIMEOUT_S), ""
        except httpx2.HTTPError as error:
            return None, f"{type(error).__name__}: {excerpt(str(error), (self._token,))}"

    def _commands(self, response: httpx2.Response) -> list[dict[str, Any]]:
        try:
            commands = response.json()
        except (ValueError, RecursionError):
            commands = None
        if not isinstance(commands, list) or not all(isinstance(c, dict) and "name" in c for c in commands):
            raise RegistrationError(f"{self._api_url} did not answer with a list of commands; is it Discord's API?")
        return commands

    def _wait(self, error: ApiError, headers: Mapping[str, str], fallback: float) -> float:
        told = read_rate_limit(error, headers).retry_after
        if told is not None and told > LONGEST_WAIT_S:
            raise RegistrationError(f"Discord asks to wait {told:.0f} s before the next registration; try again then.")
        return told if told is not None else 5 * fallback

    def _advice(self, error: ApiError, guild_id: str | None) -> str:
        """Return what an operator can do about a refusal."""
        said = self._explained(error)
        if error.status == 401:
            return f"DISCORD_TOKEN is not accepted by Discord; copy it again from the application's Bot page ({said})"
        if error.code == ErrorCode.DAILY_COMMAND_CREATES_REACHED:
            return f"This application has created its 200 commands of the day; try again tomorrow ({said})"
        if error.status in (403, 404) and guild_id is not None and error.code in _GUILD_CODES:
            return f"The bot is not in guild {guild_id}, or lacks the applications.commands scope there ({said})"
        if error.status in (403, 404):
            return f"DISCORD_APPLICATION_ID {self._application_id} is not the application of DISCORD_TOKEN ({said})"
        return f"Discord refuses the commands: {said}"

    def _explained(self, error: ApiError) -> str:
        details = "; ".join([error.message, *error.details("commands")])
        return f"HTTP {error.status}: {excerpt(details, (self._token,), limit=_EXPLANATION_MAX)}"


_GUILD_CODES: Final = frozenset({ErrorCode.UNKNOWN_GUILD, ErrorCode.MISSING_ACCESS})
