"""The job store on Redis or Valkey. What each method promises stands in app/jobs/store.py.

A hash for each job, sorted sets as indexes, and a script for each method, rather than a stream with a consumer group: a
group hands out entries in their order to whoever asks, and reclaims them by idle time. Whose turn it is among users,
whom a pinned job waits for, why a job may be taken from its home, a user's quota, and an owner that is dead by its
heartbeat though its lease is young, can't be said there. The keys are listed in docs/store.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from app.errors import LeaseLost
from app.jobs import redis_scripts as scripts
from app.jobs.job import Finish, FinishedJob, Job, LeaseRequest, NewJob, Outcome, Repeat, ServedBecause
from app.jobs.redis_batches import Encodable
from app.jobs.redis_engine import RedisEngine, Script
from app.jobs.store import NO_LIMITS, PutLimits, PutResult, QueueCounts, RepeatableJob, WaitingJob

_HISTORY_AT_ONCE = 250
_ENDLESS = 1e300


class RedisJobStore:
    """Jobs on one server, for the instances of any number of hosts."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine

    async def put(self, job: NewJob, limits: PutLimits = NO_LIMITS) -> PutResult:
        argument = (
            *(job.id, job.kind, job.user_id, job.home, repr(job.received_at), repr(job.expires_at), job.payload),
            *(job.put_by, job.guild_id or "", job.channel_id or "", job.repeats),
            *(limits.max_waiting, limits.user_quota, repr(limits.day_start), int(limits.closed)),
        )
        result = await self._engine.run_batched(scripts.PUT, (), argument, confirmed=True)
        return PutResult(result.decode())

    async def knows(self, job_id: str) -> bool:
        key = self._key(job_id)
        return bool(await self._engine.ask(lambda client: client.exists(key)))

    async def repeatable(self, job_id: str, *, user_id: str) -> RepeatableJob | None:
        fields = ("state", "user", "repeat", "kind", "payload")
        state, user, repeat, kind, payload = await self._fields(job_id, fields)
        again = (Repeat.ONCE.value.encode(), Repeat.ALWAYS.value.encode())
        if state != b"done" or user != user_id.encode() or repeat not in again or payload is None:
            return None
        return RepeatableJob(kind.decode(), payload)

    async def withdraw(self, job: NewJob) -> bool:
        return bool(await self._engine.run(scripts.WITHDRAW, (), (job.id, job.put_by), confirmed=True))

    async def lease(self, request: LeaseRequest) -> list[Job]:
        if request.limit <= 0:
            return []
        until = request.now + request.lease_s
        rows = await self._run(scripts.LEASE, json.dumps(_wire(request)), repr(request.now), repr(until))
        return [_job(row) for row in rows]

    async def lease_one(self, job_id: str, *, owner: int, now: float, lease_s: float) -> Job | None:
        row = await self._run(scripts.LEASE_ONE, job_id, owner, repr(now), repr(now + lease_s))
        return _job(row) if row else None

    async def unserved(self, *, now: float, home: int | None = None, limit: int = 100) -> list[WaitingJob]:
        rows = await self._run(scripts.UNSERVED, repr(now), "" if home is None else home, limit)
        return [WaitingJob(_text(id_), _text(kind), int(of), *map(float, when)) for id_, kind, of, *when in rows]

    async def renew(self, owner: int, fences: Mapping[str, int], *, until: float) -> Collection[str]:
        if not fences:
            return ()
        pairs = [value for pair in fences.items() for value in pair]
        return [_text(lost) for lost in await self._run(scripts.RENEW, owner, repr(until), *pairs)]

    async def checkpoint(self, job: Job, facts: Mapping[str, Any], *, pin: bool = False) -> None:
        text = json.dumps(facts, ensure_ascii=False) if facts else None
        await self._change(job, {"checkpoint": text}, pin="1" if pin else "0")

    async def keep(self, job: Job, result: bytes) -> None:
        await self._change(job, {"result": result}, pin="0")

    async def release(self, job: Job, *, counted: bool, avoid_until: float | None = None) -> None:
        avoid = "" if avoid_until is None else repr(avoid_until)
        await self._under_lease(scripts.RELEASE, job, int(counted), avoid)

    async def record_parts(self, job: Job, parts: Sequence[Mapping[str, Any]]) -> None:
        await self._change(job, {"parts": json.dumps([dict(part) for part in parts])})

    async def parts(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        (text,) = await self._fields(job_id, ("parts",))
        return json.loads(text) if text else ()

    async def extend(self, job: Job, expires_at: float) -> None:
        kept = max(0, math.ceil(expires_at - job.received_at)) + scripts.OPEN_TTL_S
        await self._change(job, {"expires_at": repr(expires_at)}, ttl=str(kept))

    async def stop(self, job_id: str, *, user_id: str | None) -> bool:
        return bool(await self._run(scripts.STOP, job_id, user_id or "", int(user_id is not None)))

    async def stops(self, owner: int) -> Collection[str]:
        return {_text(job_id) for job_id in await self._run(scripts.STOPS, owner)}

    async def finish(self, job: Job, finish: Finish) -> None:
        how = (finish.outcome.value, repr(finish.now), finish.provider, finish.error, finish.repeat.value)
        await self._under_lease(scripts.FINISH, job, *how, finish.body or b"")

    async def counts(self) -> QueueCounts:
        waiting, running = await self._run(scripts.COUNTS)
        return QueueCounts(waiting=_counts(waiting), running=_counts(running))

    async def accepted(self, user_id: str, *, since: float) -> int:
        key = self._engine.key("accepted", user_id)
        return int(await self._engine.ask(lambda client: client.zcount(key, repr(since), "+inf")))

    async def history(
        self, *, user_id: str | None = None, since: float = 0.0, until: float = math.inf, limit: int = 20
    ) -> Sequence[FinishedJob]:
        lines: list[FinishedJob] = []
        passed = 0
        while passed < limit:  # in pieces, since nobody is served while one is read
            amount = min(_HISTORY_AT_ONCE, limit - passed)
            rows = await self._run(scripts.HISTORY, user_id or "", repr(since), _bound(until), passed, amount)
            lines += [_finished(row) for row in rows if row[1] is not None]
            passed += amount
            if len(rows) < amount:
                break
        return lines

    async def forget_payloads(self, user_id: str) -> int:
        return int(await self._run(scripts.FORGET_PAYLOADS, user_id))

    async def forget(self, *, finished_before: float, limit: int = 500) -> int:
        return int(await self._run(scripts.FORGET, repr(finished_before), limit))

    async def _change(
        self, job: Job, fields: Mapping[str, str | bytes | None], *, pin: str = "", ttl: str = ""
    ) -> None:
        """Set fields, and drop those that are None."""
        pairs = [value for name, value in fields.items() if value is not None for value in (name, value)]
        dropped = [name for name, value in fields.items() if value is None]
        await self._under_lease(scripts.CHANGE, job, pin, ttl, len(pairs) // 2, *pairs, *dropped)

    async def _under_lease(self, script: Script, job: Job, *args: Encodable) -> None:
        if not await self._engine.run(script, (), (job.id, job.fence, *args), confirmed=True):
            raise LeaseLost(f"job {job.id}: lease {job.fence} is not current any more")

    async def _run(self, script: Script, *args: Encodable) -> Any:
        return await self._engine.run(script, (), args)

    async def _fields(self, job_id: str, fields: Sequence[str]) -> Sequence[Any]:
        key = self._key(job_id)
        found: Sequence[Any] = await self._engine.ask(lambda client: client.hmget(key, list(fields)))
        return found

    def _key(self, job_id: str) -> str:
        return self._engine.key("job", job_id)


def _wire(request: LeaseRequest) -> Mapping[str, Any]:
    """Return a request as the script reads it: instances are texts, as in keys, and lanes stand for what is spent."""
    others = [str(instance) for instance in request.dead if instance != request.owner]
    return {
        "owner": str(request.owner),
        "limit": request.limit,
        "now": request.now,
        "kinds": dict(request.kinds),
        "held": list(request.held),
        "dead": others,
        "dead_before": min(request.dead_before, _ENDLESS),
        "lives": {str(instance): at for instance, at in request.lives.items() if instance != request.owner},
        "full": [str(instance) for instance in request.full],
        "spent": [f"{home}:{kind}" for home, kind in request.spent],
        "stale": request.now - request.steal_after_s,
        "known": request.now - request.steal_known_s,
        "user_limit": request.user_limit,
        "suspects": request.suspects,
        "since": min(request.since, _ENDLESS),
    }


def _job(row: Sequence[Any]) -> Job:
    job_id, kind, user, home, received_at, expires_at, payload, fence, attempts, because, stop, *left = row
    checkpoint, result, parts = left
    return Job(
        id=_text(job_id),
        kind=_text(kind),
        user_id=_text(user),
        home=int(home),
        received_at=float(received_at),
        expires_at=float(expires_at),
        payload=payload,
        fence=int(fence),
        attempts=int(attempts),
        because=ServedBecause(_text(because)),
        checkpoint=json.loads(checkpoint) if checkpoint else {},
        result=result,
        stop=stop == b"1",
        parts=json.loads(parts) if parts else (),
    )


def _finished(row: Sequence[Any]) -> FinishedJob:
    job_id, kind, user, home, owner, because, outcome, provider, error, *when = row
    received_at, started_at, finished_at = map(float, when)
    return FinishedJob(
        id=_text(job_id),
        kind=_text(kind),
        user_id=_text(user),
        home=int(home),
        served_by=int(owner),
        because=ServedBecause(_text(because)),
        outcome=Outcome(_text(outcome)),
        provider=_text(provider),
        error=_text(error),
        received_at=received_at,
        started_at=started_at,
        finished_at=finished_at,
    )


def _counts(flat: Sequence[Any]) -> Mapping[int, int]:
    return {int(home): int(count) for home, count in zip(flat[::2], flat[1::2], strict=True)}


def _bound(value: float) -> str:
    return "+inf" if math.isinf(value) else repr(value)


def _text(value: bytes) -> str:
    return value.decode()
