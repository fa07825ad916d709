"""One picture of the whole system, the same from every instance.

Each instance refreshes it with its heartbeat, once a second; `/로드밸런서`, `/성능`, `/stats` and the dashboard
show it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from app.balancing.budget import DAY_S, day_of
from app.balancing.state import DEAD_AFTER_S, Cluster, Counters, InstanceSnapshot
from app.clock import Clock
from app.jobs.job import FinishedJob, Outcome
from app.jobs.store import JobStore, QueueCounts

MEASURED_WINDOW_S = 3600.0
MEASURED_JOBS = 2000
KEPT_DAYS = 7


def done_counter(instance: int, kind: str) -> str:
    """Return the name of the counter of jobs of `kind` that `instance` finished in a day."""
    return f"done:{instance}:{kind}"


@dataclass(frozen=True, slots=True)
class Member:
    """One instance as seen from outside. `waiting`: the jobs of its home; `done_today`: those it finished, by kind."""

    instance: int
    alive: bool
    snapshot: InstanceSnapshot
    beat_at: float | None = None
    waiting: int = 0
    done_today: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def unknown(cls, instance: int) -> Member:
        """Return an instance nothing was heard of yet."""
        return cls(instance, alive=False, snapshot=InstanceSnapshot(instance))


@dataclass(frozen=True, slots=True)
class SystemView:
    """All instances at one moment (wall clock seconds)."""

    at: float
    members: Sequence[Member]

    @property
    def alive(self) -> Sequence[Member]:
        """The instances that gave a sign of life lately."""
        return [member for member in self.members if member.alive]

    def lives(self) -> Mapping[int, float]:
        """Since when each live instance lives."""
        return {member.instance: member.snapshot.started_at for member in self.alive}

    def full(self) -> Collection[int]:
        """The live instances that can start no job now."""
        return [m.instance for m in self.alive if m.snapshot.running >= m.snapshot.slots or m.snapshot.draining]

    def spent(self, providers: Mapping[str, Collection[str]]) -> Collection[tuple[int, str]]:
        """The live instances and kinds for which no key is usable; `providers` are those that serve each kind."""
        return [
            (member.instance, kind)
            for member in self.alive
            for kind, names in providers.items()
            if not any(key.usable for provider, key in member.snapshot.keys.items() if provider in names)
        ]

    def usable_elsewhere(self, providers: Collection[str], *, but: int) -> bool:
        """Whether another live instance has a key for one of `providers` that may be used now."""
        return any(
            key.usable
            for member in self.alive
            if member.instance != but and member.snapshot.slots > 0 and not member.snapshot.draining
            for provider, key in member.snapshot.keys.items()
            if provider in providers
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured over the last hour: answered jobs, and the seconds from acceptance to answer."""

    jobs: int = 0
    p50_s: float | None = None
    p95_s: float | None = None


class Overview:
    """Keeps the picture current."""

    def __init__(
        self,
        store: JobStore,
        cluster: Cluster,
        counters: Counters,
        clock: Clock,
        *,
        instance_count: int,
        day_starts_at: int = 0,
        describe: Callable[[], InstanceSnapshot],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._counters = counters
        self._clock = clock
        self._instances = range(1, instance_count + 1)
        self._describe = describe
        self._day_starts_at = day_starts_at
        self._watching_since = clock.monotonic()  # a clock that is adopted at the start may be hours away
        self._counted: dict[tuple[str, int, str], int] = {}
        self._unexhausted: set[tuple[str, int]] = set()
        self._done_day = day_of(clock.now(), day_starts_at)
        self.view = SystemView(at=clock.now(), members=[Member.unknown(instance) for instance in self._instances])
        self.counts = QueueCounts()

    async def beat(self) -> None:
        """Give a sign of life."""
        await self._cluster.beat(self._describe(), now=self._clock.now())

    async def refresh(self) -> SystemView:
        """Read the picture anew."""
        now = self._clock.now()
        beats = {beat.snapshot.instance: beat for beat in await self._cluster.heartbeats()}
        self.counts = await self._store.counts()
        done = await self._counters.values(day_of(now, self._day_starts_at))
        members = []
        for instance in self._instances:
            beat = beats.get(instance)
            members.append(
                Member(
                    instance=instance,
                    alive=beat is not None and now - beat.beat_at <= DEAD_AFTER_S,
                    snapshot=beat.snapshot if beat else InstanceSnapshot(instance),
                    beat_at=beat.beat_at if beat else None,
                    waiting=self.counts.waiting.get(instance, 0),
                    done_today=_done_by_kind(done, instance),
                )
            )
        self._done_day = day_of(now, self._day_starts_at)
        self._unexhausted.clear()
        self.view = SystemView(at=now, members=members)
        return self.view

    def dead(self) -> Collection[int]:
        """The instances that are down; none before there was time for everybody's first sign of life."""
        now = self._clock.now()
        if self._clock.monotonic() - self._watching_since < DEAD_AFTER_S:
            return ()
        return [m.instance for m in self.view.members if m.beat_at is None or now - m.beat_at > DEAD_AFTER_S]

    def done_today(self, instance: int, kind: str) -> int:
        """Return how many jobs of `kind` an instance has finished today, what it counted itself included at once."""
        day = day_of(self._clock.now(), self._day_starts_at)
        seen = self.view.members[instance - 1].done_today.get(kind, 0) if day == self._done_day else 0
        return max(seen, self._counted.get((day, instance, kind), 0))

    def day_exhausted(self, kind: str, limit: int) -> bool:
        """Whether every instance has done its `limit` of `kind` today."""
        if not limit or (kind, limit) in self._unexhausted:
            return False
        exhausted = all(self.done_today(instance, kind) >= limit for instance in self._instances)
        if not exhausted:
            self._unexhausted.add((kind, limit))  # every interaction asks, and a new day only makes it truer
        return exhausted

    async def count_done(self, instance: int, kind: str) -> None:
        """Count a finished job."""
        day = day_of(self._clock.now(), self._day_starts_at)
        value = await self._counters.add(day, done_counter(instance, kind))
        self._counted = {key: count for key, count in self._counted.items() if key[0] == day}
        self._counted[day, instance, kind] = value
        self._unexhausted.clear()

    async def forget(self) -> None:
        """Drop the counters of days that nobody asks for any more."""
        await self._counters.forget(before_day=day_of(self._clock.now() - KEPT_DAYS * DAY_S))

    async def recent(self, limit: int = 20) -> Sequence[FinishedJob]:
        """Return the newest finished jobs of the last hour."""
        return await self._store.history(since=self._clock.now() - MEASURED_WINDOW_S, limit=limit)

    async def measured(self) -> Measured:
        """Return the answer times of the last hour, over at most `MEASURED_JOBS` jobs."""
        jobs = await self.recent(MEASURED_JOBS)
        seconds = sorted(job.finished_at - job.received_at for job in jobs if job.outcome is Outcome.ANSWERED)
        if not seconds:
            return Measured()
        if len(seconds) == 1:
            return Measured(1, seconds[0], seconds[0])
        cuts = statistics.quantiles(seconds, n=20, method="inclusive")
        return Measured(len(seconds), cuts[9], cuts[18])


def _done_by_kind(counters: Mapping[str, int], instance: int) -> Mapping[str, int]:
    prefix = done_counter(instance, "")
    return {name.removeprefix(prefix): value for name, value in counters.items() if name.startswith(prefix)}
