"""What is kept of users, moved from one store to another: conversations, fresh starts, preferences and usage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any, cast

from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_transfer import hashes
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.sqlite_transfer import SqliteTable
from app.jobs.transfer import PAGE
from app.userdata.conversations import Turn
from app.userdata.preferences import Preferences, Scope
from app.userdata.redis_conversations import RedisConversations, turn_of
from app.userdata.redis_preferences import RedisPreferences
from app.userdata.redis_usage import SUMS, RedisUsage
from app.userdata.sqlite_preferences import preferences_from


@dataclass(frozen=True, slots=True)
class FreshStart:
    """When a user last started a channel's conversation over, or all of them (the empty channel)."""

    user_id: str
    channel_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Choice:
    """A user's or server's preferences; they are moved in the order they were made."""

    scope: Scope
    id: str
    preferences: Preferences


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What a user used of one kind on one day in one server (empty: in none)."""

    day: str
    user_id: str
    guild_id: str
    kind: str
    jobs: int
    prompt_tokens: int
    completion_tokens: int
    images: int
    videos: int
    micro_usd: int


TURN = ["job_id", "user_id", "channel_id", "asked_at", "question", "answer", "private"]


def sqlite_turns(engine: SqliteEngine) -> SqliteTable[Turn]:
    """Return the turns of the file; one from before a fresh start is not kept."""
    keep = (
        "INSERT OR IGNORE INTO turns (job_id, user_id, channel_id, asked_at, question, answer, private) "
        "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS ("
        "SELECT 1 FROM fresh_starts WHERE user_id=?2 AND channel_id IN (?3, '') AND at>?4)"
    )

    def make(job_id: str, user: str, channel: str, at: float, question: str, answer: str, private: int) -> Turn:
        return Turn(job_id, user, channel, at, question, answer, bool(private))

    return SqliteTable(engine, "turns", ["job_id"], TURN, make, keep=keep)


def sqlite_fresh_starts(engine: SqliteEngine) -> SqliteTable[FreshStart]:
    """Return the fresh starts of the file; the later of two holds."""
    keep = (
        "INSERT INTO fresh_starts (user_id, channel_id, at) VALUES (?,?,?) "
        "ON CONFLICT (user_id, channel_id) DO UPDATE SET at=excluded.at WHERE excluded.at>at"
    )
    key = ["user_id", "channel_id"]
    return SqliteTable(engine, "fresh_starts", key, [*key, "at"], FreshStart, keep=keep)


def sqlite_choices(engine: SqliteEngine) -> SqliteTable[Choice]:
    """Return the preferences of the file, in the order of their changes."""
    keep = (
        "INSERT OR IGNORE INTO preferences (scope, id, value, version) "
        "VALUES (?,?,?, (SELECT coalesce(max(version), 0) + 1 FROM preferences))"
    )

    def make(scope: str, id: str, value: str) -> Choice:
        return Choice(Scope(scope), id, preferences_from(value))

    def row(choice: Choice) -> tuple[Any, ...]:
        return choice.scope.value, choice.id, json.dumps(choice.preferences.chosen(), ensure_ascii=False)

    return SqliteTable(engine, "preferences", ["version"], ["scope", "id", "value"], make, row=row, keep=keep)


def sqlite_usage(engine: SqliteEngine) -> SqliteTable[UsageRow]:
    """Return the usage of the file."""
    columns = ["day", "user_id", "guild_id", "kind", *SUMS]
    return SqliteTable(engine, "usage", ["user_id", "day", "guild_id", "kind"], columns, UsageRow)


class RedisTurnTransfer:
    """The turns of the server; one from before a fresh start is not kept."""

    def __init__(self, engine: RedisEngine, *, memory_ttl_s: float) -> None:
        self._engine = engine
        self._kept = RedisConversations(engine, memory_ttl_s=memory_ttl_s)

    async def pages(self) -> AsyncIterator[Sequence[Turn]]:
        prefix = self._engine.key("turn", "")
        async for page in hashes(self._engine, f"{prefix}*"):
            yield [turn_of(key.removeprefix(prefix), found) for key, found in page]

    async def take_over(self, records: Sequence[Turn]) -> int:
        return sum(await asyncio.gather(*(self._kept.keep(turn, replace=False) for turn in records)))


class RedisFreshStartTransfer:
    """The fresh starts of the server; the later of two holds."""

    def __init__(self, engine: RedisEngine, *, memory_ttl_s: float) -> None:
        self._engine = engine
        self._kept = RedisConversations(engine, memory_ttl_s=memory_ttl_s)

    async def pages(self) -> AsyncIterator[Sequence[FreshStart]]:
        prefix = self._engine.key("fresh", "")
        async for page in hashes(self._engine, f"{prefix}*"):
            yield [
                FreshStart(key.removeprefix(prefix), channel.decode(), float(at))
                for key, found in page
                for channel, at in found.items()
            ]

    async def take_over(self, records: Sequence[FreshStart]) -> int:
        kept = (self._kept.keep_fresh_start(start.user_id, start.channel_id, start.at) for start in records)
        return sum(await asyncio.gather(*kept))


class RedisChoiceTransfer:
    """The preferences of the server, in the order of their changes."""

    def __init__(self, engine: RedisEngine) -> None:
        self._kept = RedisPreferences(engine)

    async def pages(self) -> AsyncIterator[Sequence[Choice]]:
        page = await self._kept.changed(after=0, limit=PAGE)
        while page:
            yield [Choice(stored.scope, stored.id, stored.preferences) for stored in page]
            page = await self._kept.changed(after=page[-1].version, limit=PAGE)

    async def take_over(self, records: Sequence[Choice]) -> int:
        kept = [await self._kept.keep(it.scope, it.id, it.preferences, replace=False) for it in records]
        return sum(version > 0 for version in kept)


class RedisUsageTransfer:
    """The usage of the server."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine
        self._kept = RedisUsage(engine)

    async def pages(self) -> AsyncIterator[Sequence[UsageRow]]:
        prefix = self._engine.key("usage", "user", "")
        async for page in hashes(self._engine, f"{prefix}*"):
            yield [
                _usage_row(key.removeprefix(prefix), name.decode(), sums)
                for key, found in page
                for name, sums in found.items()
            ]

    async def take_over(self, records: Sequence[UsageRow]) -> int:
        return sum(await asyncio.gather(*map(self._keep, records)))

    async def _keep(self, row: UsageRow) -> bool:
        day, user, guild, kind, *sums = astuple(row)
        return await self._kept.keep(day, user, guild, kind, cast(list[int], sums), only_new=True)


def _usage_row(whose: str, name: str, sums: bytes) -> UsageRow:
    user_id, _, day = whose.rpartition(":")
    guild_id, _, kind = name.partition(":")
    return UsageRow(day, user_id, guild_id, kind, *map(int, sums.split()))
