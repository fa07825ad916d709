"""Jobs and lease requests for the job store's contract."""

from __future__ import annotations

from app.jobs.job import Job, LeaseRequest, NewJob
from app.jobs.store import JobStore

NOW = 1_800_000_000.0
LEASE_S = 20.0
KINDS = {"chat": 100, "image": 100, "video": 100}


def new(job_id: str = "1", *, home: int = 1, kind: str = "chat", user: str = "5", at: float = NOW) -> NewJob:
    """Return a job to be put."""
    return NewJob(job_id, kind, user, home, at, at + 885, b'{"id":"' + job_id.encode() + b'"}')


def request(owner: int = 1, limit: int = 10, now: float = NOW, **fields: object) -> LeaseRequest:
    """Return a lease request for every kind."""
    return LeaseRequest(owner=owner, limit=limit, now=now, lease_s=LEASE_S, kinds=KINDS, **fields)  # type: ignore[arg-type]


async def leased(store: JobStore, job_id: str = "1", owner: int = 1) -> Job:
    """Put a job and lease it."""
    await store.put(new(job_id, home=owner))
    (job,) = await store.lease(request(owner))
    return job
