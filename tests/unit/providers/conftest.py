"""A client whose answers a test makes up, and a look at the requests it got."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx2
import pytest


@dataclass
class Wired:
    """A fake at the transport: `answer` is given to every request, which is kept in `requests`."""

    client: httpx2.AsyncClient = field(init=False)
    answer: httpx2.Response | Callable[[httpx2.Request], httpx2.Response] = field(
        default_factory=lambda: httpx2.Response(500)
    )
    requests: list[httpx2.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._handle))

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self.answer if isinstance(self.answer, httpx2.Response) else self.answer(request)


@pytest.fixture
async def wired() -> AsyncIterator[Wired]:
    """A fresh fake for each test."""
    made = Wired()
    async with made.client:
        yield made
