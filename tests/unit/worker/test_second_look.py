"""An answer over which something late may come is looked at again; no other is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest

from app.discord.models import Interaction, parse, read_json
from app.discord.replies import Message
from app.discord.webhook import FollowUpClient
from app.errors import AnswerGone
from app.jobs.job import Job, LeaseRequest, NewJob, Outcome, ServedBecause
from app.texts import Locale
from app.worker.delivery import Delivery
from app.worker.kept import Ended
from app.worker.progress import growing, is_progress
from app.worker.second_look import LOOKS_AFTER_S, SecondLook
from tests.kit.clock import FakeClock
from tests.unit.worker.bench_worker import LIFE_S, payload
from tests.unit.worker.memory import MemoryStore
from tests.unit.worker.small_discord import API_URL, APPLICATION, Shown, SmallDiscord

PROGRESS = Message(growing("half of the ans", Locale.EN))
ANSWER = Ended(Message("half of the answer is not enough"), Outcome.ANSWERED)


class Rig:
    """One leased job and the Discord its answer goes to; `asked` are the calls Discord got."""

    def __init__(self, http: httpx2.AsyncClient, discord: SmallDiscord) -> None:
        self.clock = FakeClock(auto_advance=False)
        self.discord = discord
        self.asked: list[str] = []
        self.discord.before = self.asked.append
        self.store = MemoryStore()
        self.follow_up = FollowUpClient(http, API_URL, APPLICATION, self.clock, random=lambda: 0.0)
        self.looks = SecondLook(self.follow_up, self.clock)
        self.delivery = Delivery(self.follow_up, self.store, self.clock, second_look=self.looks)

    async def lease(self) -> tuple[Job, Interaction]:
        now = self.clock.now()
        await self.store.put(NewJob("1", "chat", "5", 1, now, now + LIFE_S, payload("1")))
        (job,) = await self.store.lease(LeaseRequest(1, 1, now, 20.0, {"chat": 1}))
        return job, parse(read_json(job.payload))

    async def show_unheard(self, job: Job, interaction: Interaction) -> None:
        """Show progress, and never hear what became of it."""

        def lose(_what: str) -> None:
            raise httpx2.ReadError("cut")

        self.discord.after = lose
        assert not await self.delivery.progress(job, interaction, PROGRESS)
        self.discord.after = lambda _what: None

    def comes_late(self) -> None:
        """Discord does now what it was asked for before the answer."""
        self.discord.original = Shown(PROGRESS.content, {}, {})

    @property
    def content(self) -> str:
        assert self.discord.original is not None
        return self.discord.original.content


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    discord = SmallDiscord()
    async with discord.client() as http:
        made = Rig(http, discord)
        yield made
        await made.looks.close()
        assert made.looks.under_way == 0


async def test_progress_done_after_the_answer_gives_way_to_it_again(rig: Rig) -> None:
    """Symptom: a user was left with half an answer and a cursor. Cause: Discord took long over a progress edit, longer
    than it was waited for, and did it after the answer. Rule: where that can be, the answer is looked at again.
    """
    job, interaction = await rig.lease()
    await rig.show_unheard(job, interaction)
    assert await rig.delivery.deliver(job, interaction, ANSWER) == (Outcome.ANSWERED, "")
    rig.comes_late()
    await rig.clock.advance(LOOKS_AFTER_S[0])
    assert rig.content == ANSWER.message.content
    rig.comes_late()
    await rig.clock.advance(LOOKS_AFTER_S[1])
    assert rig.content == ANSWER.message.content
    assert rig.looks.under_way == 0


async def test_what_went_well_is_not_looked_at(rig: Rig) -> None:
    """Progress that Discord has answered costs no further call."""
    job, interaction = await rig.lease()
    assert await rig.delivery.progress(job, interaction, PROGRESS)
    await rig.delivery.deliver(job, interaction, ANSWER)
    await rig.clock.advance(sum(LOOKS_AFTER_S))
    assert rig.asked == ["PATCH webhook"] * 2


async def test_an_answer_taken_over_from_another_instance_is_looked_at(rig: Rig) -> None:
    """Whoever had the job may wake up in the middle of an edit; where it did not, reading is all that is done."""
    job, interaction = await rig.lease()
    job = replace(job, because=ServedBecause.RECOVERED)
    await rig.delivery.deliver(job, interaction, ANSWER)
    await rig.clock.advance(sum(LOOKS_AFTER_S))
    assert rig.asked == ["PATCH webhook", "GET webhook", "GET webhook"]


async def test_an_answer_its_user_has_deleted_is_not_brought_back(rig: Rig) -> None:
    """One look finds it gone, and that was the last call."""
    job, interaction = await rig.lease()
    await rig.show_unheard(job, interaction)
    await rig.delivery.deliver(job, interaction, ANSWER)
    rig.discord.deleted = True
    await rig.clock.advance(sum(LOOKS_AFTER_S))
    assert rig.asked == ["PATCH webhook", "PATCH webhook", "GET webhook"]
    with pytest.raises(AnswerGone):
        await rig.follow_up.original(interaction.token, within_s=1)


async def test_only_the_newest_answer_is_brought_back(rig: Rig) -> None:
    """A part that may not stand there has the whole attached to the answer: what stood there before is past."""
    job, interaction = await rig.lease()
    await rig.show_unheard(job, interaction)

    def lose_parts(what: str) -> None:
        if what.startswith("POST"):
            raise httpx2.ReadError("cut")

    rig.discord.after = lose_parts
    ended = replace(ANSWER, parts=(Message("second"),), whole="all of it")
    assert await rig.delivery.deliver(job, interaction, ended) == (Outcome.ANSWERED, "DeliveryUnknown")
    assert rig.looks.under_way == 1
    rig.comes_late()
    await rig.clock.advance(sum(LOOKS_AFTER_S))
    assert rig.discord.original is not None
    assert list(rig.discord.original.files) != []


async def test_a_discord_that_is_away_ends_the_looks(rig: Rig) -> None:
    """What can't be read is given up: nothing is left that asks for ever."""
    job, interaction = await rig.lease()
    await rig.show_unheard(job, interaction)
    await rig.delivery.deliver(job, interaction, ANSWER)
    rig.discord.refuse = lambda _what: httpx2.Response(503, json={})
    await rig.clock.advance(600)
    assert rig.looks.under_way == 0


async def test_the_end_of_the_process_ends_the_looks(rig: Rig) -> None:
    """`close` leaves no task."""
    job, interaction = await rig.lease()
    await rig.show_unheard(job, interaction)
    await rig.delivery.deliver(job, interaction, ANSWER)
    assert rig.looks.under_way == 1
    await rig.looks.close()
    await asyncio.sleep(0)
    assert rig.looks.under_way == 0


@pytest.mark.parametrize(
    ("text", "progress"),
    [("⏳ Thinking…", True), ("half ▌", True), ("half\n-# ✍️ 100 ▌ ", True), ("an answer", False), ("", False)],
)
def test_progress_is_told_from_an_answer(text: str, progress: bool) -> None:
    """By its first character or its cursor, whatever the language."""
    assert is_progress(text) is progress
