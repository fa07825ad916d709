"""What is kept of users goes when its time is over, and not before."""

from __future__ import annotations

import asyncio

from app.balancing.budget import day_of
from app.userdata.housekeeping import AT_ONCE, EVERY_S, USAGE_KEPT_S, UserHousekeeping
from tests.kit.clock import FakeClock

TTL_S = 3600.0


class Conversations:
    """Holds `old` turns; `asked` are the moments before which turns were to be forgotten."""

    def __init__(self, old: int) -> None:
        self.old = old
        self.asked: list[float] = []

    async def forget(self, *, before: float, limit: int = 500) -> int:
        self.asked.append(before)
        gone = min(limit, self.old)
        self.old -= gone
        return gone


class UsageDays:
    """`before` are the days before which usage was to be forgotten."""

    def __init__(self) -> None:
        self.before: list[str] = []

    async def forget(self, *, before_day: str) -> None:
        self.before.append(before_day)


def housekeeping(conversations: Conversations, usage: UsageDays, clock: FakeClock) -> UserHousekeeping:
    """Return a housekeeping over these."""
    return UserHousekeeping(conversations, usage, clock, memory_ttl_s=TTL_S, day_of=day_of)  # type: ignore[arg-type]


async def test_everything_old_goes_in_bounded_steps() -> None:
    """However much is too old, one look drops all of it, so many turns at a time."""
    conversations, usage, clock = Conversations(2 * AT_ONCE + 7), UsageDays(), FakeClock()
    await housekeeping(conversations, usage, clock).forget()
    assert conversations.old == 0
    assert conversations.asked == [clock.now() - TTL_S] * 3
    assert usage.before == [day_of(clock.now() - USAGE_KEPT_S)]


async def test_looks_every_minute() -> None:
    """The chore goes on until it is cancelled."""
    conversations, clock = Conversations(0), FakeClock(auto_advance=False)
    chore = asyncio.create_task(housekeeping(conversations, UsageDays(), clock).keep_house())
    start = clock.now()
    await clock.advance(2 * EVERY_S)
    chore.cancel()
    assert conversations.asked == [start + n * EVERY_S - TTL_S for n in range(3)]
