"""An edge without a server, and what Discord would post to it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from nacl.signing import SigningKey

from app.balancing.budget import KeySnapshot
from app.balancing.cooldowns import Cooldowns
from app.balancing.overview import Overview
from app.balancing.state import Heartbeat, InstanceSnapshot
from app.clock import Clock
from app.commands.base import Command, Limits
from app.commands.registry import COMMANDS
from app.discord.answers import Reply
from app.discord.models import Interaction
from app.discord.signature import SignatureVerifier
from app.discord.wire import ACTION_ROWS_MAX, BUTTON_LABEL_MAX, BUTTONS_PER_ROW_MAX, CUSTOM_ID_MAX
from app.edge import Edge
from app.errors import StoreUnavailable
from app.intake import Intake, IntakeRules
from app.jobs.job import Finish, FinishedJob, Job, LeaseRequest, NewJob
from app.jobs.store import NO_LIMITS, PutLimits, PutResult, QueueCounts, RepeatableJob, WaitingJob
from app.journal import Journal
from app.metrics import Metrics
from app.texts import Text
from tests.kit.clock import FakeClock
from tests.unit.edge.people import MemoryPeople

KEY = SigningKey(bytes(range(32)))
USER = "643945264868098049"
LIMITS = Limits(4, "user", 3500, 100, 100, 10, 1000, 50, 10)

Payload = dict[str, Any]


class MemoryStore:
    """A job store in memory, for what the edge asks of one. `before_put` runs first and may hang or raise."""

    def __init__(self) -> None:
        self.jobs: dict[str, NewJob] = {}
        self.finished: list[FinishedJob] = []
        self.withdrawn: list[str] = []
        self.stopped: list[str] = []
        self.sent_parts: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.repeatable_jobs: dict[tuple[str, str], RepeatableJob] = {}
        self.withdraw_failures = 0
        self.before_put: Callable[[NewJob], Any] | None = None
        self.before_read: Callable[[], Any] | None = None

    async def put(self, job: NewJob, limits: PutLimits = NO_LIMITS) -> PutResult:
        if self.before_put is not None:
            await self.before_put(job)
        if job.id in self.jobs:
            return PutResult.DUPLICATE
        if limits.closed:
            return PutResult.CLOSED
        if limits.max_waiting and len(self.jobs) >= limits.max_waiting:
            return PutResult.FULL
        mine = sum(other.user_id == job.user_id for other in self.jobs.values())
        if limits.user_quota and mine >= limits.user_quota:
            return PutResult.QUOTA
        self.jobs[job.id] = job
        return PutResult.ACCEPTED

    async def knows(self, job_id: str) -> bool:
        return job_id in self.jobs

    async def repeatable(self, job_id: str, *, user_id: str) -> RepeatableJob | None:
        if self.before_read is not None:
            await self.before_read()
        return self.repeatable_jobs.get((job_id, user_id))

    async def withdraw(self, job: NewJob) -> bool:
        if self.withdraw_failures:
            self.withdraw_failures -= 1
            raise StoreUnavailable("still down")
        self.withdrawn.append(job.id)
        self.jobs.pop(job.id, None)
        return True

    async def counts(self) -> QueueCounts:
        waiting: dict[int, int] = {}
        for job in self.jobs.values():
            waiting[job.home] = waiting.get(job.home, 0) + 1
        return QueueCounts(waiting=waiting)

    async def accepted(self, user_id: str, *, since: float) -> int:
        return sum(job.user_id == user_id and job.received_at >= since for job in self.jobs.values())

    async def history(
        self, *, user_id: str | None = None, since: float = 0.0, until: float = math.inf, limit: int = 20
    ) -> Sequence[FinishedJob]:
        if self.before_read is not None:
            await self.before_read()
        jobs = [job for job in self.finished if user_id in (None, job.user_id)]
        jobs = [job for job in jobs if since <= job.finished_at < until]
        return sorted(jobs, key=lambda job: -job.finished_at)[:limit]

    async def lease(self, request: LeaseRequest) -> list[Job]:
        raise NotImplementedError("the edge leases nothing")

    async def lease_one(self, job_id: str, *, owner: int, now: float, lease_s: float) -> Job | None:
        raise NotImplementedError("the edge leases nothing")

    async def unserved(self, *, now: float, home: int | None = None, limit: int = 100) -> list[WaitingJob]:
        raise NotImplementedError("the edge serves nothing")

    async def renew(self, owner: int, fences: Mapping[str, int], *, until: float) -> Collection[str]:
        raise NotImplementedError("the edge leases nothing")

    async def checkpoint(self, job: Job, facts: Mapping[str, Any], *, pin: bool = False) -> None:
        raise NotImplementedError("the edge runs nothing")

    async def keep(self, job: Job, result: bytes) -> None:
        raise NotImplementedError("the edge runs nothing")

    async def release(self, job: Job, *, counted: bool, avoid_until: float | None = None) -> None:
        raise NotImplementedError("the edge runs nothing")

    async def record_parts(self, job: Job, parts: Sequence[Mapping[str, Any]]) -> None:
        raise NotImplementedError("the edge runs nothing")

    async def parts(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        return self.sent_parts.get(job_id, ())

    async def extend(self, job: Job, expires_at: float) -> None:
        raise NotImplementedError("the edge runs nothing")

    async def stop(self, job_id: str, *, user_id: str | None) -> bool:
        if self.before_read is not None:
            await self.before_read()
        job = self.jobs.get(job_id)
        if job is None or user_id not in (None, job.user_id):
            return False
        self.stopped.append(job_id)
        return True

    async def stops(self, owner: int) -> Collection[str]:
        return [job_id for job_id in self.stopped if job_id in self.jobs]

    async def finish(self, job: Job, finish: Finish) -> None:
        raise NotImplementedError("the edge runs nothing")

    async def forget_payloads(self, user_id: str) -> int:
        mine = [key for key in self.repeatable_jobs if key[1] == user_id]
        for key in mine:
            del self.repeatable_jobs[key]
        return len(mine)

    async def forget(self, *, finished_before: float, limit: int = 500) -> int:
        raise NotImplementedError("the edge keeps no house")


class Remembering:
    """A remover that only notes what it is to delete: the press's id, the job's, the asker's."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def begin(self, press: Interaction, job_id: str, asker_id: str) -> None:
        self.asked.append((press.id, job_id, asker_id))


class MemoryState:
    """Cluster and counters in memory."""

    def __init__(self) -> None:
        self.beats: dict[int, Heartbeat] = {}
        self.counted: dict[tuple[str, str], int] = {}

    async def beat(self, snapshot: InstanceSnapshot, *, now: float) -> None:
        self.beats[snapshot.instance] = Heartbeat(now, snapshot)

    async def heartbeats(self) -> Sequence[Heartbeat]:
        return list(self.beats.values())

    async def leave(self, instance: int) -> None:
        self.beats.pop(instance, None)

    async def add(self, day: str, name: str, amount: int = 1) -> int:
        self.counted[day, name] = self.counted.get((day, name), 0) + amount
        return self.counted[day, name]

    async def values(self, day: str) -> Mapping[str, int]:
        return {name: value for (when, name), value in self.counted.items() if when == day}

    async def forget(self, *, before_day: str) -> None:
        self.counted = {key: value for key, value in self.counted.items() if key[0] >= before_day}


def snapshot(instance: int, now: float, **fields: Any) -> InstanceSnapshot:
    """Return what an instance in full use says of itself."""
    keys = {
        "openai": KeySnapshot(minute_limit=3500, minute_used=12),
        "stability": KeySnapshot(minute_limit=100, minute_used=3),
        "minimax": KeySnapshot(day_limit=100, day_used=7),
    }
    given = {
        "pid": 4321,
        "address": "127.0.0.1:8101",
        "version": "1",
        "started_at": now - 4000,
        "running": 3,
        "slots": 10,
    }
    return InstanceSnapshot(**{"instance": instance, "keys": keys, **given, **fields})


class Bench:
    """One instance's edge over memory. `notified` counts how often the worker was woken; `exhausted` kinds are used up
    for today; `users` is what is known of them; `stopped` are the jobs the worker was told to stop."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        limits: Limits = LIMITS,
        max_waiting: int = 1000,
        cooldowns: Mapping[str, float] | None = None,
        commands: Mapping[str, Command] = COMMANDS,
        refuse: Callable[[Interaction], Text | None] = lambda interaction: None,
        quota: Callable[[Interaction], int] = lambda interaction: 0,
    ) -> None:
        self.quota = quota
        self.clock = clock or FakeClock()
        self.limits = limits
        self.store = MemoryStore()
        self.state = MemoryState()
        self.notified = 0
        self.exhausted: set[str] = set()
        self.users = MemoryPeople()
        self.remover = Remembering()
        self.stopped: list[str] = []
        count = limits.instance_count
        self.overview = Overview(
            self.store,
            self.state,
            self.state,
            self.clock,
            instance_count=count,
            describe=lambda: snapshot(1, self.clock.now()),
        )
        self.metrics = Metrics(1)
        self.intake = Intake(
            self.store,
            self.clock,
            rules=IntakeRules(instance_count=count, routing=limits.routing, max_waiting=max_waiting),
            cooldowns=Cooldowns(self.clock, cooldowns or {}),
            day_exhausted=self.exhausted.__contains__,
            notify=self._notify,
            journal=Journal(self.metrics, self.clock),
            quota=quota,
        )
        self.edge = Edge(
            instance=1,
            verifier=SignatureVerifier(KEY.verify_key.encode().hex(), self.clock),
            commands=commands,
            intake=self.intake,
            store=self.store,
            overview=self.overview,
            limits=limits,
            clock=self.clock,
            metrics=self.metrics,
            remover=self.remover,
            people=self.users.people,
            refuse=refuse,
            on_stop=self.stopped.append,
        )

    def _notify(self) -> None:
        self.notified += 1

    async def post(self, body: bytes | Payload) -> Reply:
        """Sign a body, or a payload as JSON, and hand it in."""
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        signature, timestamp = signed(raw, self.clock.now())
        return await self.hand_in(raw, signature, timestamp)

    async def hand_in(self, body: bytes, signature: bytes | None, timestamp: bytes | None) -> Reply:
        """Hand in a request as it is."""
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.edge.on_interaction(body, signature, timestamp, answered.set_result)
        return await answered

    async def ask(self, command: str, options: Mapping[str, Any] | None = None, **fields: Any) -> Reply:
        """Use a command."""
        return await self.post(use(command, options, **fields))

    async def populate(self, count: int | None = None) -> None:
        """Let `count` instances, all if left out, give a sign of life, and look at them."""
        for instance in range(1, (count or self.limits.instance_count) + 1):
            await self.state.beat(snapshot(instance, self.clock.now()), now=self.clock.now())
        await self.overview.refresh()


def signed(body: bytes, now: float) -> tuple[bytes, bytes]:
    """Return the signature and timestamp headers for a body sent now."""
    timestamp = str(int(now)).encode()
    return KEY.sign(timestamp + body).signature.hex().encode(), timestamp


def use(command: str, options: Mapping[str, Any] | None = None, **fields: Any) -> Payload:
    """Return the interaction of a user who uses a command in a guild, in Korean."""
    listed = [{"name": name, "type": 3, "value": value} for name, value in (options or {}).items()]
    return interaction({"id": "1", "name": command, "type": 1, "options": listed}, **fields)


def interaction(data: Mapping[str, Any] | None = None, **fields: Any) -> Payload:
    """Return an interaction as Discord sends it; None leaves a field out."""
    payload = {
        "id": "1300000000000000001",
        "application_id": "1200000000000000001",
        "type": 2,
        "token": "interaction-token",
        "version": 1,
        "guild_id": "1100000000000000001",
        "channel_id": "1100000000000000002",
        "member": {"user": {"id": USER, "username": "나", "discriminator": "0"}, "roles": []},
        "locale": "ko",
        "guild_locale": "ko",
        "data": data,
        **fields,
    }
    return {name: value for name, value in payload.items() if value is not None}


def press(custom_id: str, *, asker: str | None = USER, **fields: Any) -> Payload:
    """Return a press of a button under a message that `asker`'s command made; None: Discord does not say whose."""
    data = {"custom_id": custom_id, "component_type": 2}
    data |= {name: fields.pop(name) for name in ("values",) if name in fields}
    metadata = {"interaction_metadata": {"user": {"id": asker}}} if asker is not None else {}
    message = {"id": "1290000000000000009", **metadata, **fields.pop("message", {})}
    return interaction(data, **{"type": 3, "message": message, **fields})


def member(user: str = USER, permissions: int = 0) -> Payload:
    """Return a member of a guild with these permission bits."""
    return {"user": {"id": user, "username": "나", "discriminator": "0"}, "roles": [], "permissions": str(permissions)}


def message_of(reply: Reply, *, ephemeral: bool | None = None) -> str:
    """Return the text of a type 4 answer after checking it against Discord's documented shape, strictly."""
    assert reply.status == 200
    body = json.loads(reply.body)
    assert set(body) == {"type", "data"} and body["type"] == 4
    data = body["data"]
    assert set(data) - {"flags"} == {"content", "embeds", "components", "allowed_mentions"}
    assert data["allowed_mentions"] == {"parse": []}
    assert data["embeds"] == []
    assert len(data["components"]) <= ACTION_ROWS_MAX
    for row in data["components"]:
        assert set(row) == {"type", "components"} and row["type"] == 1
        assert 1 <= len(row["components"]) <= BUTTONS_PER_ROW_MAX
        for part in row["components"]:
            assert set(part) == {"type", "style", "label", "custom_id"} and (
                part["type"],
                part["style"] in range(1, 5),
            ) == (2, True)
            assert 1 <= len(part["label"]) <= BUTTON_LABEL_MAX and 1 <= len(part["custom_id"]) <= CUSTOM_ID_MAX
    content = data["content"]
    assert isinstance(content, str) and content.strip()
    assert len(content.encode("utf-16-le")) // 2 <= 2000
    assert data.get("flags", 0) in (0, 64)
    if ephemeral is not None:
        assert (data.get("flags") == 64) is ephemeral
    return content


async def forever(*_: object) -> None:
    """Hang, as a store behind a dead disk does."""
    await asyncio.Event().wait()
