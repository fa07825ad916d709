"""What an instance knows of users, in memory: conversations, choices and use, by the same protocols as the stores'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace

from app.commands.base import Memory, People
from app.jobs.job import Job
from app.userdata.conversations import Remembered, Turn
from app.userdata.preferences import NO_PREFERENCES, Preferences, Scope, StoredPreferences
from app.userdata.usage import Usage, UsageTotal

Day = tuple[str, str, str | None, str]


class MemoryConversations:
    """Turns in a list."""

    def __init__(self) -> None:
        self.kept: list[Turn] = []

    async def turns(
        self, user_id: str, channel_id: str, *, since: float, private: bool, limit: int = 50
    ) -> Sequence[Turn]:
        mine = [t for t in self.kept if (t.user_id, t.channel_id) == (user_id, channel_id) and t.asked_at > since]
        return sorted((t for t in mine if private or not t.private), key=lambda t: t.asked_at)[-limit:]

    async def turn(self, job_id: str, *, user_id: str) -> Turn | None:
        return next((t for t in self.kept if (t.job_id, t.user_id) == (job_id, user_id)), None)

    async def add(self, turn: Turn, *, job: Job | None = None) -> None:
        self.kept = [t for t in self.kept if t.job_id != turn.job_id] + [turn]

    async def start_over(self, user_id: str, channel_id: str, *, now: float) -> int:
        return self._drop([t for t in self.kept if (t.user_id, t.channel_id) == (user_id, channel_id)])

    async def remembered(self, user_id: str, *, since: float) -> Sequence[Remembered]:
        found = []
        for channel in {t.channel_id for t in self.kept if t.user_id == user_id}:
            turns = await self.turns(user_id, channel, since=since, private=True)
            if turns:
                letters = sum(len(t.question) + len(t.answer) for t in turns)
                secret = sum(t.private for t in turns)
                found.append(
                    Remembered(channel, len(turns), letters, turns[-1].asked_at, turns[0].asked_at, private=secret)
                )
        return sorted(found, key=lambda channel: -channel.last_at)

    async def delete_all(self, user_id: str, *, now: float) -> int:
        return self._drop([t for t in self.kept if t.user_id == user_id])

    async def forget(self, *, before: float, limit: int = 500) -> int:
        return self._drop([t for t in self.kept if t.asked_at < before][:limit])

    def _drop(self, turns: Sequence[Turn]) -> int:
        self.kept = [t for t in self.kept if t not in turns]
        return len(turns)


class MemoryPreferences:
    """Rows by scope and id, in the order of their changes."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Scope, str], StoredPreferences] = {}

    async def get(self, scope: Scope, id: str) -> Preferences:
        row = self.rows.get((scope, id))
        return row.preferences if row is not None else NO_PREFERENCES

    async def put(self, scope: Scope, id: str, preferences: Preferences) -> int:
        version = 1 + max((row.version for row in self.rows.values()), default=0)
        self.rows[scope, id] = StoredPreferences(scope, id, preferences, version)
        return version

    async def changed(self, *, after: int, limit: int = 1000) -> Sequence[StoredPreferences]:
        return sorted((row for row in self.rows.values() if row.version > after), key=lambda row: row.version)[:limit]

    def chosen(self, user_id: str, guild_id: str | None) -> Preferences:
        """What holds for a user in a server, at once."""
        own, server = (self.rows.get(key) for key in ((Scope.USER, user_id), (Scope.GUILD, guild_id or "")))
        mine = own.preferences if own is not None else NO_PREFERENCES
        return mine.over(server.preferences) if server is not None else mine


class MemoryUsage:
    """Sums by day, user, server and kind."""

    def __init__(self) -> None:
        self.sums: dict[Day, UsageTotal] = {}

    async def add(
        self, day: str, *, user_id: str, guild_id: str | None, kind: str, usage: Usage, job: Job | None = None
    ) -> None:
        key = day, user_id, guild_id, kind
        self.sums[key] = _sum([self.sums.get(key, UsageTotal()), UsageTotal(1, usage)])

    async def of_user(self, user_id: str, *, from_day: str, to_day: str) -> Mapping[str, UsageTotal]:
        return self._by(3, {key: total for key, total in self._between(from_day, to_day).items() if key[1] == user_id})

    async def of_guild(self, guild_id: str, *, from_day: str, to_day: str) -> Mapping[str, UsageTotal]:
        return self._by(3, {key: total for key, total in self._between(from_day, to_day).items() if key[2] == guild_id})

    async def top_users(self, guild_id: str, *, from_day: str, to_day: str, limit: int = 5) -> Mapping[str, UsageTotal]:
        here = {key: total for key, total in self._between(from_day, to_day).items() if key[2] == guild_id}
        ranked = sorted(self._by(1, here).items(), key=lambda item: -item[1].jobs)
        return dict(ranked[:limit])

    async def forget(self, *, before_day: str) -> None:
        self.sums = {key: total for key, total in self.sums.items() if key[0] >= before_day}

    def _between(self, first: str, last: str) -> Mapping[Day, UsageTotal]:
        return {key: total for key, total in self.sums.items() if first <= key[0] <= last}

    def _by(self, field: int, sums: Mapping[Day, UsageTotal]) -> Mapping[str, UsageTotal]:
        names = dict.fromkeys(str(key[field]) for key in sums)
        return {name: _sum([total for key, total in sums.items() if key[field] == name]) for name in names}


def _sum(totals: Sequence[UsageTotal]) -> UsageTotal:
    columns = zip(*(astuple(total.usage) for total in totals), strict=True)
    return UsageTotal(sum(total.jobs for total in totals), Usage(*(sum(column) for column in columns)))


class MemoryPeople:
    """All of it, and the `People` made of it. `choose` sets a user's preferences."""

    def __init__(self, *, models: tuple[str, ...] = ("small", "large"), memory: Memory | None = None) -> None:
        self.conversations = MemoryConversations()
        self.preferences = MemoryPreferences()
        self.usage = MemoryUsage()
        self.quota = 0
        self.people = People(
            conversations=self.conversations,
            preferences=self.preferences,
            usage=self.usage,
            chosen=self.preferences.chosen,
            changed=lambda scope, id, preferences: None,
            memory=memory or Memory(ttl_s=86_400, tokens=4000),
            models=models,
            day=lambda: "2026-01-02",
            day_ends_at=lambda: 1_767_398_400.0,
            quota=lambda interaction: self.quota,
            prices_known=False,
        )

    async def choose(self, user_id: str, **chosen: str | bool) -> None:
        """Add to a user's preferences."""
        before = await self.preferences.get(Scope.USER, user_id)
        await self.preferences.put(Scope.USER, user_id, replace(before, **chosen))  # type: ignore[arg-type]
