"""What every store of conversations, preferences and usage promises (app/userdata/), whatever lies underneath."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from app.errors import LeaseLost, StoreUnavailable
from app.jobs.job import Finish, Job, Outcome
from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_store import RedisJobStore
from app.jobs.sqlite import SqliteJobStore
from app.jobs.store import JobStore
from app.userdata.conversations import Conversations, Turn
from app.userdata.preferences import NO_PREFERENCES, Preferences, PreferenceStore, Scope
from app.userdata.redis_conversations import RedisConversations
from app.userdata.redis_preferences import RedisPreferences
from app.userdata.redis_usage import RedisUsage
from app.userdata.sqlite_conversations import SqliteConversations
from app.userdata.sqlite_preferences import SqlitePreferences
from app.userdata.sqlite_usage import SqliteUsage
from app.userdata.usage import NO_USAGE, Usage, UsageLog, UsageTotal
from tests.contract.engines import Engine, engines
from tests.contract.job_store.kit import new, request

__all__ = ["engines"]

NOW = 1_800_000_000.0
DAY, NEXT, LATER = "2026-11-22", "2026-11-23", "2026-11-24"


def conversations_on(engine: Engine) -> Conversations:
    return RedisConversations(engine) if isinstance(engine, RedisEngine) else SqliteConversations(engine)


def preferences_on(engine: Engine) -> PreferenceStore:
    return RedisPreferences(engine) if isinstance(engine, RedisEngine) else SqlitePreferences(engine)


def usage_on(engine: Engine) -> UsageLog:
    return RedisUsage(engine) if isinstance(engine, RedisEngine) else SqliteUsage(engine)


def jobs_on(engine: Engine) -> JobStore:
    return RedisJobStore(engine) if isinstance(engine, RedisEngine) else SqliteJobStore(engine)


def turn(job_id: str, at: float = NOW, *, user: str = "5", channel: str = "7", private: bool = False) -> Turn:
    """Return a turn to be kept."""
    return Turn(job_id, user, channel, at, f"question {job_id}", f"answer {job_id}", private)


class TestConversations:
    @pytest.fixture
    def here(self, engines: tuple[Engine, Engine]) -> Conversations:
        return conversations_on(engines[0])

    @pytest.fixture
    def there(self, engines: tuple[Engine, Engine]) -> Conversations:
        return conversations_on(engines[1])

    async def ids(
        self, conversations: Conversations, *, since: float = 0, private: bool = True, limit: int = 50
    ) -> str:
        turns = await conversations.turns("5", "7", since=since, private=private, limit=limit)
        return " ".join(kept.job_id for kept in turns)

    async def test_newest_turns(self, here: Conversations, there: Conversations) -> None:
        """The newest turns asked after a moment come back oldest first, whole, on every instance."""
        for n in (3, 1, 2):
            await here.add(turn(str(n), NOW + n))
        assert await self.ids(there) == "1 2 3"
        assert await self.ids(there, since=NOW + 1) == "2 3"
        assert await self.ids(there, limit=2) == "2 3"
        assert (await there.turns("5", "7", since=NOW + 2, private=False))[0] == turn("3", NOW + 3)

    async def test_whose(self, here: Conversations) -> None:
        """A conversation is one user's in one channel, and nobody else reads a turn of it."""
        await here.add(turn("1"))
        await here.add(turn("2", user="6"))
        await here.add(turn("3", channel="8"))
        assert await self.ids(here) == "1"
        assert await here.turn("1", user_id="5") == turn("1")
        assert await here.turn("1", user_id="6") is None

    async def test_private(self, here: Conversations) -> None:
        """A private turn is only part of the conversation where the answer is private again."""
        await here.add(turn("1", NOW, private=True))
        await here.add(turn("2", NOW + 1))
        assert await self.ids(here, private=False) == "2"
        assert await self.ids(here, private=True) == "1 2"

    async def test_added_again(self, here: Conversations) -> None:
        """A job that ends twice leaves one turn: the last."""
        await here.add(turn("1"))
        await here.add(replace(turn("1"), answer="better"))
        (kept,) = await here.turns("5", "7", since=0, private=False)
        assert kept.answer == "better"

    async def test_under_lease(self, here: Conversations, engines: tuple[Engine, Engine]) -> None:
        """With a job a turn is kept only under its current lease, asked for together with the answer or not.

        Who lost the lease must not write over what the user was shown, not even where nobody has answered yet.
        """
        jobs = jobs_on(engines[0])
        await jobs.put(new("1"))
        (old,) = await jobs.lease(request(1))
        (current,) = await jobs.lease(request(2, now=NOW + 600))
        outcomes = await asyncio.gather(
            jobs.keep(old, b"stale"), here.add(replace(turn("1"), answer="stale"), job=old), return_exceptions=True
        )
        assert isinstance(outcomes[0], LeaseLost)
        assert await self.ids(here) == ""
        await asyncio.gather(jobs.keep(current, b"answer"), here.add(turn("1"), job=current))
        await here.add(replace(turn("1"), answer="stale"), job=old)
        await jobs.finish(current, Finish(Outcome.ANSWERED, NOW + 601))
        await here.add(replace(turn("1"), answer="late"), job=current)
        assert await here.turn("1", user_id="5") == turn("1")

    async def test_start_over(self, here: Conversations, there: Conversations) -> None:
        """After a fresh start nothing asked before it is remembered, not even an answer that ends only then."""
        await here.add(turn("1", NOW))
        await here.add(turn("2", NOW, channel="8"))
        assert await there.start_over("5", "7", now=NOW + 10) == 1
        await here.add(turn("3", NOW + 5))
        await here.add(turn("4", NOW + 11))
        assert await self.ids(here) == "4"
        assert await here.turn("2", user_id="5") is not None

    async def test_delete_all(self, here: Conversations, there: Conversations) -> None:
        """Deleting everything holds for every channel and for what ends later, and for one user only."""
        for n, channel in enumerate(("7", "8", "9")):
            await here.add(turn(str(n), channel=channel))
        await here.add(turn("other", user="6"))
        assert await there.delete_all("5", now=NOW + 10) == 3
        await here.add(turn("late", NOW + 5, channel="new"))
        assert await here.remembered("5", since=0) == []
        assert len(await here.remembered("6", since=0)) == 1

    async def test_remembered(self, here: Conversations) -> None:
        """What is kept is told by channel, newest first, with its size, as far as it is young enough."""
        await here.add(turn("1", NOW))
        await here.add(turn("2", NOW + 1, private=True))
        await here.add(turn("3", NOW + 2, channel="8"))
        newest, older = await here.remembered("5", since=NOW - 1)
        assert (newest.channel_id, newest.turns) == ("8", 1)
        assert (older.channel_id, older.turns, older.last_at) == ("7", 2, NOW + 1)
        assert (older.first_at, older.private, newest.private) == (NOW, 1, 0)
        assert older.characters == 2 * len("question 1answer 1")
        assert [kept.channel_id for kept in await here.remembered("5", since=NOW + 1)] == ["8"]

    async def test_forget(self, here: Conversations) -> None:
        """Old turns are dropped, a bounded number at a time, and the young are kept."""
        for n in range(5):
            await here.add(turn(str(n), NOW + n))
        assert await here.forget(before=NOW + 3, limit=2) == 2
        assert await here.forget(before=NOW + 3) == 1
        assert await self.ids(here) == "3 4"

    async def test_fresh_start_outlives_turns(self, here: Conversations) -> None:
        """An answer to a question of before a fresh start is not kept, even if it ends after what is old is dropped."""
        await here.start_over("5", "7", now=NOW + 1)
        await here.forget(before=NOW + 60)
        await here.add(turn("1", NOW))
        assert await self.ids(here) == ""


class TestPreferences:
    @pytest.fixture
    def here(self, engines: tuple[Engine, Engine]) -> PreferenceStore:
        return preferences_on(engines[0])

    @pytest.fixture
    def there(self, engines: tuple[Engine, Engine]) -> PreferenceStore:
        return preferences_on(engines[1])

    async def test_kept(self, here: PreferenceStore, there: PreferenceStore) -> None:
        """Choices come back as they were made, False too, and a user's are not a server's of the same id."""
        chosen = Preferences(model="m", persona="정중하게", language="ko", ratio="16:9", style="anime", private=False)
        await here.put(Scope.USER, "5", chosen)
        await here.put(Scope.GUILD, "5", Preferences(language="en"))
        assert await there.get(Scope.USER, "5") == chosen
        assert await there.get(Scope.GUILD, "5") == Preferences(language="en")
        assert await there.get(Scope.USER, "6") == NO_PREFERENCES

    async def test_replaced(self, here: PreferenceStore) -> None:
        """A new choice replaces all of the old ones."""
        await here.put(Scope.USER, "5", Preferences(model="m", language="ko"))
        await here.put(Scope.USER, "5", Preferences(language="en"))
        assert await here.get(Scope.USER, "5") == Preferences(language="en")

    async def test_changed(self, here: PreferenceStore, there: PreferenceStore) -> None:
        """Changes come in order, once each, with what holds now; those of both instances."""
        first = await here.put(Scope.USER, "1", Preferences(model="a"))
        second = await there.put(Scope.GUILD, "2", Preferences(model="b"))
        third = await here.put(Scope.USER, "1", Preferences(model="c"))
        assert first < second < third
        changes = await there.changed(after=0)
        assert [(c.scope, c.id, c.preferences.model, c.version) for c in changes] == [
            (Scope.GUILD, "2", "b", second),
            (Scope.USER, "1", "c", third),
        ]
        assert [c.version for c in await there.changed(after=0, limit=1)] == [second]
        assert list(await there.changed(after=third)) == []

    async def test_taken_back(self, here: PreferenceStore, there: PreferenceStore) -> None:
        """That a choice was taken back is a change like any other, and its version is never given again."""
        first = await here.put(Scope.USER, "1", Preferences(model="a"))
        second = await here.put(Scope.USER, "1", NO_PREFERENCES)
        (change,) = await there.changed(after=first)
        assert (change.id, change.preferences, change.version) == ("1", NO_PREFERENCES, second)
        assert await there.put(Scope.USER, "2", Preferences(model="b")) > second

    async def test_at_once(self, here: PreferenceStore, there: PreferenceStore) -> None:
        """Changes of two instances at the same time all count, each with a version of its own."""
        writes = [
            store.put(Scope.USER, f"{name}{n}", Preferences(model="m"))
            for n in range(20)
            for name, store in (("a", here), ("b", there))
        ]
        versions = await asyncio.gather(*writes)
        assert len(set(versions)) == 40
        assert len(await here.changed(after=0)) == 40


class TestUsage:
    @pytest.fixture
    def here(self, engines: tuple[Engine, Engine]) -> UsageLog:
        return usage_on(engines[0])

    @pytest.fixture
    def there(self, engines: tuple[Engine, Engine]) -> UsageLog:
        return usage_on(engines[1])

    async def test_sums(self, here: UsageLog, there: UsageLog) -> None:
        """Every answered job counts once, whichever instances count, by kind and over the days asked for."""
        chat, image = Usage(100, 20, micro_usd=5), Usage(images=1, micro_usd=40_000)
        adds = [
            store.add(day, user_id="5", guild_id=guild, kind="chat", usage=chat)
            for store in (here, there)
            for day in (DAY, NEXT, LATER)
            for guild in ("9", None)
        ]
        await asyncio.gather(*adds, here.add(DAY, user_id="5", guild_id="9", kind="image", usage=image))
        assert await here.of_user("5", from_day=DAY, to_day=NEXT) == {
            "chat": UsageTotal(8, Usage(800, 160, micro_usd=40)),
            "image": UsageTotal(1, image),
        }
        assert await there.of_guild("9", from_day=DAY, to_day=DAY) == {
            "chat": UsageTotal(2, Usage(200, 40, micro_usd=10)),
            "image": UsageTotal(1, image),
        }
        assert await there.of_user("6", from_day=DAY, to_day=LATER) == {}

    async def test_a_job_counts_once(self, here: UsageLog, there: UsageLog, engines: tuple[Engine, Engine]) -> None:
        """Symptom: an answer whose end was recorded twice (after a lost lease, or an unclear commit) was counted twice.
        Cause: the sum did not ask whose the job was. Only the current lease on an open job counts.
        """
        jobs = jobs_on(engines[0])
        await jobs.put(new())
        (old,) = await jobs.lease(request())
        (current,) = await jobs.lease(request(2, now=NOW + 600))

        def add(log: UsageLog, job: Job) -> Awaitable[None]:
            return log.add(DAY, user_id="5", guild_id=None, kind="chat", usage=Usage(100, 20), job=job)

        await add(here, old)
        await asyncio.gather(add(here, current), jobs.finish(current, Finish(Outcome.ANSWERED, NOW)))
        await add(there, current)
        assert await here.of_user("5", from_day=DAY, to_day=DAY) == {"chat": UsageTotal(1, Usage(100, 20))}

    async def test_top_users(self, here: UsageLog) -> None:
        """Those who used most in a server come first; what they did elsewhere does not count."""
        for user, jobs in (("1", 2), ("2", 5), ("3", 1), ("4", 3)):
            for _ in range(jobs):
                await here.add(DAY, user_id=user, guild_id="9", kind="chat", usage=NO_USAGE)
        for _ in range(9):
            await here.add(DAY, user_id="3", guild_id="8", kind="chat", usage=NO_USAGE)
            await here.add(DAY, user_id="3", guild_id=None, kind="chat", usage=NO_USAGE)
        top = await here.top_users("9", from_day=DAY, to_day=DAY, limit=3)
        assert [(user, total.jobs) for user, total in top.items()] == [("2", 5), ("4", 3), ("1", 2)]

    async def test_forget(self, here: UsageLog) -> None:
        """Days before the given one are dropped, and no other."""
        for day in (DAY, NEXT):
            await here.add(day, user_id="5", guild_id=None, kind="video", usage=Usage(videos=1))
        await here.forget(before_day=NEXT)
        assert await here.of_user("5", from_day=DAY, to_day=LATER) == {"video": UsageTotal(1, Usage(videos=1))}


async def test_closed(engines: tuple[Engine, Engine]) -> None:
    """A store that can't serve says so with the one error, whatever it is asked."""
    engine = engines[0]
    await engine.close()
    for asked in (
        conversations_on(engine).turns("5", "7", since=0, private=True),
        conversations_on(engine).add(turn("1")),
        preferences_on(engine).put(Scope.USER, "5", NO_PREFERENCES),
        preferences_on(engine).changed(after=0),
        usage_on(engine).add(DAY, user_id="5", guild_id=None, kind="chat", usage=NO_USAGE),
        usage_on(engine).of_user("5", from_day=DAY, to_day=DAY),
    ):
        with pytest.raises(StoreUnavailable):
            await asked
