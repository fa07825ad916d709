"""Drives a simulator in another process through its control API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx2

from simulator.wire import tls

POLL_S = 20.0


class ControlError(RuntimeError):
    """The control API refused; the message is its own."""


class ControlClient:
    """`async with ControlClient(url, token) as control:`; every method returns the API's JSON values."""

    def __init__(self, url: str, token: str = "") -> None:
        headers = {"X-Control-Token": token} if token else {}
        self._http = httpx2.AsyncClient(base_url=f"{url}/control", headers=headers, timeout=POLL_S + 10, verify=tls(),
                                        trust_env=False)  # fmt: skip

    async def __aenter__(self) -> ControlClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def info(self) -> dict[str, Any]:
        """Return public key, application id and seed."""
        return dict(await self._call("GET", "/info"))

    async def interact(
        self, target: str, command: str, options: Mapping[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Use a command; `user_id`, `locale`, `copies`, `attachments`, `wait_s` and where the user stands in `more`."""
        body = {"target": target, "command": command, "options": dict(options or {}), **more}
        return dict(await self._call("POST", "/interactions", body))

    async def autocomplete(
        self, target: str, command: str, option: str, typed: str = "", **more: Any
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Return the choices an application offers for an option while `typed` stands in it."""
        options = {**more.pop("options", {}), option: typed}
        shown = await self.interact(target, command, options, autocomplete=option, **more)
        return list(shown["choices"] or [])

    async def context_menu(
        self, target: str, command: str, message: str | Mapping[str, Any], **more: Any
    ) -> dict[str, Any]:  # fmt: skip
        """Use a message command on the message with this id, or on one written for it (`content`, `user_id`, …)."""
        wanted = message if isinstance(message, str) else dict(message)
        body = {"target": target, "command": command, "context_menu": wanted, **more}
        return dict(await self._call("POST", "/interactions", body))

    async def say(self, content: str, **more: Any) -> dict[str, Any]:
        """Write a user's own message to the channel."""
        return dict(await self._call("POST", "/messages", {"content": content, **more}))

    async def channel(self, channel_id: str = "", viewer: str = "") -> list[dict[str, Any]]:
        """Return the newest messages of a channel that the viewer sees, oldest first."""
        return list(await self._call("GET", f"/channel?id={channel_id}&viewer={viewer}"))

    async def press(self, target: str, of: str, custom_id: str, **more: Any) -> dict[str, Any]:
        """Press a button on a message of interaction `of`; `values` for a select, `message_id` for another message."""
        return dict(await self._call("POST", "/interactions", {"target": target, "of": of, "press": custom_id, **more}))

    async def submit(self, target: str, of: str, fields: Mapping[str, str], **more: Any) -> dict[str, Any]:
        """Send the modal that interaction `of` was answered with."""
        body = {"target": target, "of": of, "submit": dict(fields), **more}
        return dict(await self._call("POST", "/interactions", body))

    async def resend(self, target: str, of: str, copies: int = 1) -> dict[str, Any]:
        """Deliver the same interaction again."""
        return dict(await self._call("POST", "/interactions", {"target": target, "again": of, "copies": copies}))

    async def final(self, interaction_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait until the interaction has a final outcome; `TimeoutError` if it has none in time."""
        until = time.monotonic() + timeout_s
        while True:
            wait = min(POLL_S, max(0.1, until - time.monotonic()))
            found = dict(await self._call("GET", f"/interactions/{interaction_id}?wait_s={wait:.3f}"))
            if found["final"]:
                return found
            if time.monotonic() >= until:
                raise TimeoutError(f"interaction {interaction_id} is not final after {timeout_s} s: {found['state']}")

    async def ping(self, target: str) -> dict[str, Any]:
        """Let Discord probe an endpoint: a good PING and a bad signature."""
        return dict(await self._call("POST", "/ping", {"target": target}))

    async def commands(self) -> dict[str, list[dict[str, Any]]]:
        """Return the registered commands by scope."""
        return dict(await self._call("GET", "/commands"))

    async def messages(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return the newest interactions."""
        return list(await self._call("GET", f"/messages?limit={limit}"))

    async def ledger(self, since: int = 0) -> list[dict[str, Any]]:
        """Return events numbered above `since`."""
        return list(await self._call("GET", f"/ledger?since={since}"))

    async def stats(self) -> dict[str, Any]:
        """Return counts per key."""
        return dict(await self._call("GET", "/stats"))

    async def fault(self, target: str, kind: str, **more: Any) -> dict[str, Any]:
        """Ask for a fault."""
        return dict(await self._call("POST", "/faults", {"target": target, "kind": kind, **more}))

    async def clear_faults(self) -> None:
        """Forget every fault."""
        await self._call("DELETE", "/faults")

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        response = await self._http.request(method, path, json=body)
        if response.status_code == 204:
            return None
        value = response.json()
        if response.status_code >= 400:
            raise ControlError(value.get("error", f"HTTP {response.status_code}"))
        return value
