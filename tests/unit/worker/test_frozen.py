"""A process that stood still: whatever it was about to say when others took its jobs is never said.

Nothing here waits for time. The process stands still inside a transport, at a named moment of one request; meanwhile
the clock moves on and another instance takes the job; then this one wakes up, gives its sign of life and looks at its
leases, all before the request goes on: the worst order there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from app.clock import since_boot
from app.discord.channels import ChannelClient
from app.discord.models import parse, read_json
from app.discord.replies import Message
from app.discord.webhook import FollowUpClient
from app.jobs.job import Job, Outcome
from app.worker.delivery import Delivery
from app.worker.kept import Ended
from app.worker.late import LateAnswers
from app.worker.leases import SURE_FOR_S, LeaseBook
from tests.kit.clock import FakeClock
from tests.unit.worker.bench_worker import LIFE_S, Bench, payload
from tests.unit.worker.small_discord import API_URL, APPLICATION

BEFORE, BETWEEN = "before the connection is there", "between head and body"
FROZEN_S = 60.0
PROGRESS = Message("⏳ Thinking…")


class Wire(httpx2.AsyncBaseTransport):
    """Discord at the other end; `pauses[n]` happens in the n-th request, at the moment `at`."""

    def __init__(self, at: str = BEFORE) -> None:
        self.at = at
        self.pauses: dict[int, Callable[[], Awaitable[None]]] = {}
        self.heads = 0
        self.applied: list[bytes] = []
        """The bodies of the requests that came whole: only these change anything."""
        self._requests = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        pause = self.pauses.get(self._requests)
        self._requests += 1
        if pause is not None and self.at == BEFORE:
            await pause()
        if (trace := request.extensions.get("trace")) is not None:
            await trace("http11.send_request_headers.started", {})
        self.heads += 1
        if pause is not None and self.at == BETWEEN:
            await pause()
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        self.applied.append(b"".join([piece async for piece in request.stream]))
        return httpx2.Response(200, json={"id": "1"})


class Rig:
    """One leased job of an instance that gave its sign of life just now."""

    def __init__(self, wire: Wire, http: httpx2.AsyncClient, lease_s: float = 20.0) -> None:
        self.wire = wire
        self.clock = FakeClock(auto_advance=False)
        self.bench = Bench(clock=self.clock)
        self.store = self.bench.store
        self.leases = LeaseBook(self.store, self.clock, owner=1, lease_s=lease_s)
        follow_up = FollowUpClient(http, API_URL, APPLICATION, self.clock, random=lambda: 0.0)
        channels = ChannelClient(follow_up.caller, API_URL, "bot-token", self.clock)
        self.late = LateAnswers(follow_up, channels, self.store, self.clock, holds=self.leases.holds)
        self.delivery = Delivery(follow_up, self.store, self.clock, holds=self.leases.holds, late=self.late)

    async def lease(self) -> Job:
        await self.store.put(self.bench.new())
        (job,) = await self.leases.take(self.bench.request())
        await self.leases.seen(self.leases.moment())
        return job

    async def stand_still(self) -> None:
        """Be stopped until another instance has answered; then wake up and be sure of oneself again."""
        await self.clock.advance(FROZEN_S)
        self.store.steal("1")
        await self.leases.seen(self.leases.moment())
        assert self.leases.sure()

    async def nap(self) -> None:
        """Be stopped for as long, but nobody takes the job."""
        await self.clock.advance(FROZEN_S)


@pytest.fixture(params=[BEFORE, BETWEEN])
def wire(request: pytest.FixtureRequest) -> Wire:
    return Wire(request.param)


@pytest.fixture
async def rig(wire: Wire) -> AsyncIterator[Rig]:
    async with httpx2.AsyncClient(transport=wire) as http:
        yield Rig(wire, http)


async def test_progress_shown_in_time_is_shown(rig: Rig) -> None:
    """Who did not stand still says what it has to say, whole."""
    job = await rig.lease()
    assert await rig.delivery.progress(job, parse(read_json(job.payload)), PROGRESS)
    assert len(rig.wire.applied) == 1


async def test_what_wakes_up_shows_no_progress_over_somebody_elses_answer(rig: Rig) -> None:
    """Symptom: an answer was changed once it was final, by a process that had been stopped. Cause: it was stopped after
    the last look, while the head of its edit was out and the body was not, or woke up, was sure of itself again and so
    let through what had waited for a connection. Rule: the very lease is looked at before each piece leaves.
    """
    job = await rig.lease()
    rig.wire.pauses[0] = rig.stand_still
    assert not await rig.delivery.progress(job, parse(read_json(job.payload)), PROGRESS)
    assert rig.wire.applied == []


async def test_what_wakes_up_posts_no_further_message(rig: Rig) -> None:
    """The part was on its way when the job went to somebody else: the work is cancelled and the part never arrives."""
    job = await rig.lease()
    ended = Ended(Message("first"), Outcome.ANSWERED, parts=(Message("second"),), whole="first second")
    rig.wire.pauses[1] = rig.stand_still
    task = asyncio.create_task(rig.delivery.deliver(job, parse(read_json(job.payload)), ended))
    rig.leases.work(job, task)  # type: ignore[arg-type]
    await asyncio.wait([task])
    assert task.cancelled()
    assert [b"first" in body for body in rig.wire.applied] == [True]


async def test_a_further_message_goes_out_once_the_job_is_known_to_be_ones_own(rig: Rig) -> None:
    """The process stood still and nobody took its job: the part waits for the next look, then it is posted once."""
    job = await rig.lease()
    ended = Ended(Message("first"), Outcome.ANSWERED, parts=(Message("second"),), whole="first second")
    rig.wire.pauses[1] = rig.nap
    task = asyncio.create_task(rig.delivery.deliver(job, parse(read_json(job.payload)), ended))
    await rig.clock.advance(0)
    assert len(rig.wire.applied) == 1
    await rig.leases.seen(rig.leases.moment())
    await rig.leases.renew()
    await rig.clock.advance(1)
    assert await task == (Outcome.ANSWERED, "")
    assert [b"second" in body for body in rig.wire.applied] == [False, True]


async def test_what_wakes_up_does_not_announce_what_has_been_answered(rig: Rig) -> None:
    """That an answer will come late is said over nobody's answer."""
    job = await rig.lease()
    rig.wire.pauses[0] = rig.stand_still
    task = asyncio.create_task(rig.late.tell(job, parse(read_json(job.payload))))
    await rig.clock.advance(FROZEN_S + 2 * LIFE_S)
    await asyncio.wait_for(task, 5)
    assert rig.wire.applied == []


async def test_a_lease_is_held_until_it_might_run_out() -> None:
    """An instance that is alive for everybody, but whose renewals don't get through, stops before others may begin."""
    clock = FakeClock(auto_advance=False)
    bench = Bench(clock=clock)
    leases = LeaseBook(bench.store, clock, owner=1, lease_s=2.0)
    await bench.store.put(bench.new())
    (job,) = await leases.take(bench.request())
    assert not leases.holds(job), "no sign of life was given yet"
    await leases.seen(leases.moment())
    assert leases.holds(job)
    await clock.advance(1.6)
    assert leases.sure()
    assert not leases.holds(job)
    await leases.renew()
    assert leases.holds(job)
    await bench.store.release(job, counted=False)
    leases.drop(job)
    assert not leases.holds(job)
    (again,) = await leases.take(bench.request())
    assert leases.holds(again)
    assert not leases.holds(job), "what is left of the earlier lease may say nothing under the new one"


async def test_each_way_of_asking_the_store_extends_what_it_says() -> None:
    """A look that finds the lease in place holds it for as long again, counted from before the look."""
    clock = FakeClock(auto_advance=False)
    bench = Bench(clock=clock)
    leases = LeaseBook(bench.store, clock, owner=1, lease_s=2.0)
    await bench.store.put(bench.new())
    job = await leases.take_one("1")
    assert job is not None
    for look in (lambda: leases.confirm(job), leases.renew, lambda: leases.confirm_lately(job)):
        await leases.seen(leases.moment())
        await clock.advance(1.6)
        assert not leases.holds(job)
        await leases.seen(leases.moment())
        await look()
        assert leases.holds(job)


async def test_a_machine_that_slept_holds_nothing() -> None:
    """The monotonic clock stands still while a machine sleeps, others do not: the time since boot counts."""
    clock = FakeClock(auto_advance=False)
    slept = 0.0
    bench = Bench(clock=clock)
    leases = LeaseBook(bench.store, clock, owner=1, lease_s=20.0, moment=lambda: clock.monotonic() + slept)
    await bench.store.put(bench.new())
    (job,) = await leases.take(bench.request())
    await leases.seen(leases.moment())
    slept = SURE_FOR_S
    assert not leases.holds(job)
    assert since_boot() >= 0


def test_a_payload_is_an_interaction() -> None:
    """What the rig leases can be read."""
    assert parse(read_json(payload("1"))).token == "token-1"
