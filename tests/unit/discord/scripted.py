"""A Discord that answers by a script and writes down when it was asked what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.kit.clock import FakeClock

API_URL = "https://discord.test/api/v10"
APPLICATION = "1200000000000000000"
TOKEN = "aW50ZXJhY3Rpb246MTMwMDAwMDAwMDAwMDAwMDAwMQ.secret-Part_1"

Answer = httpx2.Response | Exception | Callable[[], Awaitable[httpx2.Response]]


@dataclass(frozen=True)
class Call:
    """One request: seconds since the test began, and what was asked."""

    at: float
    request: httpx2.Request

    @property
    def token(self) -> str:
        return self.request.url.path.split("/")[5]

    @property
    def json(self) -> Any:
        return json.loads(self.request.content)


class ScriptedDiscord:
    """Gives the answers in order, then 200 for ever; knows whether calls for one token ever overlapped."""

    def __init__(self, clock: FakeClock, *answers: Answer) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.calls: list[Call] = []
        self.overlaps = 0
        self.latency = 0.0
        self._in_flight: dict[str, int] = {}

    @property
    def times(self) -> list[float]:
        return [round(call.at, 3) for call in self.calls]

    @property
    def contents(self) -> list[str]:
        return [call.json["content"] for call in self.calls]

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        call = Call(self.clock.elapsed, request)
        self.calls.append(call)
        answer = self.answers.pop(0) if self.answers else ok()
        self.overlaps += bool(self._in_flight.get(call.token))
        self._in_flight[call.token] = self._in_flight.get(call.token, 0) + 1
        try:
            return await self._answer(answer)
        finally:
            self._in_flight[call.token] -= 1

    async def _answer(self, answer: Answer) -> httpx2.Response:
        if self.latency:
            await self.clock.sleep(self.latency)
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else await answer()


@dataclass
class Window:
    """A limit that starts with its first call, as Discord's do."""

    limit: int
    seconds: float
    started: float = float("-inf")
    used: int = 0

    def wait(self, now: float) -> float:
        """Return how long a call has to wait; 0 if it may go."""
        if now >= self.started + self.seconds:
            self.started, self.used = now, 0
        return 0.0 if self.used < self.limit else self.started + self.seconds - now


class LimitedDiscord(ScriptedDiscord):
    """Enforces 5 calls in 2 s and 30 in 60 s for each token; its headers tell of the one that leaves fewer calls.

    `refused` counts the 429s.
    """

    def __init__(self, clock: FakeClock, *answers: Answer, latency: float = 0.0) -> None:
        super().__init__(clock, *answers)
        self.latency = latency
        self.refused = 0
        self._windows: dict[str, tuple[Window, Window]] = {}

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        now = self.clock.elapsed
        windows = self._windows.setdefault(request.url.path.split("/")[5], (Window(5, 2.0), Window(30, 60.0)))
        wait = max(window.wait(now) for window in windows)
        if wait:
            self.refused += 1
            return limited(wait)
        for window in windows:
            window.used += 1
        response = await super().__call__(request)
        tight = min(windows, key=lambda window: window.limit - window.used)
        response.headers["X-RateLimit-Limit"] = str(tight.limit)
        response.headers["X-RateLimit-Remaining"] = str(tight.limit - tight.used)
        response.headers["X-RateLimit-Reset-After"] = f"{tight.started + tight.seconds - self.clock.elapsed:.3f}"
        return response


def ok(*, remaining: int | None = None, reset_after: float = 0.0) -> httpx2.Response:
    headers = {}
    if remaining is not None:
        headers = {"X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset-After": str(reset_after)}
    return httpx2.Response(200, json={"id": "1"}, headers=headers)


def error(status: int, code: int | None = None, message: str = "no", **extra: Any) -> httpx2.Response:
    body = {"message": message, **({"code": code} if code is not None else {}), **extra}
    return httpx2.Response(status, json=body)


def limited(retry_after: float, *, scope: str = "user", everywhere: bool = False) -> httpx2.Response:
    headers = {"Retry-After": str(int(retry_after) + 1), "X-RateLimit-Scope": "global" if everywhere else scope}
    body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": everywhere}
    return httpx2.Response(429, json=body, headers=headers)
