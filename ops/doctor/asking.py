"""One HTTP request and what came of it, without an exception and without a secret."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2

T = TypeVar("T")
LARGEST_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered. `status` 0: nobody did, and `problem` says why. Times are seconds of this machine's clock."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    problem: str = ""
    began: float = 0.0
    took: float = 0.0

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None

    @property
    def object(self) -> dict[str, Any]:
        """The body if it is a JSON object, or an empty one."""
        found = self.json
        return found if isinstance(found, dict) else {}

    @property
    def text(self) -> str:
        """The body's beginning, for `app.redaction.excerpt`."""
        return self.content[:4000].decode(errors="replace")

    def clock_ahead(self) -> float | None:
        """How many seconds the sender's clock is ahead of ours, by its `Date` header, which has whole seconds only."""
        try:
            told = parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError):
            return None
        return told + 0.5 - (self.began + self.took / 2)


async def ask(
    client: httpx2.AsyncClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    within_s: float = 10.0,
    now: Callable[[], float] = time.time,
) -> Answer:
    """Send one request and read its answer, within `within_s` in all; redirections are not followed."""
    began, steady = now(), time.perf_counter()
    try:
        async with asyncio.timeout(within_s):
            async with client.stream(method, url, headers=dict(headers or {}), content=content) as response:
                took = time.perf_counter() - steady
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > LARGEST_ANSWER:
                        break
        told = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, told, bytes(body), began=began, took=took)
    except TimeoutError:
        return Answer(0, problem=f"no answer within {within_s:g} s")
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        return Answer(0, problem=_reason(error))


def _reason(error: BaseException) -> str:
    """Say it by its cause's name: texts of HTTP clients hold whole URLs and requests."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "the connection is refused"
        if "certificate" in str(cause).lower():
            return "its certificate is not accepted"
        if "name or service" in str(cause).lower() or "nodename" in str(cause).lower():
            return "its name is not known"
        cause = cause.__cause__ or cause.__context__
    return {"ConnectTimeout": "no connection in time", "ReadTimeout": "no answer in time"}.get(
        type(error).__name__, f"it can't be reached ({type(error).__name__})"
    )


async def aside(work: Callable[[], T]) -> T:
    """Run what blocks on a thread that nobody waits for at the end: a name server may keep it for minutes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return await future
