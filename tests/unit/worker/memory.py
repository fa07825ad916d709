"""The stores in memory, with failures on request: for tests that move a fake clock and must not wait for a disk."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.balancing.state import Heartbeat, InstanceSnapshot
from app.errors import LeaseLost, StoreUnavailable
from app.jobs.job import Finish, FinishedJob, Job, JobState, LeaseRequest, NewJob, Repeat, ServedBecause
from app.jobs.store import NO_LIMITS, PutLimits, PutResult, QueueCounts, RepeatableJob, WaitingJob
from app.userdata.conversations import Remembered, Turn


@dataclass(slots=True)
class Row:
    """A stored job; `job` as it was last leased."""

    job: Job
    state: JobState = JobState.WAITING
    owner: int | None = None
    until: float = 0.0
    pinned: int | None = None
    finish: Finish | None = None


class MemoryStore:
    """`JobStore` for one process. `calls` lists what was asked, in order; `before[name]` runs before that call."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.calls: list[str] = []
        self.forgotten: set[str] = set()
        self.before: dict[str, Callable[[], None]] = {}
        self.failing: defaultdict[str, int] = defaultdict(int)

    def fail(self, name: str, times: int) -> None:
        """Let the next `times` calls of `name` raise `StoreUnavailable`."""
        self.failing[name] = times

    def steal(self, job_id: str, thief: int = 9) -> None:
        """Let somebody else take the lease."""
        row = self.rows[job_id]
        row.job = replace(row.job, fence=row.job.fence + 1, attempts=row.job.attempts + 1)
        row.owner = thief

    async def _enter(self, name: str) -> None:
        self.calls.append(name)
        await asyncio.sleep(0)
        if name in self.before:
            self.before.pop(name)()
        if self.failing[name] > 0:
            self.failing[name] -= 1
            raise StoreUnavailable(f"{name} fails on request")

    def _held(self, job: Job) -> Row:
        row = self.rows[job.id]
        if row.state is not JobState.RUNNING or row.job.fence != job.fence:
            raise LeaseLost(f"job {job.id}: lease {job.fence} is not current any more")
        return row

    async def put(self, job: NewJob, limits: PutLimits = NO_LIMITS) -> PutResult:
        await self._enter("put")
        if job.id in self.rows:
            return PutResult.DUPLICATE
        leased = Job(
            job.id, job.kind, job.user_id, job.home, job.received_at, job.expires_at, job.payload, 0, 0,
            ServedBecause.HOME,
        )  # fmt: skip
        self.rows[job.id] = Row(leased)
        return PutResult.ACCEPTED

    async def knows(self, job_id: str) -> bool:
        return job_id in self.rows

    async def repeatable(self, job_id: str, *, user_id: str) -> RepeatableJob | None:
        row = self.rows.get(job_id)
        if row is None or row.finish is None or row.finish.repeat is Repeat.NONE or row.job.user_id != user_id:
            return None
        return RepeatableJob(row.job.kind, row.job.payload)

    async def withdraw(self, job: NewJob) -> bool:
        await self._enter("withdraw")
        return self.rows.pop(job.id, None) is not None

    async def lease(self, request: LeaseRequest) -> list[Job]:
        await self._enter("lease")
        room = dict(request.kinds)
        taken: list[Job] = []
        for row in self.rows.values():
            begun = row.state is JobState.RUNNING and row.owner == request.owner and row.job.id not in request.held
            waits = row.state is JobState.WAITING and (row.job.home == request.owner or row.pinned == request.owner)
            if len(taken) < request.limit and (begun or (waits and room.get(row.job.kind, 0) > 0)):
                room[row.job.kind] -= 1
                taken.append(self._take(row, request.owner, request.now + request.lease_s))
        return taken

    async def lease_one(self, job_id: str, *, owner: int, now: float, lease_s: float) -> Job | None:
        await self._enter("lease_one")
        row = self.rows.get(job_id)
        return self._take(row, owner, now + lease_s) if row and self._unserved(row, now) else None

    def _take(self, row: Row, owner: int, until: float) -> Job:
        row.job = replace(row.job, fence=row.job.fence + 1, attempts=row.job.attempts + 1)
        row.state, row.owner, row.until = JobState.RUNNING, owner, until
        return row.job

    def _unserved(self, row: Row, now: float) -> bool:
        return row.state is JobState.WAITING or (row.state is JobState.RUNNING and row.until < now)

    async def unserved(self, *, now: float, home: int | None = None, limit: int = 100) -> list[WaitingJob]:
        await self._enter("unserved")
        found = [
            WaitingJob(row.job.id, row.job.kind, row.job.home, row.job.received_at, row.job.expires_at)
            for row in self.rows.values()
            if self._unserved(row, now) and home in (None, row.job.home)
        ]
        return found[:limit]

    async def renew(self, owner: int, fences: Mapping[str, int], *, until: float) -> Collection[str]:
        await self._enter("renew")
        lost = []
        for job_id, fence in fences.items():
            row = self.rows[job_id]
            if row.state is JobState.RUNNING and row.owner == owner and row.job.fence == fence:
                row.until = until
            else:
                lost.append(job_id)
        return lost

    async def checkpoint(self, job: Job, facts: Mapping[str, Any], *, pin: bool = False) -> None:
        await self._enter("checkpoint")
        row = self._held(job)
        row.job, row.pinned = replace(row.job, checkpoint=facts), row.owner if pin else None

    async def keep(self, job: Job, result: bytes) -> None:
        await self._enter("keep")
        row = self._held(job)
        row.job, row.pinned = replace(row.job, result=result), None

    async def record_parts(self, job: Job, parts: Sequence[Mapping[str, Any]]) -> None:
        await self._enter("record_parts")
        row = self._held(job)
        row.job = replace(row.job, parts=list(parts))

    async def parts(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        row = self.rows.get(job_id)
        return row.job.parts if row else ()

    async def extend(self, job: Job, expires_at: float) -> None:
        await self._enter("extend")
        row = self._held(job)
        row.job = replace(row.job, expires_at=expires_at)

    async def stop(self, job_id: str, *, user_id: str | None) -> bool:
        await self._enter("stop")
        row = self.rows.get(job_id)
        if row is None or row.state is JobState.DONE or user_id not in (None, row.job.user_id):
            return False
        row.job = replace(row.job, stop=True)
        return True

    async def stops(self, owner: int) -> Collection[str]:
        await self._enter("stops")
        return {
            row.job.id
            for row in self.rows.values()
            if row.job.stop and row.state is JobState.RUNNING and row.owner == owner
        }

    async def release(self, job: Job, *, counted: bool, avoid_until: float | None = None) -> None:
        await self._enter("release")
        row = self._held(job)
        row.job = replace(row.job, attempts=row.job.attempts - (not counted))
        row.state, row.owner = JobState.WAITING, None

    async def finish(self, job: Job, finish: Finish) -> None:
        await self._enter("finish")
        row = self._held(job)
        row.state = JobState.DONE
        row.finish = replace(finish, repeat=Repeat.NONE) if job.id in self.forgotten else finish

    async def counts(self) -> QueueCounts:
        return QueueCounts()

    async def accepted(self, user_id: str, *, since: float) -> int:
        return sum(row.job.user_id == user_id and row.job.received_at >= since for row in self.rows.values())

    async def history(
        self, *, user_id: str | None = None, since: float = 0.0, until: float = math.inf, limit: int = 20
    ) -> Sequence[FinishedJob]:
        return []

    async def forget_payloads(self, user_id: str) -> int:
        await self._enter("forget_payloads")
        mine = [row for row in self.rows.values() if row.finish and row.job.user_id == user_id]
        self.forgotten.update(row.job.id for row in self.rows.values() if row.job.user_id == user_id)
        kept = [row for row in mine if row.finish and row.finish.repeat is not Repeat.NONE]
        for row in kept:
            assert row.finish is not None
            row.finish = replace(row.finish, repeat=Repeat.NONE)
        return len(kept)

    async def forget(self, *, finished_before: float, limit: int = 500) -> int:
        await self._enter("forget")
        old = [name for name, row in self.rows.items() if row.finish and row.finish.now < finished_before]
        for name in old[:limit]:
            del self.rows[name]
        return len(old[:limit])


class MemoryCounters:
    """`Counters` for one process; `broken` lets every call fail."""

    def __init__(self) -> None:
        self.days: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.broken = False

    async def add(self, day: str, name: str, amount: int = 1) -> int:
        await asyncio.sleep(0)
        if self.broken:
            raise StoreUnavailable("the counters fail on request")
        self.days[day][name] = self.days[day].get(name, 0) + amount
        return self.days[day][name]

    async def values(self, day: str) -> Mapping[str, int]:
        return dict(self.days[day])

    async def forget(self, *, before_day: str) -> None:
        for day in [day for day in self.days if day < before_day]:
            del self.days[day]


class MemoryCalls:
    """`CallLog` for one process; `broken` lets recording fail."""

    def __init__(self) -> None:
        self.starts: defaultdict[str, list[float]] = defaultdict(list)
        self.days: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.broken = False

    async def record(self, key: str, *, day: str, at: float) -> int:
        await asyncio.sleep(0)
        if self.broken:
            raise StoreUnavailable("the call log fails on request")
        self.starts[key].append(at)
        self.days[key, day] += 1
        return self.days[key, day]

    async def since(self, key: str, at: float) -> Sequence[float]:
        return [start for start in self.starts[key] if start > at]

    async def by_minute(self, keys: Sequence[str], *, since: float, until: float) -> Mapping[str, Mapping[int, int]]:
        first, last = since // 60, until // 60
        return {key: Counter(int(at // 60) for at in self.starts[key] if first <= at // 60 <= last) for key in keys}

    async def of_day(self, key: str, day: str) -> int:
        return self.days[key, day]

    async def forget(self, *, before: float) -> None:
        self.starts = defaultdict(
            list, {key: [at for at in starts if at >= before] for key, starts in self.starts.items()}
        )


class MemoryCluster:
    """`Cluster` for one process."""

    def __init__(self) -> None:
        self.beats: dict[int, Heartbeat] = {}

    async def beat(self, snapshot: InstanceSnapshot, *, now: float) -> None:
        self.beats[snapshot.instance] = Heartbeat(now, snapshot)

    async def heartbeats(self) -> Sequence[Heartbeat]:
        return list(self.beats.values())

    async def leave(self, instance: int) -> None:
        self.beats.pop(instance, None)


class MemoryConversations:
    """Turns in a list."""

    def __init__(self) -> None:
        self.kept: list[Turn] = []

    async def turns(
        self, user_id: str, channel_id: str, *, since: float, private: bool, limit: int = 50
    ) -> Sequence[Turn]:
        mine = [t for t in self.kept if (t.user_id, t.channel_id) == (user_id, channel_id) and t.asked_at > since]
        return [turn for turn in mine if private or not turn.private][-limit:]

    async def turn(self, job_id: str, *, user_id: str) -> Turn | None:
        return next((turn for turn in self.kept if (turn.job_id, turn.user_id) == (job_id, user_id)), None)

    async def add(self, turn: Turn, *, job: Job | None = None) -> None:
        self.kept = [*(kept for kept in self.kept if kept.job_id != turn.job_id), turn]

    async def start_over(self, user_id: str, channel_id: str, *, now: float) -> int:
        before = len(self.kept)
        self.kept = [t for t in self.kept if (t.user_id, t.channel_id) != (user_id, channel_id)]
        return before - len(self.kept)

    async def remembered(self, user_id: str, *, since: float) -> Sequence[Remembered]:
        raise NotImplementedError

    async def delete_all(self, user_id: str, *, now: float) -> int:
        raise NotImplementedError

    async def forget(self, *, before: float, limit: int = 500) -> int:
        return 0
