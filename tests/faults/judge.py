"""Follows the ledger on disk while the system runs, and answers questions about it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.check import Checker
from simulator.ledger import Event, digest
from tests.faults.stage import Happening

POLL_S = 0.1
QUIET_S = 1.5
LIVELY = ("webhook", "channel_message", "provider_call", "provider_done", "sent", "acked")


@dataclass(frozen=True)
class Resumption:
    """Work that a fault interrupted: which, when and where it went on."""

    interaction: str
    seconds: float
    on: str
    """The key set that went on with it; empty if only its delivery was left."""


class Judge:
    """The ledger's live reader. Nothing here asks the system itself."""

    def __init__(self, ledger: Path, **options: Any) -> None:
        self._ledger = ledger
        self._offset = 0
        self.checker = Checker(**options)
        self.events: list[Event] = []

    def read(self) -> None:
        """Take in what was written since the last time."""
        with self._ledger.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                event = json.loads(line)
                self.events.append(event)
                self.checker.feed(event)

    def of(self, kind: str, **fields: Any) -> list[Event]:
        """Return events of a kind whose fields have these values."""
        self.read()
        return [e for e in self.events if e["event"] == kind and all(e.get(k) == v for k, v in fields.items())]

    def provider_calls(self, provider: str = "openai", route: str = "chat") -> list[Event]:
        """Return the calls that cost something and that the provider let through."""
        calls = self.of("provider_call", provider=provider, costly=True, admitted=True)
        return [call for call in calls if route in call["route"]]

    async def until(self, holds: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until something holds of the ledger read so far."""
        end = time.monotonic() + timeout
        while True:
            self.read()
            if holds():
                return
            if time.monotonic() > end:
                raise AssertionError(f"waited {timeout:g} s in vain: {what}")
            await asyncio.sleep(POLL_S)

    async def settled(self, timeout: float) -> list[str]:
        """Wait until every accepted interaction is answered; return those that are not after `timeout` s."""
        try:
            await self.until(lambda: not self.checker.unanswered(), timeout, "everybody's answer")
        except AssertionError:
            return self.checker.unanswered()
        return []

    async def quiet(self, seconds: float = QUIET_S, timeout: float = 30.0) -> None:
        """Wait until nothing has happened for a while: a second answer would come after the first."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.read()
            last = next((e["t"] for e in reversed(self.events) if e["event"] in LIVELY), 0.0)
            if time.monotonic() - last >= seconds:
                return
            await asyncio.sleep(POLL_S)

    def interrupted(self, kill: Happening, keys: Iterable[str]) -> list[Resumption]:
        """Return what the instance with key set `keys` was at when it was killed, and how it went on.

        At work means: one of its chat calls had begun and the interaction had no final outcome. Such a job goes on with
        the next call for the same prompt, or with its final edit where the answer was already kept.
        """
        labels = set(keys)
        owner = {prompt: e["interaction"] for e in self.of("sent") for prompt in (e.get("prompts") or {}).values()}
        calls: dict[str, list[Event]] = defaultdict(list)
        for call in self.provider_calls():
            calls[owner.get(call.get("prompt", ""), "")].append(call)
        ends = {e["interaction"]: e["t"] for e in reversed(self.events) if e["event"] == "webhook" and e.get("final")}
        found = []
        for name, made in calls.items():
            before = [call for call in made if call["t"] <= kill.t]
            if not name or not before or before[-1]["key"] not in labels or ends.get(name, kill.t + 1) <= kill.t:
                continue
            after = next((call for call in made if call["t"] > kill.t), None)
            went_on = min(after["t"] if after else float("inf"), ends.get(name, float("inf")))
            on = after["key"] if after and after["t"] == went_on else ""
            found.append(Resumption(name, went_on - kill.t, on))
        return found


def prompt_digest(prompt: str) -> str:
    """Return how the ledger names a prompt."""
    return digest(prompt)
