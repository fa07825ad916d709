"""The playground's switches for instances: handed on to whoever operates the system, whose address we were given.

The simulator knows nothing of the system it plays Discord for. An operator is any HTTP service on loopback:
`GET URL` answers the state (shown as it is), `POST URL` with `{"act": …, "instance": k}` changes it. Both ask for
`Authorization: Bearer …`.
"""

from __future__ import annotations

from typing import Any

import httpx2

from simulator.wire import tls
from simulator.world import World

TIMEOUT_S = 15.0


class NoOperator(Exception):
    """There is no operator, or it does not answer."""


class OperatorLink:
    """The way to the operator."""

    def __init__(self, world: World) -> None:
        self._config = world.config
        self._http: httpx2.AsyncClient | None = None

    async def state(self) -> Any:
        """Return what the operator says of its system."""
        return await self._ask("GET", None)

    async def act(self, wish: dict[str, Any]) -> Any:
        """Ask the operator for something; return its answer. `ValueError` if it refuses."""
        return await self._ask("POST", wish)

    async def _ask(self, method: str, wish: dict[str, Any] | None) -> Any:
        if not self._config.operator_url:
            raise NoOperator("this simulator was started without an operator")
        if self._http is None:
            headers = {"Authorization": f"Bearer {self._config.operator_token}"}
            self._http = httpx2.AsyncClient(trust_env=False, verify=tls(), timeout=TIMEOUT_S, headers=headers)
        try:
            answer = await self._http.request(method, self._config.operator_url, json=wish)
            found = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise NoOperator(f"the operator does not answer: {type(error).__name__}") from error
        if answer.status_code == 400:
            raise ValueError(str(found.get("error", "the operator refused")))
        if answer.status_code != 200:
            raise NoOperator(f"the operator answered {answer.status_code}")
        return found

    async def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            await self._http.aclose()
