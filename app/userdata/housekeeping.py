"""What is kept of users is forgotten in time, without anybody asking."""

from __future__ import annotations

from collections.abc import Callable

from app.clock import Clock
from app.userdata.conversations import Conversations
from app.userdata.usage import UsageLog

EVERY_S = 60.0
AT_ONCE = 500
"""Turns dropped in one transaction: the others' writes come between."""

USAGE_KEPT_S = 90 * 86_400.0


class UserHousekeeping:
    """Drops turns older than the memory reaches, and usage of more than 90 days ago.

    `day_of` names the day of a moment, as the usage is counted by it.
    """

    def __init__(
        self,
        conversations: Conversations,
        usage: UsageLog,
        clock: Clock,
        *,
        memory_ttl_s: float,
        day_of: Callable[[float], str],
    ) -> None:
        self._conversations = conversations
        self._usage = usage
        self._clock = clock
        self._memory_ttl_s = memory_ttl_s
        self._day_of = day_of

    async def keep_house(self) -> None:
        """Look once a minute, until cancelled."""
        while True:
            await self.forget()
            await self._clock.sleep(EVERY_S)

    async def forget(self) -> None:
        """Drop what is too old now."""
        now = self._clock.now()
        while await self._conversations.forget(before=now - self._memory_ttl_s, limit=AT_ONCE) >= AT_ONCE:
            pass
        await self._usage.forget(before_day=self._day_of(now - USAGE_KEPT_S))
