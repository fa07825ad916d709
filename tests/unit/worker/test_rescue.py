"""Who waits hears where they stand, and the truth before it is too late."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.balancing.budget import KeySnapshot, KeyState
from app.commands.buttons import stop_row
from app.discord.replies import Message
from app.errors import AnswerGone, DayExhausted, ProviderKeyRejected, ProviderQuotaExhausted
from app.jobs.job import Finish, JobState, Outcome
from app.texts import Locale
from app.userdata.preferences import Preferences
from app.worker.kept import Ended, pack
from app.worker.rescue import END_BEFORE_S, FORGET_AT_ONCE, KEPT_S
from tests.kit.waiting import wait_turns_until
from tests.unit.worker.bench_worker import LEASE_S, LIFE_S, Bench

DEAD = KeySnapshot(state=KeyState.DEAD, rest_s=600)
SPENT = KeySnapshot(state=KeyState.SPENT, rest_s=3600)
DAY_USED = KeySnapshot(day_limit=100, day_used=100, rest_s=40_000)
COOLING = KeySnapshot(state=KeyState.COOLING, rest_s=20)


@pytest.fixture
async def bench() -> Bench:
    """Instance 1 of two, which gave a sign of life; time stands still until moved."""
    bench = Bench()
    bench.clock.auto_advance = False
    await bench.beat()
    return bench


async def ended(bench: Bench, job_id: str = "1") -> Finish:
    """Wait for a job's end."""
    row = bench.store.rows[job_id]
    await wait_turns_until(lambda: row.state is JobState.DONE and len(bench.leases) == 0, f"job {job_id} has ended")
    assert row.finish is not None
    return row.finish


async def keys(bench: Bench, **by_provider: KeySnapshot) -> None:
    """Let this instance's keys look like this to everybody."""
    described = replace(bench.describe(), keys=by_provider)
    bench.overview._describe = lambda: described
    await bench.beat()


async def test_who_waits_is_told_their_place(bench: Bench) -> None:
    """The first is next, the others hear how many are ahead, and all wait on without an attempt counted."""
    for number in range(1, 4):
        await bench.store.put(bench.new(str(number)))
    await bench.clock.advance(2)
    await bench.rescue.look()
    shown = [message.content for message in bench.discord.shown]
    assert all(text.startswith("⏳") for text in shown)
    assert "다음 차례" in shown[0] and "앞에 1건" in shown[1] and "앞에 2건" in shown[2]
    assert {(row.state, row.job.attempts) for row in bench.store.rows.values()} == {(JobState.WAITING, 0)}
    assert len(bench.leases) == 0


async def test_nobody_is_told_at_once_or_all_the_time(bench: Bench) -> None:
    """Not in the first moments, and then only every few seconds."""
    await bench.store.put(bench.new())
    for _ in range(17):
        await bench.rescue.look()
        await bench.clock.advance(1)
    assert 2 <= len(bench.discord.shown) <= 3


async def test_a_long_queue_is_told_in_turn(bench: Bench) -> None:
    """Each look tells a few, those first who have heard nothing yet."""
    for number in range(20):
        await bench.store.put(bench.new(str(number)))
    await bench.clock.advance(2)
    for _ in range(3):
        await bench.rescue.look()
    assert len(bench.discord.shown) == 20


async def test_a_place_is_never_told_after_the_answer(bench: Bench) -> None:
    """A job that somebody took since the look began is left alone."""
    job = bench.new()
    await bench.store.put(job)
    await bench.clock.advance(2)
    bench.store.before["lease_one"] = lambda: setattr(bench.store.rows["1"], "state", JobState.DONE)
    await bench.rescue.look()
    assert bench.discord.shown == []


async def test_a_message_that_is_gone_waits_on(bench: Bench) -> None:
    """Telling a place to a deleted message does not end the look, nor the job."""
    await bench.store.put(bench.new("1"))
    await bench.store.put(bench.new("2"))
    await bench.clock.advance(2)
    bench.discord.raises = [AnswerGone("10008")]
    await bench.rescue.look()
    assert len(bench.discord.shown) == 1
    assert len(bench.leases) == 0
    counted = bench.metrics.exposition(running=0).decode()
    assert 'quartet_jobs_undelivered_total{instance_id="1",kind="chat"} 1.0' in counted


async def test_the_truth_comes_before_the_end(bench: Bench) -> None:
    """A job of any home that still waits near its end is ended with a sentence; one that has time is not."""
    await bench.store.put(bench.new("1", home=2))
    await bench.clock.advance(LIFE_S - END_BEFORE_S - 1)
    await bench.store.put(bench.new("2", home=2))
    await bench.rescue.look()
    assert bench.discord.finals == []
    await bench.clock.advance(2)
    await bench.rescue.look()
    assert (await ended(bench)).outcome is Outcome.EXPIRED
    assert "제시간에" in bench.discord.finals[0].content
    assert bench.store.rows["2"].state is JobState.WAITING


@pytest.mark.parametrize(
    ("kind", "key", "error"),
    [
        ("chat", {"openai": DEAD}, ProviderKeyRejected),
        ("chat", {"openai": SPENT}, ProviderQuotaExhausted),
        ("image", {"stability": DEAD, "minimax": SPENT}, ProviderQuotaExhausted),
        ("video", {"minimax": DAY_USED}, ProviderQuotaExhausted),
    ],
    ids=["dead", "spent", "both", "day used up"],
)
async def test_hopeless_jobs_end_at_once(
    bench: Bench, kind: str, key: dict[str, KeySnapshot], error: type[Exception]
) -> None:
    """If no live instance's key can serve a kind in time, its users hear so in the next look."""
    await keys(bench, **key)
    await bench.store.put(bench.new(kind=kind))
    await bench.rescue.look()
    finish = await ended(bench)
    assert (finish.outcome, finish.error) == (Outcome.FAILED, error.__name__)
    assert error.sentence.ko in bench.discord.finals[0].content  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "key",
    [{"stability": DEAD, "minimax": KeySnapshot()}, {"stability": DEAD, "minimax": COOLING}],
    ids=["the other provider", "cooling soon ends"],
)
async def test_what_may_still_be_served_is_not_hopeless(bench: Bench, key: dict[str, KeySnapshot]) -> None:
    """One key that is usable, or will be in time, is hope enough."""
    await keys(bench, **key)
    await bench.store.put(bench.new(kind="image"))
    await bench.rescue.look()
    await bench.clock.advance(0)
    assert bench.store.rows["1"].state is JobState.WAITING


async def test_the_day_s_limit_is_hopeless_too(bench: Bench) -> None:
    """When every instance has done its day's limit, nobody waits in vain."""
    bench.exhausted.add("chat")
    await bench.store.put(bench.new())
    await bench.rescue.look()
    assert (await ended(bench)).error == DayExhausted.__name__


async def test_the_waiting_of_a_dead_home_are_looked_after(bench: Bench) -> None:
    """Symptom: with their home dead and every key rejected, users saw "thinking…" for a quarter of an hour.

    Cause: each instance looked after its own home only. Rule: the lowest one alive looks after the homes of the dead.
    """
    await keys(bench, openai=DEAD)
    await bench.clock.advance(4)
    await bench.beat()
    await bench.store.put(bench.new(home=2))
    await bench.rescue.look()
    assert (await ended(bench)).error == ProviderKeyRejected.__name__


async def test_a_live_home_is_left_to_itself(bench: Bench) -> None:
    """Its waiting users are told by their own home, not by two."""
    await bench.clock.advance(4)
    await bench.other(2)
    await bench.store.put(bench.new(home=2))
    await bench.clock.advance(2)
    await bench.rescue.look()
    assert bench.discord.shown == []


async def test_a_video_that_is_made_is_not_given_up(bench: Bench) -> None:
    """Symptom: a paid task was thrown away because every key was spent while its instance restarted.

    Cause: a hopeless kind ended also what needs no budget any more. Rule: a job with a checkpoint is handed back, one
    with a kept last word is told that word.
    """
    await keys(bench, minimax=SPENT)
    for number, fields in (("1", {"checkpoint": {"step": "submitted", "task_id": "t"}}), ("2", {})):
        await bench.store.put(bench.new(number, kind="video"))
        bench.store.rows[number].job = replace(bench.store.rows[number].job, **fields)  # type: ignore[arg-type]
    await bench.rescue.look()
    assert (await ended(bench, "2")).error == ProviderQuotaExhausted.__name__
    assert (bench.store.rows["1"].state, bench.store.rows["1"].job.attempts) == (JobState.WAITING, 0)
    assert len(bench.discord.finals) == 1


async def test_one_slow_edit_does_not_hold_up_the_others(bench: Bench) -> None:
    """Symptom: while Discord kept one edit waiting nobody else was told, and tokens ran out.

    Cause: jobs were ended one after the other within a look. Rule: each in a task of its own, all ended by a stop.
    """
    bench.exhausted.add("chat")
    release = asyncio.Event()

    async def slow(message: Message, final: bool) -> None:
        if message.content.endswith("참조 번호 1"):
            await release.wait()

    bench.discord.during = slow
    await bench.store.put(bench.new("1"))
    await bench.store.put(bench.new("2"))
    looking = asyncio.create_task(bench.rescue.keep_looking())
    await bench.clock.advance(3)
    assert bench.store.rows["2"].state is JobState.DONE
    assert bench.store.rows["1"].state is JobState.RUNNING
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert len(bench.leases) == 0
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("end-")] == []


async def test_a_store_that_fails_is_asked_again(bench: Bench) -> None:
    """The next look ends what this one could not lease."""
    bench.exhausted.add("chat")
    await bench.store.put(bench.new())
    bench.store.fail("lease_one", 1)
    await bench.rescue.look()
    await bench.clock.advance(0)
    assert bench.store.rows["1"].state is JobState.WAITING
    await bench.rescue.look()
    await ended(bench)


async def test_old_jobs_and_counters_are_forgotten(bench: Bench) -> None:
    """A day after its end a job is gone, and so are the counters of long past days."""
    bench.exhausted.add("chat")
    await bench.store.put(bench.new())
    await bench.rescue.look()
    await ended(bench)
    house = asyncio.create_task(bench.rescue.keep_house())
    await bench.clock.advance(KEPT_S - 120)
    assert "1" in bench.store.rows
    await bench.clock.advance(300)
    assert "1" not in bench.store.rows
    assert bench.counters.days
    await bench.clock.advance(9 * 86_400)
    assert not any(bench.counters.days.values())
    house.cancel()


async def test_as_many_are_forgotten_as_end(bench: Bench) -> None:
    """Symptom: the file grew without end above 500 jobs a minute. Cause: one look forgot one transaction's worth, and
    the next look came a minute later. Rule: each look forgets all that is old, in bounded transactions.
    """
    for number in range(2 * FORGET_AT_ONCE + 1):
        await bench.store.put(bench.new(str(number)))
        bench.store.rows[str(number)].finish = Finish(Outcome.ANSWERED, bench.clock.now())
    await bench.clock.advance(KEPT_S + 1)
    house = asyncio.create_task(bench.rescue.keep_house())
    await bench.clock.advance(0)
    assert len(bench.store.rows) == FORGET_AT_ONCE + 1
    await bench.clock.advance(1)
    assert not bench.store.rows
    house.cancel()


async def test_no_place_is_told_over_an_answer(bench: Bench) -> None:
    """Symptom: "waiting" stood over an answer. Cause: it was shown, but its instance died before that was recorded, and
    everybody was too busy to take the job over; the look told its place. Now the look itself sends the kept answer.
    """
    job = await bench.lease()
    await bench.store.keep(job, pack(Ended(Message("the answer"), Outcome.ANSWERED)))
    bench.leases.drop(job)
    await bench.clock.advance(LEASE_S + 1)
    await bench.rescue.look()
    assert (await ended(bench)).outcome is Outcome.ANSWERED
    assert [message.content for message in bench.discord.finals] == ["the answer"]
    assert bench.discord.shown == []


async def test_who_stops_waiting_is_told_by_the_look(bench: Bench) -> None:
    """With no slot free anywhere, too: no place is told to who wants none."""
    await bench.store.put(bench.new())
    await bench.store.stop("1", user_id="5")
    await bench.clock.advance(2)
    await bench.rescue.look()
    assert (await ended(bench)).outcome is Outcome.STOPPED
    assert "비용은 들지 않았어요" in bench.discord.finals[0].content
    assert bench.discord.shown == []


async def test_a_place_is_told_in_the_chosen_language_and_can_be_given_up(bench: Bench) -> None:
    """The user's own choice beats Discord's, and ⏹ stands under it."""
    bench.services = replace(bench.services, chosen=lambda _user, _guild: Preferences(language="en"))
    bench.runner._services = bench.services
    await bench.store.put(bench.new())
    await bench.clock.advance(2)
    await bench.rescue.look()
    (shown,) = bench.discord.shown
    assert "you are next" in shown.content
    assert shown.components == stop_row("1", Locale.EN)


async def test_what_was_stopped_is_not_waited_for_beyond_its_end(bench: Bench) -> None:
    """A paid task whose instance is gone ends as stopped, and is counted as paid for."""
    job = await bench.lease(kind="video")
    await bench.store.checkpoint(job, {"step": "submitted", "task_id": "7"}, pin=True)
    await bench.store.stop("1", user_id="5")
    bench.leases.drop(job)
    await bench.clock.advance(LIFE_S - END_BEFORE_S + 1)
    await bench.rescue.look()
    assert (await ended(bench)).outcome is Outcome.STOPPED
    assert "비용이 들었어요" in bench.discord.finals[0].content
