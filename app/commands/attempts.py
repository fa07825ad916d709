"""Trying a provider call again, where that can help and costs nothing."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.balancing.keyset import concerns_key
from app.commands.base import JobContext
from app.errors import ProviderError

T = TypeVar("T")

ATTEMPTS = 3
FIRST_WAIT_S = 1.0
SHORTEST_ATTEMPT_S = 5.0


async def with_attempts(context: JobContext, call: Callable[[], Awaitable[T]]) -> T:
    """Return `call()`'s result, trying up to three times while time remains.

    Only failures of the provider as a whole are tried again here. What concerns this key (429, rejected, out of credit)
    goes up at once: another instance's key may do better.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await call()
        except ProviderError as error:
            wait = FIRST_WAIT_S * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
            out_of_time = context.seconds_left() < wait + SHORTEST_ATTEMPT_S
            if not error.retryable or concerns_key(error) or attempt == ATTEMPTS or out_of_time:
                raise
        await context.clock.sleep(wait)
    raise AssertionError("unreachable: the last attempt returns or raises")
