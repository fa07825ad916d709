"""What was used, by user and by server, for each day: jobs, tokens, and what they cost by the configured prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.jobs.job import Job


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer took from a provider. `micro_usd` is an estimate, in millionths of a US dollar; 0 is unknown.

    `enlarged` are those of the `images` that were made larger instead of drawn: they have a price of their own, and no
    sum of their own.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    images: int = 0
    videos: int = 0
    micro_usd: int = 0
    enlarged: int = 0


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """The sum over the answers of one kind."""

    jobs: int = 0
    usage: Usage = NO_USAGE


class UsageLog(Protocol):
    """Sums by day (`2026-11-22`), user, server and kind; raises `StoreUnavailable` when the store can't serve."""

    async def add(
        self, day: str, *, user_id: str, guild_id: str | None, kind: str, usage: Usage, job: Job | None = None
    ) -> None:
        """Count one answered job. Asked for in one turn of the loop with the job's finish, it is one transaction.

        Given the `job`, it is counted only under its current lease and while it is open: asked for before the finish,
        it counts once, whoever else ends the job and however often this is tried.
        """

    async def of_user(self, user_id: str, *, from_day: str, to_day: str) -> Mapping[str, UsageTotal]:
        """Return a user's sums by kind, over all servers, from one day to another, both included."""

    async def of_guild(self, guild_id: str, *, from_day: str, to_day: str) -> Mapping[str, UsageTotal]:
        """Return a server's sums by kind."""

    async def top_users(self, guild_id: str, *, from_day: str, to_day: str, limit: int = 5) -> Mapping[str, UsageTotal]:
        """Return the users who used most in a server (by jobs), most first."""

    async def forget(self, *, before_day: str) -> None:
        """Drop the days before this one."""
