"""What moving a store promises (app/moving.py), from either engine to the other, between real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.balancing.state import InstanceSnapshot
from app.clock import SystemClock
from app.errors import StoreUnavailable
from app.jobs.job import Finish, Job, Outcome, Repeat
from app.jobs.store import PutResult
from app.moving import NotMovable, Place, Report, move
from app.storage import Storage
from app.userdata.conversations import Turn
from app.userdata.preferences import NO_PREFERENCES, Preferences, Scope
from app.userdata.usage import Usage
from tests.contract.job_store.kit import NOW, new, request
from tests.redis_kit import RedisServer

DAY, NEXT = "2027-01-15", "2027-01-16"
KINDS = ["preferences", "fresh starts", "turns", "usage", "counters", "calls", "jobs"]


def unseen(kind: str, found: int, moved: int) -> None:
    """Progress that nobody looks at."""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Place]:
    """A store, open."""
    place = Place(url)
    await place.storage.open()
    try:
        yield place
    finally:
        await place.storage.close()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a file, with nothing in it."""
    (tmp_path / "quartet.db").touch()
    return f"sqlite:///{tmp_path / 'quartet.db'}"


@pytest.fixture(params=["to redis", "to sqlite"])
def way(request: pytest.FixtureRequest, file: str, redis_url: str) -> tuple[str, str]:
    """Where from and where to."""
    return (file, redis_url) if request.param == "to redis" else (redis_url, file)


async def fill(store: Storage) -> dict[str, Job]:
    """Leave jobs in every state they can be in, and something of every other kind; returns the jobs under lease."""
    jobs = store.jobs
    for n, user in enumerate(("5", "5", "6", "5", "7", "5", "8"), start=1):
        await jobs.put(new(str(n), user=user, at=NOW + n))
    held = {job.id: job for job in await jobs.lease(request())}
    await jobs.put(new("8", user="9", at=NOW + 8))
    await jobs.checkpoint(held["1"], {"state": "submitted", "task": "작업-1"}, pin=True)
    await jobs.keep(held["2"], b"\x00answer\xff")
    await jobs.record_parts(held["2"], [{"id": "77", "text": "둘째"}])
    await jobs.stop("3", user_id="6")
    await jobs.release(held["4"], counted=False, avoid_until=NOW + 50)
    await jobs.extend(held["5"], NOW + 5000)
    await jobs.finish(held["6"], Finish(Outcome.ANSWERED, NOW + 20, "openai", repeat=Repeat.ALWAYS))
    await jobs.finish(held["7"], Finish(Outcome.FAILED, NOW + 21, error="ProviderTimeout"))
    await store.conversations.start_over("5", "70", now=NOW + 2)
    for n, private in ((3, False), (4, True)):
        await store.conversations.add(Turn(f"t{n}", "5", "70", NOW + n, f"질문 {n}", f"answer {n}", private))
    await store.conversations.delete_all("6", now=NOW + 9)
    await store.preferences.put(Scope.USER, "5", Preferences(model="m", private=False))
    await store.preferences.put(Scope.GUILD, "9", Preferences(persona="정중하게"))
    await store.preferences.put(Scope.USER, "4", NO_PREFERENCES)
    for day, guild in ((DAY, "9"), (DAY, None), (NEXT, "9")):
        await store.usage.add(day, user_id="5", guild_id=guild, kind="chat", usage=Usage(100, 20, micro_usd=7))
    await store.counters.add(DAY, "done:1:chat", 3)
    for n in (1, 2, 2):
        await store.calls.record("1:openai", day=DAY, at=NOW + n / 3)
    return held


async def contents(place: Place) -> dict[str, list[Any]]:
    """Return everything that is moved, by kind. Only jobs and choices have an order."""
    found: dict[str, list[Any]] = {}
    for kind, movable in place.kinds.items():
        found[kind] = [record async for page in movable.pages() for record in page]
        if kind not in ("jobs", "preferences"):
            found[kind].sort(key=repr)
    return found


async def moved(way: tuple[str, str], progress: Callable[[str, int, int], None] = unseen) -> Report:
    """Move, with the machine's own clock."""
    return await move(*way, progress=progress, clock=SystemClock())


async def test_everything_arrives_as_it_was(way: tuple[str, str]) -> None:
    """Every job with its state, fence, attempts, checkpoint, pin, result, parts, payload and place in the queue; every
    turn, fresh start, choice, sum, counter and call. And nothing is gone or different where it came from.
    """
    async with opened(way[0]) as source:
        await fill(source.storage)
        before = await contents(source)
    assert {job.state for job in before["jobs"]} == {"waiting", "running", "done"}
    report = await moved(way)
    async with opened(way[0]) as source, opened(way[1]) as target:
        after = await contents(target)
        assert await contents(source) == before
    assert [kind for kind, records in after.items() if records] == KINDS
    for kind in KINDS:
        assert after[kind] == before[kind], kind
    assert {kind: (n.found, n.moved) for kind, n in report.kinds.items()} == {k: (len(before[k]),) * 2 for k in KINDS}
    assert report.jobs == {"waiting": 2, "running": 4, "done": 2}


async def test_the_queue_goes_on_where_it_stopped(way: tuple[str, str]) -> None:
    """Instances on the new store go on with what was begun, in its turn, under newer fences; who has a pin gets it; a
    copy of what was accepted is a copy; what may be done again may be, and quotas remember.
    """
    async with opened(way[0]) as source:
        held = await fill(source.storage)
    await moved(way)
    async with opened(way[1]) as target:
        jobs = target.storage.jobs
        assert await jobs.put(new("8", user="9", at=NOW + 8)) is PutResult.DUPLICATE
        assert await jobs.put(new("7")) is PutResult.DUPLICATE
        assert await jobs.accepted("5", since=0) == 4
        assert await jobs.counts() == await _counts(way[0])
        later = NOW + 100
        others = {job.id: job for job in await jobs.lease(request(2, now=later))}
        mine = {job.id: job for job in await jobs.lease(request(1, now=later))}
        assert (set(others), set(mine)) == ({"2", "3", "4", "5", "8"}, {"1"})
        both = others | mine
        assert all(both[id].fence > held[id].fence for id in ("1", "2", "3", "5"))
        assert {id: job.attempts for id, job in both.items()} == {"1": 2, "2": 2, "3": 2, "4": 1, "5": 2, "8": 1}
        assert both["1"].checkpoint == {"state": "submitted", "task": "작업-1"}
        assert (both["2"].result, both["2"].parts) == (b"\x00answer\xff", [{"id": "77", "text": "둘째"}])
        assert (both["3"].stop, both["5"].expires_at) == (True, NOW + 5000)
        for job in both.values():
            await jobs.finish(job, Finish(Outcome.ANSWERED, later))
        assert await jobs.repeatable("6", user_id="5") is not None
        assert [job.id for job in await jobs.history(user_id="8")] == ["7"]


async def _counts(url: str) -> Any:
    async with opened(url) as place:
        return await place.storage.jobs.counts()


async def test_again(way: tuple[str, str]) -> None:
    """Moving again moves nothing twice, and changes nothing that has gone on meanwhile."""
    async with opened(way[0]) as source:
        await fill(source.storage)
    await moved(way)
    async with opened(way[1]) as target:
        store = target.storage
        (job,) = (job for job in await store.jobs.lease(request(2, now=NOW + 100)) if job.id == "8")
        await store.jobs.finish(job, Finish(Outcome.ANSWERED, NOW + 101))
        await store.preferences.put(Scope.USER, "5", Preferences(model="newer"))
        await store.conversations.delete_all("5", now=NOW + 100)
        await store.counters.add(DAY, "done:1:chat")
        await store.usage.add(DAY, user_id="5", guild_id="9", kind="chat", usage=Usage(1, 1))
        before = await contents(target)
    report = await moved(way)
    async with opened(way[1]) as target:
        assert await contents(target) == before
    assert sum(kind.moved for kind in report.kinds.values()) == 0
    assert report.kinds["jobs"].found == 8


async def test_there_and_back(way: tuple[str, str]) -> None:
    """Symptom: after a move back, who was answered meanwhile was answered again. Cause: the first store still held the
    job as owed, and what was there stayed. Rule: what is done, or was leased since, is newer wherever it is.
    """
    async with opened(way[0]) as first:
        await fill(first.storage)
        await first.storage.jobs.put(new("9", user="10", at=NOW + 9))
    await moved(way)
    async with opened(way[1]) as second:
        jobs = second.storage.jobs
        leased = {job.id: job for job in await jobs.lease(request(2, now=NOW + 100))}
        for id in ("5", "8"):
            await jobs.finish(leased[id], Finish(Outcome.ANSWERED, NOW + 101))
        await jobs.keep(leased["9"], b"kept there")
        await jobs.release(leased["4"], counted=True)
        there = {job.id: job for job in (await contents(second))["jobs"]}
    report = await moved((way[1], way[0]))
    assert report.kinds["jobs"].moved == 6  # all but the pinned one and those done before
    async with opened(way[0]) as first:
        jobs = first.storage.jobs
        back = {job.id: job for job in (await contents(first))["jobs"]}
        assert back == there
        assert await jobs.counts() == await _counts(way[1])
        left = {job.id: job for job in await jobs.lease(request(2, now=NOW + 300))}
        assert {"4", "9"} <= set(left) <= {"2", "3", "4", "9"} and left["9"].result == b"kept there"
        assert "1" in {job.id for job in await jobs.lease(request(1, now=NOW + 300))}


async def test_a_move_that_broke_off_is_finished_by_the_next(way: tuple[str, str]) -> None:
    """However far it came: the rest is moved, and each job once, also if there are many."""
    async with opened(way[0]) as source:
        await asyncio.gather(*(source.storage.jobs.put(new(str(n), at=NOW + n)) for n in range(450)))
        before = await contents(source)

    def break_off(kind: str, found: int, moved: int) -> None:
        if (kind, found) == ("jobs", 200):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await moved(way, break_off)
    seen: list[tuple[str, int, int]] = []
    await moved(way, lambda *told: seen.append(told))
    assert seen == [("jobs", 200, 0), ("jobs", 400, 200), ("jobs", 450, 250)]
    async with opened(way[1]) as target:
        assert await contents(target) == before


@pytest.mark.parametrize("side", [0, 1])
async def test_not_while_an_instance_lives(way: tuple[str, str], side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither store may be in use: a job would be answered twice, or not be moved. One that is dead is no hindrance."""
    monkeypatch.setattr("app.moving.LOOK_FOR_S", 1.0)  # this one beats faster than an instance
    async with opened(way[0]) as source:
        await source.storage.jobs.put(new())
    async with opened(way[side]) as used:
        await used.storage.cluster.beat(InstanceSnapshot(4), now=NOW)

        async def live() -> None:
            for second in range(1000):
                await used.storage.cluster.beat(InstanceSnapshot(3), now=NOW + second)
                await asyncio.sleep(0.05)

        life = asyncio.create_task(live())
        try:
            with pytest.raises(NotMovable, match=r"Instances run on .*: 3\. Stop them first"):
                await moved(way)
        finally:
            life.cancel()
            await asyncio.wait([life])
    async with opened(way[1]) as target:
        assert (await contents(target))["jobs"] == []
    await moved(way)
    async with opened(way[1]) as target:
        assert await target.storage.jobs.knows("1")


async def test_an_instance_that_starts_meanwhile_is_noticed(way: tuple[str, str]) -> None:
    """What it does on the old store is perhaps not moved: that is said, and moving again puts it right."""
    async with opened(way[0]) as source:
        await source.storage.jobs.put(new())

    async def live() -> None:
        async with opened(way[0]) as used:
            await used.storage.cluster.beat(InstanceSnapshot(1), now=NOW)

    def start(kind: str, found: int, moved: int) -> None:
        life = Thread(target=lambda: asyncio.run(live()))
        life.start()
        life.join()

    with pytest.raises(NotMovable, match="started meanwhile"):
        await moved(way, start)
    async with opened(way[1]) as target:
        assert await target.storage.jobs.knows("1")


async def test_what_can_not_be_moved(tmp_path: Path, file: str, own_redis: RedisServer) -> None:
    """A word for each: nothing there, the same place twice, no store's URL, a server that is gone or full.

    None of them tells a password.
    """
    missing = f"sqlite:///{tmp_path / 'other.db'}"
    with pytest.raises(NotMovable, match=r"There is no .*other\.db"):
        await moved((missing, file))
    assert not (tmp_path / "other.db").exists()
    with pytest.raises(NotMovable, match="where it is already"):
        await moved((file, f"sqlite:///{tmp_path / '.' / 'quartet.db'}"))
    with pytest.raises(ValueError, match="no store's URL"):
        await moved((file, "postgres://user:secret@host/db"))
    async with opened(file) as source:
        await fill(source.storage)
    own_redis.set("maxmemory", "1")
    with pytest.raises(StoreUnavailable):
        await moved((file, own_redis.url))
    own_redis.set("maxmemory", "0")
    own_redis.kill()
    with pytest.raises(StoreUnavailable) as gone:
        await moved((file, own_redis.url.replace("redis://", "redis://user:secret@")))
    assert "secret" not in str(gone.value)
