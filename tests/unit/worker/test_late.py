"""Answers that can't be there before their token ends: announced in time, posted once, or the truth told in time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from app.commands.base import Answer, JobContext
from app.discord.channels import ChannelClient
from app.discord.replies import Attachment, Message
from app.discord.webhook import FollowUpClient
from app.discord.wire import Permission
from app.errors import ProviderTimeout
from app.jobs.job import Job, JobState, Outcome
from app.worker.delivery import Delivery
from app.worker.late import LateAnswers, is_late
from tests.kit.clock import FakeClock
from tests.unit.worker.bench_worker import LIFE_S, Bench
from tests.unit.worker.bench_worker import payload as plain
from tests.unit.worker.small_discord import API_URL, APPLICATION, SmallDiscord
from tests.unit.worker.test_delivery import Killed

VIDEO = Attachment("video.mp4", b"mp4", "video/mp4")
LONG_S = 1500.0
"""How long the provider takes: longer than a token lives."""

ALL = Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES | Permission.ATTACH_FILES


def payload(permissions: int = ALL, locale: str = "ko") -> bytes:
    """Return an interaction from a server that the bot is a member of."""
    body: dict[str, Any] = json.loads(plain("1", locale=locale))
    body |= {
        "guild_id": "8", "channel_id": "600", "app_permissions": str(int(permissions)), "context": 0,
        "authorizing_integration_owners": {"0": "8"},
    }  # fmt: skip
    return json.dumps(body).encode()


class Rig:
    """A video job; each life is a process of its own with the same store, clock and Discord."""

    def __init__(self, http: httpx2.AsyncClient, discord: SmallDiscord, token: str = "bot-token") -> None:
        self._http = http
        self.discord = discord
        self.token = token
        self.clock = FakeClock()
        self.created = 0
        self.done_at = self.clock.now() + LONG_S
        self.bench = self._life()

    def _life(self) -> Bench:
        bench = Bench(clock=self.clock, delivery=self._delivery)
        bench.command("video", self._video, ("minimax",))
        return bench

    def _delivery(self, bench: Bench) -> Delivery:
        follow_up = FollowUpClient(self._http, API_URL, APPLICATION, self.clock, random=lambda: 1.0)
        channels = ChannelClient(follow_up.caller, API_URL, self.token, self.clock)
        late = LateAnswers(follow_up, channels, bench.store, self.clock)
        return Delivery(follow_up, bench.store, self.clock, late=late)

    async def _video(self, context: JobContext) -> Answer:
        """Do as the video command does: order once, wait, and give up half a minute before the deadline."""
        if context.job.checkpoint.get("step") != "submitted":
            self.created += 1
            await context.checkpoint({"step": "submitted", "task_id": "t"}, True)
        while self.clock.now() < self.done_at:
            if context.seconds_left() < 30:
                raise ProviderTimeout("the video was not finished in time")
            await self.clock.sleep(5)
        return Answer(Message("🎬 prompt", attachments=(VIDEO,)), "minimax")

    async def lease(self, body: bytes | None = None) -> Job:
        if "1" not in self.bench.store.rows:
            await self.bench.store.put(self.bench.new("1", "video", payload=body or payload()))
        (job,) = await self.bench.leases.take(self.bench.request())
        return job

    async def run(self, body: bytes | None = None) -> Job:
        """Lease the job and run it, once."""
        job = await self.lease(body)
        try:
            await self.bench.runner.run(job)
        finally:
            self.bench.leases.drop(job)
        return job

    async def to_the_end(self, body: bytes | None = None) -> int:
        """Run the job until it is done; a process that dies is followed by another. Returns how many died."""
        deaths = 0
        while "1" not in self.bench.store.rows or self.row.state is not JobState.DONE:
            try:
                await self.run(body)
            except Killed:
                deaths += 1
                store = self.bench.store
                self.bench = self._life_with(store)
        return deaths

    def _life_with(self, store: Any) -> Bench:
        self.bench.leases.drop(self.row.job)
        fresh = self._life()
        fresh.store.rows = store.rows
        return fresh

    @property
    def row(self) -> Any:
        return self.bench.store.rows["1"]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    discord = SmallDiscord()
    async with discord.client() as http:
        yield Rig(http, discord)


async def test_a_late_answer_is_announced_and_posted(rig: Rig) -> None:
    """Before the token ends the original says where the video will be; 25 minutes after it was asked for it is
    posted there, with its file, pinging the asker and nobody else. It was ordered once."""
    started = rig.clock.now()
    await rig.run()
    assert rig.clock.now() - started < LIFE_S
    assert is_late(rig.row.job)
    assert rig.discord.original is not None
    assert "이 채널에" in rig.discord.original.content
    assert (rig.row.state, rig.row.pinned, rig.row.job.attempts) == (JobState.WAITING, 1, 0)
    await rig.to_the_end()
    assert rig.clock.now() >= rig.done_at
    (posted,) = rig.discord.channel.values()
    assert posted.content == "<@5>\n🎬 prompt"
    assert posted.files == {"video.mp4": b"mp4"}
    assert posted.mentions == {"parse": [], "users": ["5"]}
    assert rig.row.finish.outcome is Outcome.ANSWERED
    assert rig.created == 1


async def test_nothing_is_shown_over_the_announcement(rig: Rig) -> None:
    """While a late video is waited for the original stays as it is."""
    await rig.run()
    await rig.lease()
    shown = list(rig.discord.history)
    job = rig.row.job
    assert await rig.bench.delivery.progress(job, rig.bench.runner.read(job), Message("⏳ 3/3")) is False
    assert rig.discord.history == shown


async def test_a_video_in_time_is_answered_as_ever(rig: Rig) -> None:
    """No post, no announcement."""
    rig.done_at = rig.clock.now() + 300
    await rig.to_the_end()
    assert rig.discord.channel == {}
    assert rig.discord.history == ["🎬 prompt"]


def told_the_truth(rig: Rig) -> None:
    assert rig.clock.now() < rig.row.job.received_at + LIFE_S
    assert rig.discord.channel == {}
    assert len(rig.discord.history) == 1
    assert ProviderTimeout.sentence.ko in rig.discord.history[0]
    assert rig.row.finish.outcome is Outcome.FAILED


@pytest.mark.parametrize(
    "body", [payload(0), payload(ALL & ~Permission.ATTACH_FILES), plain("1")], ids=["none", "no files", "user install"]
)
async def test_who_can_not_be_reached_is_told_in_time(rig: Rig, body: bytes) -> None:
    """Without the bot or its permissions there, the user hears before the token's end that it did not come about."""
    await rig.to_the_end(body)
    told_the_truth(rig)


async def test_without_a_bot_token_the_truth_is_told(rig: Rig) -> None:
    """The token is optional."""
    rig.token = ""
    rig.bench = rig._life()
    await rig.to_the_end()
    told_the_truth(rig)


async def test_a_private_answer_is_never_posted(rig: Rig) -> None:
    """What only the user was to see is not moved to where everybody sees it."""
    rig.discord.private = True
    await rig.to_the_end()
    told_the_truth(rig)


async def test_a_deleted_original_ends_the_job(rig: Rig) -> None:
    """Whoever deleted "thinking…" gets no message in the channel later."""
    rig.discord.deleted = True
    await rig.to_the_end()
    assert rig.discord.channel == {}
    assert rig.row.finish.outcome is Outcome.UNDELIVERABLE


async def test_an_unpaid_job_is_not_prolonged(rig: Rig) -> None:
    """A question the model does not answer in time ends in time: only what was paid for is waited for."""

    async def silent(context: JobContext) -> Answer:
        raise ProviderTimeout("no answer")

    rig.bench.command("video", silent)
    await rig.to_the_end()
    told_the_truth(rig)


async def test_after_an_hour_the_truth_is_told_in_the_channel(rig: Rig) -> None:
    """A video that never comes ends in one sentence to the asker, an hour after it was asked for."""
    rig.done_at += 10**6
    await rig.to_the_end()
    (posted,) = rig.discord.channel.values()
    assert posted.content.startswith("<@5>\n⚠️")
    assert 3500 < rig.clock.now() - rig.row.job.received_at <= 3600
    assert rig.row.finish.outcome is Outcome.FAILED


async def test_a_job_whose_instance_is_away_is_prolonged_by_another(rig: Rig) -> None:
    """The task can only be followed by the instance whose key made it; while that is down, another announces."""
    await rig.bench.store.put(rig.bench.new("1", "video", payload=payload()))
    (job,) = await rig.bench.leases.take(rig.bench.request())
    await rig.bench.store.checkpoint(job, {"step": "submitted", "task_id": "t"}, pin=True)
    rig.row.until = rig.clock.now() - 1
    rig.bench.leases.drop(job)
    await rig.clock.sleep(LIFE_S - 29)
    await rig.bench.rescue.look()
    await rig.clock.sleep(1)
    assert rig.discord.original is not None
    assert "이 채널에" in rig.discord.original.content
    assert (rig.row.state, rig.row.job.checkpoint["task_id"]) == (JobState.WAITING, "t")
    await rig.to_the_end()
    assert len(rig.discord.channel) == 1


async def test_a_channel_that_refuses_the_file_gets_the_text(rig: Rig) -> None:
    """Too large there: the words alone, with a note; the same nonce, since nothing was made."""
    refusals = [httpx2.Response(413, json={"code": 40005, "message": "Request entity too large"})]
    rig.discord.refuse = lambda what: refusals.pop() if "channel" in what and refusals else None
    await rig.to_the_end()
    (posted,) = rig.discord.channel.values()
    assert posted.files == {}
    assert "크기 제한" in posted.content
    assert rig.row.finish.outcome is Outcome.FAILED


async def test_an_answer_nobody_takes_is_recorded_as_such(rig: Rig) -> None:
    """The bot was thrown out meanwhile and the token is dead: the operator finds why."""
    rig.discord.refuse = lambda what: (
        httpx2.Response(403, json={"code": 50001, "message": "Missing Access"}) if "channel" in what else None
    )
    await rig.to_the_end()
    assert (rig.row.finish.outcome, rig.row.finish.error) == (Outcome.UNDELIVERABLE, "DiscordUnavailable")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(1, 7))
async def test_wherever_the_process_dies_the_answer_is_posted_once(rig: Rig, when: str, step: int) -> None:
    """It dies at each step of announcing and posting in turn; the task is ordered once, the video seen once, and the
    user knows in time where it will be."""
    count = 0

    def die(what: str) -> None:
        nonlocal count
        count += what != "PATCH webhook" or is_late(rig.row.job)
        if count == step and what:
            raise Killed

    def dying(name: str) -> None:
        real = getattr(rig.bench.store, name)

        async def call(*args: object) -> None:
            if when == "before":
                die(name)
            await real(*args)
            if when == "after":
                die(name)

        setattr(rig.bench.store, name, call)

    setattr(rig.discord, when, die)
    for name in ("extend", "record_parts", "keep"):
        dying(name)
    deaths = await rig.to_the_end()
    assert deaths == 1
    assert list(rig.discord.channel) == ["1"]
    assert rig.created == 1
    assert "이 채널에" in rig.discord.history[-1]
    assert rig.row.finish.outcome is Outcome.ANSWERED


async def test_what_is_stopped_while_it_is_late_is_not_announced_again(rig: Rig) -> None:
    """Its user hears once, in the channel, that it was stopped and had been paid for; the original stays as it is."""
    await rig.run()
    await rig.bench.store.stop("1", user_id="5")
    told = list(rig.discord.history)
    await rig.run()
    assert rig.discord.history == told
    (posted,) = rig.discord.channel.values()
    assert "비용이 들었어요" in posted.content
    assert rig.row.state is JobState.DONE
