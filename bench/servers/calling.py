"""Makes calls as it is told, over its standard input, and tells how long each took: one rival of `bench overhead`.

Runs in each rival's own environment, so it needs nothing but the OpenAI SDK.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

MODEL = "gpt-5.4-mini"
SYSTEM = "You answer in one sentence."

Call = Callable[[int], Awaitable[str]]
"""Ask question n and return the answer's whole text."""


def question(number: int) -> str:
    """Return a question of its own; the simulated answer to it is short."""
    return f"Question {number}: why is the sky blue? #chars=120 #seconds=0"


def bare_call(base_url: str) -> Call:
    """Return the official SDK's own call, streamed, as its documentation has it."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="simulated", base_url=base_url, max_retries=0)

    async def call(number: int) -> str:
        messages: list[Any] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": question(number)},
        ]
        stream = await client.chat.completions.create(
            model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    return call


async def serve(calls: dict[str, Call], packages: tuple[str, ...]) -> None:
    """Say who is there, then obey `{"how": …, "first": …, "calls": …, "at_once": …}`, a line each, until the end."""
    loop = asyncio.get_running_loop()
    _say({name: version(name) for name in packages})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        gc.collect()
        _say(await _timed(calls[asked["how"]], asked["first"], asked["calls"], asked["at_once"]))


async def _timed(call: Call, first: int, count: int, at_once: int) -> dict[str, Any]:
    """Make `count` calls, `at_once` at a time; an answer that is empty is an error."""
    numbers = iter(range(first, first + count))
    took: list[float] = []

    async def go_on() -> None:
        for number in numbers:
            began = time.perf_counter()
            if not await call(number):
                raise RuntimeError("an empty answer")
            took.append(time.perf_counter() - began)

    began, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(go_on() for _ in range(at_once)))
    return {"took_s": took, "elapsed_s": time.perf_counter() - began, "cpu_s": time.process_time() - busy}


def _say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)
