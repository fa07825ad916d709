"""Recorded first, deferred after; and what could not be recorded in time is taken back, not answered later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from app.commands.access import BLOCKED, AccessRules, quota, refusal
from app.discord.answers import DEFERRED, SILENT
from app.discord.wire import ACK_WITHIN_S
from app.errors import QuartetError, StoreUnavailable
from app.jobs.job import NewJob
from app.recording import RECORD_WITHIN_S
from tests.kit.waiting import wait_until
from tests.unit.edge.kit import LIMITS, USER, Bench, forever, message_of, use

ASK = {"질문": "왜?"}


@pytest.fixture
def bench() -> Bench:
    """One instance's edge and intake."""
    return Bench()


async def down(_: NewJob) -> None:
    """Fail at once."""
    raise StoreUnavailable("disk full")


async def broken(_: NewJob) -> None:
    """Fail as nobody expected."""
    raise ZeroDivisionError("a bug")


def recorded_late(bench: Bench, release: asyncio.Event) -> Callable[[NewJob], Any]:
    """Return a `before_put` whose record comes about after the caller has gone, once `release` is set."""
    late: list[asyncio.Task[None]] = []

    async def record(job: NewJob) -> None:
        await release.wait()
        bench.store.jobs[job.id] = job

    async def slow(job: NewJob) -> None:
        late.append(asyncio.create_task(record(job)))
        await asyncio.shield(late[-1])

    return slow


async def test_a_silent_store_is_not_waited_for(bench: Bench) -> None:
    """Symptom: with the network to the store swallowing all, four instances in a row were waited for, and Discord
    heard nothing within 3 s. Rule: while the store answers nobody, nothing is put, and the proxy hears 503 at once. It
    is no sentence for the user: another instance's record may be on its way, and be answered.
    """
    bench.intake.store_silent = lambda: True
    assert await bench.ask("채팅", ASK) == SILENT
    assert not bench.store.jobs
    bench.intake.store_silent = lambda: False
    assert await bench.ask("채팅", ASK) == DEFERRED


def test_there_is_time_left_for_the_way() -> None:
    """What intake allows itself leaves Discord's three seconds half a second for the network."""
    assert RECORD_WITHIN_S <= ACK_WITHIN_S - 0.5


async def test_nothing_is_deferred_before_it_is_recorded(bench: Bench) -> None:
    """While the store works there is no answer; once it has the job there is one, and the worker was woken once."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def work(_: NewJob) -> None:
        entered.set()
        await release.wait()

    bench.store.before_put = work
    asked = asyncio.create_task(bench.ask("채팅", ASK))
    await entered.wait()
    assert not asked.done() and bench.notified == 0
    release.set()
    assert await asked == DEFERRED
    assert len(bench.store.jobs) == 1 and bench.notified == 1


@pytest.mark.parametrize("locale", ["ko", "en-US"])
async def test_a_store_that_is_down(bench: Bench, locale: str) -> None:
    """A private apology in the user's language; the job is withdrawn; nobody is woken."""
    bench.store.before_put = down
    text = message_of(await bench.ask("채팅", ASK, locale=locale), ephemeral=True)
    assert text == (StoreUnavailable.sentence.ko if locale == "ko" else StoreUnavailable.sentence.en)
    await wait_until(lambda: bench.store.withdrawn == ["1300000000000000001"], 2, "the job is withdrawn")
    assert bench.notified == 0 and bench.store.jobs == {}


async def test_a_store_that_breaks(bench: Bench) -> None:
    """Symptom: a job whose put raised something unexpected was apologised for and could be answered after all.
    Cause: only the expected errors led to a withdrawal. Rule: what intake apologises for it withdraws.
    """
    bench = Bench(cooldowns={"chat": 60})
    bench.store.before_put = broken
    assert message_of(await bench.ask("채팅", ASK), ephemeral=True) == QuartetError.sentence.ko
    await wait_until(lambda: bool(bench.store.withdrawn), 2, "the job is withdrawn")
    bench.store.before_put = None
    assert await bench.ask("채팅", ASK, id="1300000000000000002") == DEFERRED


async def test_who_waits_hears_something_whatever_breaks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the store has answered nobody is above to catch what breaks: it must still become an answer."""
    monkeypatch.setattr(bench.intake, "_refusal", lambda *_: 1 // 0)
    bench.store.before_put = down
    assert message_of(await asyncio.wait_for(bench.ask("채팅", ASK), 5), ephemeral=True) == QuartetError.sentence.ko


async def test_a_store_that_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The apology comes when intake's time is over, although the store never answers."""
    monkeypatch.setattr("app.recording.RECORD_WITHIN_S", 0.05)
    bench.store.before_put = forever
    started = asyncio.get_running_loop().time()
    reply = await asyncio.wait_for(bench.ask("채팅", ASK), ACK_WITHIN_S)
    assert message_of(reply, ephemeral=True) == StoreUnavailable.sentence.ko
    assert reply.label == "store_unavailable"
    assert asyncio.get_running_loop().time() - started >= 0.05


async def test_what_is_recorded_too_late_is_taken_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record comes about after the apology: withdrawing goes on until the store answers, and removes it."""
    monkeypatch.setattr("app.recording.RECORD_WITHIN_S", 0.05)
    release = asyncio.Event()
    bench.store.before_put = recorded_late(bench, release)
    bench.store.withdraw_failures = 3
    message_of(await bench.ask("채팅", ASK), ephemeral=True)
    release.set()
    await wait_until(lambda: bench.store.withdrawn == ["1300000000000000001"], 2, "the job is withdrawn")
    assert bench.store.jobs == {} and bench.store.withdraw_failures == 0 and bench.notified == 0


async def test_withdrawing_ends(bench: Bench) -> None:
    """A store that stays down is asked once a second for a minute, then left in peace; no task is left."""
    bench.store.before_put, bench.store.withdraw_failures = down, 10_000
    before = asyncio.all_tasks()
    await bench.ask("채팅", ASK)
    await wait_until(lambda: asyncio.all_tasks() == before, 5, "the withdrawal has ended")
    assert 10_000 - bench.store.withdraw_failures in (60, 61)


async def test_closing_ends_withdrawals(bench: Bench) -> None:
    """After `close` no task is left, whatever the store does."""
    bench.store.before_put = down
    bench.store.withdraw = forever  # type: ignore[method-assign, assignment]
    before = asyncio.all_tasks()
    await bench.ask("채팅", ASK)
    assert asyncio.all_tasks() != before
    await bench.intake.close()
    assert asyncio.all_tasks() == before


async def test_a_full_queue_is_said_at_once(bench: Bench) -> None:
    """The one too many is refused with the bound in the sentence, is not withdrawn and wakes nobody."""
    bench = Bench(max_waiting=2)
    replies = [await bench.ask("채팅", ASK, id=str(number)) for number in (1, 2, 3)]
    assert replies[:2] == [DEFERRED, DEFERRED]
    assert "2건" in message_of(replies[2], ephemeral=True) and replies[2].label == "queue_full"
    assert sorted(bench.store.jobs) == ["1", "2"] and bench.store.withdrawn == [] and bench.notified == 2


async def test_copies_are_deferred_and_notified_once(bench: Bench) -> None:
    """Any number of copies, at once or later: each is deferred, one job, the worker woken once."""
    replies = await asyncio.gather(*(bench.ask("채팅", ASK) for _ in range(20)))
    replies.append(await bench.ask("채팅", ASK))
    assert replies == [DEFERRED] * 21
    assert len(bench.store.jobs) == 1 and bench.notified == 1


async def test_a_cooldown_counts_uses_not_copies_or_refusals() -> None:
    """A second use is refused with the seconds left, a copy is not; other users and kinds are free; later it is too."""
    bench = Bench(cooldowns={"image": 2.0})
    draw = {"설명": "달"}
    assert await bench.ask("이미지", {"설명": ""}, id="1") != DEFERRED
    assert await bench.ask("이미지", draw, id="2") == DEFERRED
    refused = await bench.ask("이미지", draw, id="3")
    assert "2초" in message_of(refused, ephemeral=True) and refused.label == "cooldown"
    assert await bench.ask("이미지", draw, id="2") == DEFERRED
    assert await bench.ask("이미지", draw, id="4", member={"user": {"id": "9"}}) == DEFERRED
    assert await bench.ask("채팅", ASK, id="5") == DEFERRED
    await bench.clock.sleep(2.01)
    assert await bench.ask("이미지", draw, id="6") == DEFERRED
    assert sorted(bench.store.jobs) == ["2", "4", "5", "6"]


@pytest.mark.parametrize("failing", [down, forever])
async def test_an_apology_costs_no_cooldown(failing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was told to try again soon may."""
    monkeypatch.setattr("app.recording.RECORD_WITHIN_S", 0.05)
    bench = Bench(cooldowns={"chat": 60})
    bench.store.before_put = failing
    message_of(await bench.ask("채팅", ASK, id="1"), ephemeral=True)
    bench.store.before_put = None
    assert await bench.ask("채팅", ASK, id="2") == DEFERRED
    await bench.intake.close()


async def test_a_kind_that_is_used_up_is_said_at_once(bench: Bench) -> None:
    """With the moment it opens again, the next UTC midnight, as a time Discord shows in the reader's own; no job."""
    bench.exhausted.add("video")
    reply = await bench.ask("비디오", {"설명": "파도"})
    reset = (int(bench.clock.now()) // 86_400 + 1) * 86_400
    assert f"<t:{reset}:R>" in message_of(reply, ephemeral=True) and reply.label == "day_exhausted"
    assert bench.store.jobs == {}
    assert await bench.ask("채팅", ASK) == DEFERRED


async def test_a_role_has_its_own_quota() -> None:
    """A role's jobs a day take the place of everybody's; the one too many is told the number and when it ends."""
    rules = AccessRules(user_quota=1, role_quotas={"77": 2})
    bench = Bench(quota=partial(quota, rules=rules))
    member = {"user": {"id": USER}, "roles": ["77"]}
    replies = [await bench.ask("채팅", ASK, id=str(number), member=member) for number in (1, 2, 3)]
    assert replies[:2] == [DEFERRED, DEFERRED] and replies[2].label == "user_quota"
    assert "2번" in message_of(replies[2], ephemeral=True)
    others = [await bench.ask("채팅", ASK, id=str(number), member={"user": {"id": "9"}}) for number in (4, 5)]
    assert others[0] == DEFERRED and "1번" in message_of(others[1], ephemeral=True)


async def test_with_access_refused_nothing_happens() -> None:
    """Who may not use the bot gets one private sentence: no job, no write, no cooldown."""
    bench = Bench(refuse=partial(refusal, rules=AccessRules(blocked_users=[USER])), cooldowns={"chat": 60})
    assert message_of(await bench.ask("채팅", ASK), ephemeral=True) == BLOCKED.ko
    assert message_of(await bench.ask("핑", locale="en-US", id="2"), ephemeral=True) == BLOCKED.en
    assert bench.store.jobs == {} and bench.notified == 0
    assert await bench.ask("채팅", ASK, id="3", member={"user": {"id": "9"}}) == DEFERRED


async def test_where_a_job_was_asked_is_recorded(bench: Bench) -> None:
    """With the server and the channel."""
    await bench.ask("채팅", ASK, guild_id="70", channel_id="71")
    (job,) = bench.store.jobs.values()
    assert (job.guild_id, job.channel_id) == ("70", "71")


async def test_with_the_old_split_the_feature_decides_the_home() -> None:
    """`ROUTING=functional`: chat 1, images 2, videos 3, whoever asks."""
    bench = Bench(limits=replace(LIMITS, routing="functional"))
    for number, (command, options) in enumerate(
        [("채팅", ASK), ("이미지", {"설명": "달"}), ("비디오", {"설명": "달"})], start=1
    ):
        await bench.post(use(command, options, id=str(number)))
    assert {job.kind: job.home for job in bench.store.jobs.values()} == {"chat": 1, "image": 2, "video": 3}
    assert {job.user_id for job in bench.store.jobs.values()} == {USER}
