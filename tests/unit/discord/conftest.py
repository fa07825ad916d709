"""What the tests of the Discord side share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from app.discord.replies import Message
from app.discord.webhook import FollowUpClient
from tests.kit.clock import FakeClock
from tests.unit.discord.scripted import API_URL, APPLICATION, TOKEN, Answer, ScriptedDiscord


class Bench:
    """A client in front of a scripted Discord; its interaction was received at second 0 and lives 14 minutes."""

    def __init__(self, clock: FakeClock, discord: ScriptedDiscord, client: FollowUpClient) -> None:
        self.clock = clock
        self.discord = discord
        self.client = client
        self.received_at = clock.now()
        self.expires_at = self.received_at + 14 * 60
        self.outcomes: list[str] = []

    async def final(self, text: str = "answer", token: str = TOKEN, **times: float) -> bool:
        return await self.edit(Message(text), token, final=True, **times)

    async def progress(self, text: str = "progress", token: str = TOKEN, **times: float) -> bool:
        return await self.edit(Message(text), token, final=False, **times)

    async def post(self, text: str = "part", token: str = TOKEN, **times: float) -> str:
        received_at = times.get("received_at", self.received_at)
        expires_at = times.get("expires_at", self.expires_at)
        return await self.client.post(token, Message(text), received_at=received_at, expires_at=expires_at)

    async def edit(self, message: Message, token: str = TOKEN, *, final: bool = True, **times: float) -> bool:
        received_at = times.get("received_at", self.received_at)
        expires_at = times.get("expires_at", self.expires_at)
        return await self.client.edit_original(
            token, message, received_at=received_at, expires_at=expires_at, final=final
        )


MakeBench = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def bench() -> AsyncIterator[MakeBench]:
    """Return a maker of benches: the answers Discord gives, which Discord, the client's own keyword arguments."""
    async with AsyncExitStack() as stack:

        async def make(*answers: Answer, discord: type[ScriptedDiscord] = ScriptedDiscord, **options: Any) -> Bench:
            clock = FakeClock()
            scripted = discord(clock, *answers)
            http = await stack.enter_async_context(httpx2.AsyncClient(transport=httpx2.MockTransport(scripted)))
            outcomes: list[str] = []
            options = {"random": lambda: 1.0, "on_call": lambda outcome, _: outcomes.append(outcome), **options}
            made = Bench(clock, scripted, FollowUpClient(http, API_URL, APPLICATION, clock, **options))
            made.outcomes = outcomes
            return made

        yield make
