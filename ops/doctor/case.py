"""Everything the checks of one visit share."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import httpx2
from nacl.signing import SigningKey

from app.discord.wire import USER_AGENT
from app.store_url import is_redis_url, redis_address
from ops.checks import OperatorSettings
from ops.doctor.asking import Answer, ask
from ops.doctor.place import Place
from ops.envfile import EnvFile, is_key

DISCORD_WITHIN_S = 10.0
SHORTEST_SECRET = 4
"""What is shorter would mask parts of ordinary words, and is none that anybody had to guess."""
TOKENLESS = "this host has no DISCORD_TOKEN"


@dataclass
class Case:
    """One visit. `world` leads out, through the operator's proxy if there is one; `near` never takes a proxy.

    `given_url` is what the operator asked about; without it the address that Discord has is looked at.
    """

    file: EnvFile
    settings: OperatorSettings
    place: Place
    world: httpx2.AsyncClient
    near: httpx2.AsyncClient
    given_url: str = ""
    signing_key: SigningKey | None = None
    now: Callable[[], float] = time.time
    _application: asyncio.Task[Answer] | None = field(default=None, repr=False)

    @property
    def secrets(self) -> list[str]:
        """Everything that must not be shown, longest first."""
        named = ("_PASSWORD", "_TOKEN")
        found = {value for name, value in self.file.values.items() if is_key(name) or name.endswith(named)}
        found.add(self.settings.discord_token.get_secret_value())
        found.add(_password(self.settings.store_url))
        if is_redis_url(self.settings.store_url):
            found.update(redis_address(self.settings.store_url).secrets)
        found |= {quote(secret, safe="") for secret in found}
        found = {secret for secret in found if len(secret) >= SHORTEST_SECRET}
        return sorted(found, key=len, reverse=True)

    @property
    def simulated(self) -> bool:
        """Whether "Discord" is a simulator on this machine, which calls plain http on loopback."""
        return is_loopback(urlsplit(self.settings.discord_api_url).hostname or "")

    async def application(self) -> Answer:
        """Ask Discord, once, whose token this is.

        https://discord.com/developers/docs/resources/application#get-current-application
        """
        if self._application is None:
            token = self.settings.discord_token.get_secret_value()
            if not token:
                return Answer(0, problem=TOKENLESS)
            headers = {"Authorization": f"Bot {token}", "User-Agent": USER_AGENT}
            url = f"{self.settings.discord_api_url}/applications/@me"
            asked = ask(self.world, "GET", url, headers=headers, within_s=DISCORD_WITHIN_S, now=self.now)
            self._application = asyncio.create_task(asked)
        return await asyncio.shield(self._application)

    async def public_url(self) -> str:
        """The address to look at: the one given, else the one Discord has; empty if there is neither."""
        if self.given_url:
            return self.given_url
        told = (await self.application()).object.get("interactions_endpoint_url")
        return told if isinstance(told, str) else ""


def shown(url: str) -> str:
    """Return the address without a query: what somebody put there may be a secret."""
    return url.partition("?")[0].partition("#")[0]


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _password(url: str) -> str:
    """What stands between `:` and the last `@` of the authority; read by hand, since a hasty URL may not parse."""
    authority = url.partition("://")[2].partition("/")[0]
    return authority.rpartition("@")[0].partition(":")[2]
