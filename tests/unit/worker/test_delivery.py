"""A long answer's messages: all of it is seen, nothing twice, wherever a process dies and whatever answer gets lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest

from app.discord.models import parse, read_json
from app.discord.replies import Attachment, Message
from app.discord.webhook import FollowUpClient
from app.errors import LeaseLost, StoreUnavailable
from app.jobs.job import Job, LeaseRequest, NewJob, Outcome
from app.worker.delivery import Delivery
from app.worker.kept import Ended
from tests.kit.clock import FakeClock
from tests.unit.worker.bench_worker import LIFE_S, payload
from tests.unit.worker.memory import MemoryStore
from tests.unit.worker.small_discord import API_URL, APPLICATION, SmallDiscord

WHOLE = "first second third"
FILE = Attachment("code-1.py", b"x = 1", "text/plain")
ENDED = Ended(
    Message("first", components=({"type": 1},)),
    Outcome.ANSWERED,
    parts=(Message("second"), Message("third", attachments=(FILE,))),
    whole=WHOLE,
)


class Killed(BaseException):
    """The process dies here."""


class Rig:
    """One job and a Discord; each `life` is a process of its own that delivers what was kept."""

    def __init__(self, http: httpx2.AsyncClient, discord: SmallDiscord) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.discord = discord
        self._http = http
        self.job: Job | None = None

    async def life(self, ended: Ended = ENDED) -> tuple[Outcome, str]:
        """Lease the job as a new process would, and deliver."""
        if not self.store.rows:
            now = self.clock.now()
            await self.store.put(NewJob("1", "chat", "5", 1, now, now + LIFE_S, payload("1")))
        request = LeaseRequest(1, 1, self.clock.now(), 20.0, {"chat": 1})
        (self.job,) = await self.store.lease(request)
        follow_up = FollowUpClient(self._http, API_URL, APPLICATION, self.clock, random=lambda: 1.0)
        delivery = Delivery(follow_up, self.store, self.clock)
        return await delivery.deliver(self.job, parse(read_json(self.job.payload)), ended)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    discord = SmallDiscord()
    async with discord.client() as http:
        yield Rig(http, discord)


def seen(discord: SmallDiscord) -> list[str]:
    """Return the contents of all messages, in order."""
    assert discord.original is not None
    return [discord.original.content, *(part.content for part in discord.parts)]


async def test_the_parts_follow_the_answer_in_order(rig: Rig) -> None:
    """Three messages, each file with its own, none of which pings anybody; all recorded with their ids."""
    assert await rig.life() == (Outcome.ANSWERED, "")
    assert seen(rig.discord) == ["first", "second", "third"]
    assert rig.discord.parts[1].files == {"code-1.py": b"x = 1"}
    assert all(part.mentions == {"parse": []} for part in rig.discord.parts)
    assert rig.store.rows["1"].job.parts == [
        {"n": 1, "state": "sent", "id": "part-1"},
        {"n": 2, "state": "sent", "id": "part-2"},
    ]


async def test_the_parts_of_a_private_answer_are_private(rig: Rig) -> None:
    """Whoever may not see the answer may not see its second half either."""
    rig.discord.private = True
    await rig.life()
    assert [part.flags for part in rig.discord.parts] == [64, 64]


async def test_a_part_is_recorded_before_it_is_posted_and_after(rig: Rig) -> None:
    """So that whoever takes over knows what may stand there."""
    steps: list[str] = []
    rig.discord.before = lambda what: steps.append(what)
    record = rig.store.record_parts

    async def noted(job: Job, parts: object) -> None:
        steps.append("record")
        await record(job, parts)  # type: ignore[arg-type]

    rig.store.record_parts = noted  # type: ignore[method-assign]
    await rig.life()
    assert steps == ["PATCH webhook", *["record", "POST webhook", "record"] * 2]


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_part_whose_answer_got_lost_is_replaced_by_the_whole(rig: Rig, lost: int) -> None:
    """It is not posted again; the answer keeps its buttons and gets the whole text as a file, at once."""
    posts = 0

    def lose(what: str) -> None:
        nonlocal posts
        posts += what.startswith("POST")
        if what.startswith("POST") and posts == lost:
            raise httpx2.ReadError("cut")

    rig.discord.after = lose
    assert await rig.life() == (Outcome.ANSWERED, "DeliveryUnknown")
    assert [part.content for part in rig.discord.parts] == ["second", "third"][:lost]
    assert rig.discord.original is not None
    assert rig.discord.original.content.startswith("first\n\n-# ")
    assert rig.discord.original.files["answer.md"].decode() == WHOLE
    rig.discord.after = lambda _: None
    await rig.life()
    assert len(rig.discord.parts) == lost
    assert rig.discord.original.files["answer.md"].decode() == WHOLE


async def test_a_part_discord_refuses_is_replaced_by_the_whole(rig: Rig) -> None:
    """The follow-up limit of a user's installation, or a word Discord's filter stops: the text still arrives."""
    refusal = httpx2.Response(400, json={"code": 40094, "message": "Max follow-ups"})
    rig.discord.refuse = lambda what: refusal if what.startswith("POST") else None
    assert await rig.life() == (Outcome.ANSWERED, "AnswerRejected")
    assert rig.discord.original is not None
    assert rig.discord.original.files["answer.md"].decode() == WHOLE


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(1, 8))
async def test_wherever_the_process_dies_all_is_seen_and_nothing_twice(rig: Rig, when: str, step: int) -> None:
    """It dies before or after each step towards Discord or the store in turn; the next life ends the job."""
    count = 0

    def die(_what: str) -> None:
        nonlocal count
        count += 1
        if count == step:
            raise Killed

    setattr(rig.discord, when, die)
    record = rig.store.record_parts

    async def dying(job: Job, parts: object) -> None:
        if when == "before":
            die("record")
        await record(job, parts)  # type: ignore[arg-type]
        if when == "after":
            die("record")

    rig.store.record_parts = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await rig.life()
    assert await rig.life() == (Outcome.ANSWERED, "")
    assert rig.discord.original is not None
    contents = [part.content for part in rig.discord.parts]
    assert len(contents) == len(set(contents))
    whole = rig.discord.original.files.get("answer.md", b"").decode()
    assert whole == WHOLE or contents == ["second", "third"]


async def test_a_store_that_fails_for_a_while_delays_the_parts(rig: Rig) -> None:
    """Nothing is posted unrecorded, and everything is posted once the store is back."""
    rig.store.fail("record_parts", 5)
    assert await rig.life() == (Outcome.ANSWERED, "")
    assert seen(rig.discord) == ["first", "second", "third"]


async def test_a_store_that_fails_for_good_posts_no_part(rig: Rig) -> None:
    """The job stays open for whoever comes when the store is back."""
    rig.store.fail("record_parts", 10**6)
    with pytest.raises(StoreUnavailable):
        await rig.life()
    assert rig.discord.parts == []


async def test_whoever_lost_the_lease_posts_no_part(rig: Rig) -> None:
    """The parts belong to who holds the job now."""
    rig.store.before["record_parts"] = lambda: rig.store.steal("1")
    with pytest.raises(LeaseLost):
        await rig.life()
    assert rig.discord.parts == []


async def test_a_deleted_answer_gets_no_parts(rig: Rig) -> None:
    """Whoever deleted the beginning does not want the rest."""
    rig.discord.deleted = True
    assert await rig.life() == (Outcome.UNDELIVERABLE, "AnswerGone")
    assert rig.discord.parts == []


async def test_an_answer_discord_refuses_gets_no_parts(rig: Rig) -> None:
    """The sentence that stands for it is the whole outcome."""
    refusals = [httpx2.Response(400, json={"code": 50035, "message": "no"})]
    rig.discord.refuse = lambda _: refusals.pop() if refusals else None
    assert await rig.life() == (Outcome.FAILED, "AnswerRejected")
    assert len(seen(rig.discord)) == 1


async def test_without_a_whole_the_messages_are_it(rig: Rig) -> None:
    """A command that gives only messages loses nothing either."""
    refusal = httpx2.Response(400, json={"code": 50035, "message": "no"})
    rig.discord.refuse = lambda what: refusal if what.startswith("POST") else None
    await rig.life(replace(ENDED, whole=""))
    assert rig.discord.original is not None
    assert rig.discord.original.files["answer.md"].decode() == "first\n\nsecond\n\nthird"
