"""Moves what one store keeps to another: what lies behind `migrate`, natively and in containers.

Nothing is deleted where it comes from, and what is already where it goes stays as it is: so a move that broke off, or
was made too early, is simply made again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.balancing.transfer import RedisCallTransfer, RedisCounterTransfer, sqlite_calls, sqlite_counters
from app.clock import Clock
from app.errors import QuartetError
from app.jobs.job import JobState
from app.jobs.redis_engine import RedisEngine
from app.jobs.redis_transfer import RedisJobTransfer
from app.jobs.schema import MIGRATIONS, OLDEST_COMPATIBLE
from app.jobs.sqlite_engine import SqliteEngine
from app.jobs.sqlite_transfer import sqlite_jobs
from app.jobs.transfer import Movable
from app.settings import SQLITE_PREFIX
from app.storage import redis_storage, sqlite_storage
from app.store_url import is_redis_url
from app.userdata.redis_conversations import LONGEST_MEMORY_S
from app.userdata.transfer import (
    RedisChoiceTransfer,
    RedisFreshStartTransfer,
    RedisTurnTransfer,
    RedisUsageTransfer,
    sqlite_choices,
    sqlite_fresh_starts,
    sqlite_turns,
    sqlite_usage,
)

LOOK_FOR_S = 2.5
"""Long enough to see the heartbeat of an instance that lives: it beats every second."""

LOOK_EVERY_S = 0.25
JOBS = "jobs"

Progress = Callable[[str, int, int], None]
"""Told now and then of a kind of things: how many were found and how many were moved so far."""


class NotMovable(QuartetError):
    """Why nothing can be moved now, or why not all of it was."""


@dataclass(slots=True)
class Moved:
    """Of one kind: how many there were, and how many were moved; the rest was there already."""

    found: int = 0
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What was found and moved, by kind. `jobs`: those found, by state; `remarks`: what is risky about the target."""

    source: str
    target: str
    kinds: Mapping[str, Moved]
    jobs: Mapping[str, int]
    remarks: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Return `{"from", "to", "jobs_found": {state: count}, "kinds": {kind: {"found", "moved"}}, "remarks"}`."""
        kinds = {name: asdict(moved) for name, moved in self.kinds.items()}
        places, jobs = {"from": self.source, "to": self.target}, dict(self.jobs)
        return {**places, "jobs_found": jobs, "kinds": kinds, "remarks": list(self.remarks)}


class Place:
    """A store to move from or to. As text it names the place and never a password."""

    def __init__(self, url: str) -> None:
        self._server: RedisEngine | None = None
        if url.startswith(SQLITE_PREFIX):
            self.path: Path | None = Path(url.removeprefix(SQLITE_PREFIX))
            file = SqliteEngine(self.path, MIGRATIONS, OLDEST_COMPATIBLE)
            self.name, self.storage, self.kinds = str(self.path), sqlite_storage(file), _of_file(file)
        elif is_redis_url(url):
            server = RedisEngine(url)
            self.path = None
            self.name, self.storage, self.kinds = str(server.address), redis_storage(server), _of_server(server)
            self.name = f"{self.name}, database {server.address.db}"
            self._server = server
        else:
            raise ValueError("is no store's URL: expected sqlite:///path/to/file.db or redis://host:6379/0")

    def __str__(self) -> str:
        return self.name

    async def remarks(self) -> Sequence[str]:
        """Say what is risky about it, a sentence each."""
        return await self._server.remarks() if self._server is not None else ()


# The users' own choices first, the jobs last: what a job's answer leans on is there when it is.


def _of_file(engine: SqliteEngine) -> Mapping[str, Movable[Any]]:
    return {
        "preferences": sqlite_choices(engine),
        "fresh starts": sqlite_fresh_starts(engine),
        "turns": sqlite_turns(engine),
        "usage": sqlite_usage(engine),
        "counters": sqlite_counters(engine),
        "calls": sqlite_calls(engine),
        JOBS: sqlite_jobs(engine),
    }


def _of_server(engine: RedisEngine) -> Mapping[str, Movable[Any]]:
    return {
        "preferences": RedisChoiceTransfer(engine),
        "fresh starts": RedisFreshStartTransfer(engine, memory_ttl_s=LONGEST_MEMORY_S),
        "turns": RedisTurnTransfer(engine, memory_ttl_s=LONGEST_MEMORY_S),
        "usage": RedisUsageTransfer(engine),
        "counters": RedisCounterTransfer(engine),
        "calls": RedisCallTransfer(engine),
        JOBS: RedisJobTransfer(engine),
    }


async def move(source_url: str, target_url: str, *, progress: Progress, clock: Clock) -> Report:
    """Move everything. Raises `NotMovable` if an instance uses either store, and `StoreUnavailable`.

    `ValueError` says what is wrong with a URL.
    """
    source, target = Place(source_url), Place(target_url)
    if source.name == target.name:
        raise NotMovable(f"{source} is where it is already.")
    if source.path is not None and not source.path.is_file():
        raise NotMovable(f"There is no {source}.")
    async with AsyncExitStack() as stack:
        for place in (source, target):
            await place.storage.open()
            stack.push_async_callback(place.storage.close)
        await asyncio.gather(*(_refuse_alive(place, clock) for place in (source, target)))
        before = [await _beats(place) for place in (source, target)]
        report = await _move_all(source, target, progress)
        if [await _beats(place) for place in (source, target)] != before:
            raise NotMovable(
                "Instances were started meanwhile. What they did on the old store was perhaps not moved: stop them, "
                "and migrate again; what was moved already stays as it is."
            )
    return report


async def _move_all(source: Place, target: Place, progress: Progress) -> Report:
    kinds: dict[str, Moved] = {}
    states: Counter[str] = Counter({state.value: 0 for state in JobState})
    for kind, found in source.kinds.items():
        moved = kinds[kind] = Moved()
        async for page in found.pages():
            moved.found += len(page)
            moved.moved += await target.kinds[kind].take_over(page)
            if kind == JOBS:
                states.update(job.state for job in page)
            progress(kind, moved.found, moved.moved)
    return Report(str(source), str(target), kinds, states, await target.remarks())


async def _beats(place: Place) -> Mapping[int, float]:
    return {beat.snapshot.instance: beat.beat_at for beat in await place.storage.cluster.heartbeats()}


async def _refuse_alive(place: Place, clock: Clock) -> None:
    """Raise if somebody beats. When a beat was says nothing: whose clock that is, is not known here.

    Who stops in good order leaves; only who was killed is looked at for a while.
    """
    before, give_up = await _beats(place), clock.monotonic() + LOOK_FOR_S
    now = before
    while now and clock.monotonic() < give_up:
        await clock.sleep(LOOK_EVERY_S)
        now = await _beats(place)
        alive = sorted(instance for instance, at in now.items() if before.get(instance) != at)
        if alive:
            names = ", ".join(map(str, alive))
            raise NotMovable(f"Instances run on {place}: {names}. Stop them first.")
