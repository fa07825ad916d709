"""One instance's worker on memory stores, a fake clock and a Discord that only takes notes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from app.balancing.budget import Allowance
from app.balancing.keyset import MINIMAX, OPENAI, STABILITY, KeySet, ManagedKey
from app.balancing.overview import Overview
from app.balancing.state import InstanceSnapshot
from app.commands.base import Answer, JobCommand, JobContext, Services
from app.discord.replies import Message
from app.discord.webhook import FollowUpClient
from app.jobs.job import Job, LeaseRequest, NewJob
from app.journal import Journal
from app.metrics import Metrics
from app.worker.delivery import Delivery
from app.worker.leases import LeaseBook
from app.worker.rescue import Rescue
from app.worker.runner import Runner
from tests.kit.clock import FakeClock
from tests.unit.worker.memory import MemoryCalls, MemoryCluster, MemoryConversations, MemoryCounters, MemoryStore

LIFE_S = 885.0
LEASE_S = 20.0

Run = Callable[[JobContext], Awaitable[Answer]]


def payload(job_id: str, options: dict[str, Any] | None = None, *, locale: str = "ko", size_limit: int = 0) -> bytes:
    """Return an interaction as Discord sends it."""
    listed = [{"type": 3, "name": name, "value": value} for name, value in (options or {}).items()]
    body: dict[str, Any] = {
        "id": job_id, "type": 2, "token": f"token-{job_id}", "application_id": "7", "locale": locale,
        "user": {"id": "5"}, "data": {"name": "채팅", "options": listed},
    }  # fmt: skip
    return json.dumps(body | ({"attachment_size_limit": size_limit} if size_limit else {})).encode()


@dataclass(slots=True)
class Notebook:
    """Stands for the follow-up client: `finals` and `shown` are what Discord was sent; `raises` comes next, in turn."""

    finals: list[Message] = field(default_factory=list)
    shown: list[Message] = field(default_factory=list)
    raises: list[Exception | None] = field(default_factory=list)
    during: Callable[[Message, bool], Awaitable[None]] | None = None
    wait: float = 1.0

    def pace(self, token: str) -> float:
        return self.wait

    async def edit_original(self, token: str, message: Message, *, final: bool = True, **_when: float) -> bool:
        if self.during is not None:
            await self.during(message, final)
        error = self.raises.pop(0) if self.raises else None
        if error is not None:
            raise error
        (self.finals if final else self.shown).append(message)
        return True


def idle_services(keys: KeySet, conversations: MemoryConversations) -> Services:
    """Return services whose providers nobody may call."""
    nobody = cast(Any, None)
    return Services(
        chat=nobody, images=(), video=nobody, keys=keys, system_prompt="", chat_timeout_s=180, image_timeout_s=120,
        video_poll_s=5, user_ref=str, conversations=conversations,
    )  # fmt: skip


async def unused(context: JobContext) -> Answer:
    """Stand for a command that no job of the test reaches."""
    raise AssertionError(f"nobody asked for {context.job.kind}")


class Bench:
    """`commands[kind]` is what a job of that kind runs."""

    def __init__(
        self, *, owner: int = 1, instances: int = 2, clock: FakeClock | None = None, services: Services | None = None,
        delivery: Callable[[Bench], Delivery] | None = None,
    ) -> None:  # fmt: skip
        self.clock = clock or FakeClock()
        self.store = MemoryStore()
        self.counters = MemoryCounters()
        self.cluster = MemoryCluster()
        self.discord = Notebook()
        self.keys = (
            services.keys
            if services
            else KeySet(
                ManagedKey(name, owner, self.clock, MemoryCalls(), Allowance()) for name in (OPENAI, STABILITY, MINIMAX)
            )
        )
        self.overview = Overview(
            self.store, self.cluster, self.counters, self.clock, instance_count=instances, describe=self.describe
        )
        self.owner = owner
        self.commands: dict[str, JobCommand] = {}
        for kind, providers in (("chat", (OPENAI,)), ("image", (STABILITY, MINIMAX)), ("video", (MINIMAX,))):
            self.command(kind, unused, providers)
        self.metrics = Metrics(owner)
        self.journal = Journal(self.metrics, self.clock)
        self.conversations = MemoryConversations()
        self.services = services or idle_services(self.keys, self.conversations)
        self.leases = LeaseBook(self.store, self.clock, owner=owner, lease_s=LEASE_S, on_lost=self.journal.lost)
        follow_up = cast(FollowUpClient, self.discord)
        self.delivery = delivery(self) if delivery else Delivery(follow_up, self.store, self.clock)
        self.runner = Runner(
            instance=owner, store=self.store, leases=self.leases, commands=self.commands,
            services=self.services, delivery=self.delivery, overview=self.overview, clock=self.clock,
            journal=self.journal,
        )  # fmt: skip
        self.exhausted: set[str] = set()
        self.rescue = Rescue(
            store=self.store, leases=self.leases, runner=self.runner, delivery=self.delivery, commands=self.commands,
            overview=self.overview, clock=self.clock, day_exhausted=self.exhausted.__contains__,
        )  # fmt: skip

    def describe(self) -> InstanceSnapshot:
        return InstanceSnapshot(self.owner, slots=10, keys=self.keys.snapshots())

    def command(self, kind: str, run: Run, providers: tuple[str, ...] = (OPENAI,)) -> None:
        """Let jobs of `kind` do `run`."""
        self.commands[kind] = JobCommand({"name": kind}, kind, providers, lambda _: None, run)

    def new(self, job_id: str = "1", kind: str = "chat", **fields: Any) -> NewJob:
        """Return a job received now."""
        now = self.clock.now()
        values: dict[str, Any] = {"home": self.owner, "expires_at": now + LIFE_S, "payload": payload(job_id)}
        return NewJob(job_id, kind, "5", received_at=now, **values | fields)

    async def lease(self, job_id: str = "1", kind: str = "chat", **fields: Any) -> Job:
        """Put a job if it is new, and lease it."""
        if job_id not in self.store.rows:
            await self.store.put(self.new(job_id, kind, **fields))
        jobs = await self.leases.take(self.request())
        return next(job for job in jobs if job.id == job_id)

    def request(self, limit: int = 100) -> LeaseRequest:
        kinds = dict.fromkeys(self.commands, 100)
        return LeaseRequest(self.owner, limit, self.clock.now(), LEASE_S, kinds)

    async def crash(self, job: Job) -> Job:
        """Lease the job as the next life of this instance would."""
        self.leases.drop(job)
        return await self.lease(job.id)

    async def beat(self) -> None:
        """Give a sign of life and look at everybody's."""
        await self.overview.beat()
        await self.overview.refresh()

    async def other(self, instance: int, **snapshot: Any) -> None:
        """Let another instance give a sign of life, and look at everybody."""
        values: dict[str, Any] = {"slots": 10, **snapshot}
        await self.cluster.beat(InstanceSnapshot(instance, **values), now=self.clock.now())
        await self.beat()


def answering(text: str = "the answer", *, calls: list[str] | None = None, seconds: float = 0.0) -> Run:
    """Return a command that answers after `seconds`; `calls` notes each run."""

    async def run(context: JobContext) -> Answer:
        if calls is not None:
            calls.append(context.job.id)
        if seconds:
            await context.clock.sleep(seconds)
        return Answer(Message(text), OPENAI)

    return run


def raising(*errors: Exception) -> Run:
    """Return a command that fails with each error in turn, the last for ever."""
    left = list(errors)

    async def run(_context: JobContext) -> Answer:
        raise left.pop(0) if len(left) > 1 else left[0]

    return run
