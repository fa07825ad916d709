"""Wait for a condition, never for a while."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

_POLL_S = 0.005
_TURNS_MAX = 1000


async def wait_until(
    predicate: Callable[[], bool | Awaitable[bool]], timeout: float = 5.0, description: str = "the condition"
) -> None:
    """Return as soon as `predicate` holds; fail, naming `description`, after `timeout` real seconds.

    The time is the machine's own, so that a test whose fake clock stands still can't hang.
    """
    end = time.monotonic() + timeout
    while True:
        held = predicate()
        if inspect.isawaitable(held):
            held = await held
        if held:
            return
        if time.monotonic() >= end:
            raise AssertionError(f"waited {timeout:g} s in vain: {description}")
        await asyncio.sleep(_POLL_S)


async def wait_turns_until(predicate: Callable[[], bool], description: str = "the condition") -> None:
    """Let other tasks run until `predicate` holds, without any real time passing.

    For tests with a `FakeClock` that advances by itself: it would pass over the moment during a real wait.
    """
    for _ in range(_TURNS_MAX):
        if predicate():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"waited {_TURNS_MAX} turns in vain: {description}")
