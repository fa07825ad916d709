"""The job store: what is promised, whatever lies underneath.

The guarantee
-------------
* `put` returns `ACCEPTED` only when the job is on disk and survives the power going off; a second `put` of the same
  interaction id returns `DUPLICATE` and changes nothing, whichever instance it comes from.
* At any moment at most one lease on a job is current. Its fencing number is larger than that of every lease before it,
  and `checkpoint`, `keep`, `record_parts`, `extend`, `release` and `finish` with any other number raise `LeaseLost`
  and change nothing.
* A job is leased again only after its lease was released or ran out, its owner is known to be dead, or its owner says
  that it doesn't run it (a new life of the same instance).
* A job pinned to an instance, because only that instance's keys can go on with it, is leased by no other.
* A job that is done stays done.

A lease may end without its holder noticing (a stopped process), so a job may *run* more than once. What is visible or
costs money is therefore guarded by the fencing number and by checkpoints, not by the lease alone.

All times are wall clock seconds, given by the caller. Every method raises `StoreUnavailable` when the store can't
serve; a `put` that raises it may still have been recorded, and only `withdraw` makes sure that it wasn't.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from app.jobs.job import Finish, FinishedJob, Job, LeaseRequest, NewJob


class PutResult(StrEnum):
    """What became of a job that was handed in."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    FULL = "full"
    QUOTA = "quota"
    CLOSED = "closed"
    GONE = "gone"


@dataclass(slots=True)
class PutLimits:
    """What bounds new jobs; a duplicate of an accepted one is a duplicate whatever they say.

    `max_waiting` jobs may wait (0: no bound), one user may have `user_quota` jobs accepted since `day_start` (0: no
    bound), and while `closed` none is accepted.
    """

    max_waiting: int = 0
    user_quota: int = 0
    day_start: float = 0.0
    closed: bool = False


NO_LIMITS = PutLimits()


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Open jobs by home: how many wait and how many run."""

    waiting: Mapping[int, int] = field(default_factory=dict)
    running: Mapping[int, int] = field(default_factory=dict)

    @property
    def total_waiting(self) -> int:
        """Waiting jobs of all homes."""
        return sum(self.waiting.values())


class JobStore(Protocol):
    """Jobs, leases, checkpoints and dedupe."""

    def put(self, job: NewJob, limits: PutLimits = NO_LIMITS) -> Awaitable[PutResult]:
        """Record a job durably, or say which limit it exceeds.

        A job that repeats another is accepted only if that one was its user's and may (still) be repeated; else it is
        `GONE`.
        """

    async def knows(self, job_id: str) -> bool:
        """Whether this job was recorded, in whatever state it is now."""

    async def repeatable(self, job_id: str, *, user_id: str) -> RepeatableJob | None:
        """Return a finished job of this user that may be done again; None if there is none."""

    async def withdraw(self, job: NewJob) -> bool:
        """Take back what this very request put, unless somebody has leased it or another copy has found it there.

        True if nothing of this request's is in the store any more, or ever will be.
        """

    async def lease(self, request: LeaseRequest) -> list[Job]:
        """Lease up to `request.limit` jobs: own home first, then what others can't serve, oldest first."""

    async def lease_one(self, job_id: str, *, owner: int, now: float, lease_s: float) -> Job | None:
        """Lease one unserved job, pinned or not, to tell its user something; None if somebody serves it by now."""

    async def unserved(self, *, now: float, home: int | None = None, limit: int = 100) -> list[WaitingJob]:
        """The jobs nobody works on (waiting, or with a lease that ran out), oldest first, of one home or of all."""

    async def renew(self, owner: int, fences: Mapping[str, int], *, until: float) -> Collection[str]:
        """Extend these leases; returns the ids that are no longer held."""

    async def checkpoint(self, job: Job, facts: Mapping[str, Any], *, pin: bool = False) -> None:
        """Replace the job's checkpoint with `facts` (JSON), durably; `pin` ties the job to its present owner."""

    async def keep(self, job: Job, result: bytes) -> None:
        """Keep a finished answer until it is delivered, durably; it frees the job from its pin."""

    async def release(self, job: Job, *, counted: bool, avoid_until: float | None = None) -> None:
        """Hand the job back to the queue; an uncounted release takes its attempt back.

        Until `avoid_until` its present owner is not given it again: others may do better.
        """

    async def record_parts(self, job: Job, parts: Sequence[Mapping[str, Any]]) -> None:
        """Replace the record of the messages that follow the answer (JSON objects), durably."""

    async def parts(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        """Return what was recorded of these messages, whether the job is done or not; none if it is unknown."""

    async def extend(self, job: Job, expires_at: float) -> None:
        """Move the job's end, durably: its answer goes where no interaction token is needed."""

    async def stop(self, job_id: str, *, user_id: str | None) -> bool:
        """Mark a job of this user's (None: of anybody's) as to be stopped, durably; False if it is done or unknown.

        A waiting job learns of it with its next lease, for which it needs no budget any more.
        """

    async def stops(self, owner: int) -> Collection[str]:
        """Return the ids of the jobs this instance runs that are to be stopped."""

    async def finish(self, job: Job, finish: Finish) -> None:
        """End the job; its checkpoint, its result and, unless it may be repeated, its payload are forgotten."""

    async def counts(self) -> QueueCounts:
        """Open jobs by home."""

    async def accepted(self, user_id: str, *, since: float) -> int:
        """How many jobs of this user's were accepted since then, whatever became of them; what a quota counts."""

    async def history(
        self, *, user_id: str | None = None, since: float = 0.0, until: float = math.inf, limit: int = 20
    ) -> Sequence[FinishedJob]:
        """Jobs that ended from `since` on and before `until`, newest first, of one user or of all."""

    async def forget_payloads(self, user_id: str) -> int:
        """Drop what this user asked in jobs that are done, returning how many, and in open ones as soon as they end.

        They can't be repeated any more.
        """

    async def forget(self, *, finished_before: float, limit: int = 500) -> int:
        """Drop old finished jobs; returns how many."""


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job that nobody works on, as much as one may know without a lease."""

    id: str
    kind: str
    home: int
    received_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class RepeatableJob:
    """A finished job that may be done again: its kind and the interaction's raw JSON body."""

    kind: str
    payload: bytes
