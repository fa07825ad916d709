"""Quartet's way of a call, four instances' key sets over one file, beside the bare SDK of the same environment.

Each call is put on record, leased by its home, counted against its key's budget on record, made, kept on record and
finished on record, by the product's own parts: all that a chat job goes through but for Discord.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import cast

import httpx2
import uvloop

from app.balancing.budget import Allowance
from app.balancing.keyset import OPENAI, KeySet, ManagedKey
from app.balancing.overview import Overview
from app.balancing.state import InstanceSnapshot
from app.clock import SystemClock
from app.commands.registry import JOB_COMMANDS
from app.jobs.job import Finish, Job, NewJob, Outcome
from app.jobs.schema import MIGRATIONS
from app.jobs.sqlite_engine import SqliteEngine
from app.providers.base import ChatRequest
from app.providers.openai_chat import OpenAIChat
from app.storage import Storage, sqlite_storage
from app.worker.leases import LeaseBook
from app.worker.loop import Worker
from app.worker.runner import Runner
from bench.servers.calling import MODEL, SYSTEM, Call, bare_call, question, serve

INSTANCES = 4
KIND = "chat"
NO_LIMIT = 1_000_000
SLOTS = 40
LIFETIME_S = 840.0

ANSWERS: dict[str, asyncio.Future[str]] = {}
"""Who waits for a job, of all homes: one that its home leaves lying for too long is done by another."""


class CallRunner:
    """Stands where the job runner stands: the same steps in the same order, and nobody to deliver to."""

    def __init__(
        self, instance: int, storage: Storage, leases: LeaseBook, keys: KeySet, chat: OpenAIChat, clock: SystemClock
    ) -> None:
        self._instance = instance
        self._storage = storage
        self._leases = leases
        self._keys = keys
        self._chat = chat
        self._clock = clock
        self.overview: Overview | None = None

    async def run(self, job: Job) -> None:
        """Make a leased job's call and end the job."""
        answer = ANSWERS[job.id]
        try:
            text = await self._ask(job)
            await self._storage.jobs.keep(job, text.encode())
            assert self.overview is not None
            self._leases.delivered(job)
            await asyncio.gather(
                self._storage.jobs.finish(job, Finish(Outcome.ANSWERED, self._clock.now(), OPENAI)),
                self.overview.count_done(self._instance, KIND),
            )
            answer.set_result(text)
        except Exception as error:
            answer.set_exception(error)

    async def _ask(self, job: Job) -> str:
        request = ChatRequest(prompt=job.payload.decode(), system_prompt=SYSTEM)
        pieces = []
        async with self._keys[OPENAI].use() as call:
            self._leases.begun(job)
            async with aclosing(self._chat.stream(request, timeout_s=30.0)) as chunks:
                async for chunk in chunks:
                    call.heard()
                    pieces.append(chunk.text)
        return "".join(pieces)

    def stop(self, job_id: str) -> None:
        """Nobody stops these."""


class Home:
    """One instance without its web server and without Discord."""

    def __init__(self, instance: int, base_url: str, file: Path, http: httpx2.AsyncClient) -> None:
        self._instance = instance
        self._clock = SystemClock()
        self._storage = sqlite_storage(SqliteEngine(file, MIGRATIONS))
        keys = KeySet(
            ManagedKey(provider, instance, self._clock, self._storage.calls, Allowance(per_minute=NO_LIMIT))
            for provider in sorted({provider for command in JOB_COMMANDS.values() for provider in command.providers})
        )
        chat = OpenAIChat(
            f"simulated-{instance}", base_url, MODEL, http, max_output_tokens=1000, clock=self._clock,
            on_rate=keys[OPENAI].learn,
        )  # fmt: skip
        leases = LeaseBook(self._storage.jobs, self._clock, owner=instance, lease_s=20.0)
        self._runner = CallRunner(instance, self._storage, leases, keys, chat, self._clock)
        overview = self._runner.overview = Overview(
            self._storage.jobs, self._storage.cluster, self._storage.counters, self._clock,
            instance_count=INSTANCES, describe=self._describe,
        )  # fmt: skip
        self._chat = chat
        self._worker = Worker(
            leases=leases, runner=cast(Runner, self._runner), commands=JOB_COMMANDS, keys=keys, overview=overview,
            clock=self._clock, slots=SLOTS, day_limits={},
        )  # fmt: skip

    async def start(self) -> None:
        """Open the store, load the SDK, begin to look for jobs."""
        await self._storage.open()
        await self._chat.warm()
        await self._worker.start()

    async def close(self) -> None:
        """End in good order."""
        await self._worker.stop(1.0)
        await self._storage.close()

    async def call(self, number: int) -> str:
        """Hand in a job and wait for its end."""
        now, job_id = self._clock.now(), str(time.time_ns())
        job = NewJob(
            job_id, KIND, str(number), self._instance, now, now + LIFETIME_S, question(number).encode(), put_by=job_id
        )
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        ANSWERS[job_id] = answer
        try:
            await self._storage.jobs.put(job)
            self._worker.notify()
            return await answer
        finally:
            del ANSWERS[job_id]

    def _describe(self) -> InstanceSnapshot:
        return InstanceSnapshot(self._instance, running=self._worker.running, slots=SLOTS)


async def quartet(base_url: str, file: Path, serve_: Callable[[Call], Awaitable[None]]) -> None:
    """Run four homes over one file while `serve_` uses them."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=100)))
        homes: Sequence[Home] = [Home(number, base_url, file, http) for number in range(1, INSTANCES + 1)]
        for home in homes:
            await home.start()
            stack.push_async_callback(home.close)
        await serve_(lambda number: homes[number % INSTANCES].call(number))


def main() -> None:
    """Serve until the input ends."""
    base_url, file = sys.argv[1], Path(sys.argv[2])
    packages = ("openai", "httpx2", "uvloop")
    uvloop.run(quartet(base_url, file, lambda own: serve({"bare": bare_call(base_url), "own": own}, packages)))


if __name__ == "__main__":
    main()
