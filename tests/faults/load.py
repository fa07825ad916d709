"""What users do in a fault test: a plan made from the seed alone, then played through the simulator's Discord."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from simulator.client import ControlClient

SNOWFLAKE_MIN = 10**17
AT_ONCE = 80
THINKING = {"speed": {"ttft_s": 1.5, "tokens_per_s": 4000.0, "spread": 0.8}}
"""The simulator's models think 0.3 to 2.7 s, then write fast: long work that costs little processor time."""

WORDS = ("바다", "겨울", "커피", "우주", "고양이", "기차", "rain", "winter", "paper", "music", "fox", "tea")


@dataclass(frozen=True)
class Ask:
    """One use of a command, `at` seconds after the start."""

    at: float
    user_id: int
    command: str
    options: dict[str, str]
    copies: int = 1


@dataclass
class Played:
    """What came of it; `failed` are those Discord got no good answer for."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Those whose acknowledgement failed."""
        return [one for one in self.asked if not one["ack"] or not one["ack"]["ok"]]


def user(rng: random.Random) -> int:
    """Return a user's id, too large for a double like the real ones."""
    return rng.randrange(SNOWFLAKE_MIN, 10**18)


def chat(rng: random.Random, at: float, number: int, *, seconds: float = 0.0, user_id: int = 0, more: str = "") -> Ask:
    """A question no other ask shares; the answer takes `seconds` (0: the simulator's own pace) and never repeats.

    `more` stands at the question's end.
    """
    words = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(2, 8)))
    pace = f" #seconds={seconds:.2f}" if seconds else ""
    return Ask(at, user_id or user(rng), "채팅", {"질문": f"{number}: {words} #vary{pace}{more}"})


def video(rng: random.Random, at: float, number: int, *, seconds: float = 1.0) -> Ask:
    """A video that takes `seconds`."""
    return Ask(at, user(rng), "비디오", {"설명": f"{number}: {rng.choice(WORDS)} #seconds={seconds:.2f}"})


def chats(rng: random.Random, count: int, rate: float, *, seconds: tuple[float, float] = (0.0, 0.0)) -> list[Ask]:
    """`count` chats at `rate` a second, evenly jittered, each answered within the range `seconds`."""
    step = 1 / rate
    return [
        chat(rng, n * step + rng.random() * step, n, seconds=rng.uniform(*seconds) if seconds[1] else 0.0)
        for n in range(count)
    ]


async def play(control: ControlClient, target: str, asks: Sequence[Ask]) -> Played:
    """Send each ask at its time and return once Discord has heard something, or nothing, for all of them."""
    played, began, room = Played(), time.monotonic(), asyncio.Semaphore(AT_ONCE)

    async def one(ask: Ask) -> None:
        async with room:
            made = await control.interact(target, ask.command, ask.options, user_id=ask.user_id, copies=ask.copies)
        played.asked.append(made)

    async with asyncio.TaskGroup() as group:
        for ask in sorted(asks, key=lambda ask: ask.at):
            wait = began + ask.at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(one(ask))
    return played
