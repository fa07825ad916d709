"""One job from lease to end, and what becomes of it when a step fails."""

from __future__ import annotations

import asyncio

import pytest

from app import errors
from app.balancing.budget import KeySnapshot, KeyState
from app.commands.base import Answer, JobContext
from app.discord.replies import Attachment, Message
from app.errors import (
    AnswerGone,
    AnswerRejected,
    DiscordUnavailable,
    LeaseLost,
    NoKeyAvailable,
    ProviderError,
    ProviderKeyRejected,
    ProviderRateLimited,
    ProviderRefused,
    QuartetError,
    StoreUnavailable,
)
from app.jobs.job import JobState, Outcome
from app.texts import Text
from tests.kit.waiting import wait_turns_until
from tests.unit.worker.bench_worker import Bench, answering, payload, raising

PROVIDER_ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ProviderError)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def outcome(bench: Bench, job_id: str = "1") -> tuple[Outcome, str]:
    """Return how a job ended: outcome and error."""
    finish = bench.store.rows[job_id].finish
    assert finish is not None, f"job {job_id} is {bench.store.rows[job_id].state}"
    return finish.outcome, finish.error


async def test_the_order_is_keep_deliver_finish(bench: Bench) -> None:
    """The answer is kept before Discord is told, and recorded as done only after."""
    bench.command("chat", answering())
    job = await bench.lease()

    async def note(_message: Message, _final: bool) -> None:
        bench.store.calls.append("deliver")

    bench.discord.during = note
    bench.store.calls.clear()
    await bench.runner.run(job)
    assert bench.store.calls == ["keep", "deliver", "finish"]
    assert [message.content for message in bench.discord.finals] == ["the answer"]
    assert outcome(bench) == (Outcome.ANSWERED, "")


@pytest.mark.parametrize("step", ["keep", "finish"])
async def test_a_store_that_fails_for_a_while_costs_nothing(bench: Bench, step: str) -> None:
    """The step is repeated until it works; the provider is called once and the user sees one answer."""
    calls: list[str] = []
    bench.command("chat", answering(calls=calls))
    job = await bench.lease()
    bench.store.fail(step, 7)
    await bench.runner.run(job)
    assert (calls, len(bench.discord.finals)) == (["1"], 1)
    assert outcome(bench) == (Outcome.ANSWERED, "")


async def test_nothing_is_sent_while_the_answer_can_not_be_kept(bench: Bench) -> None:
    """With the store down until the token's end nobody sees anything, and the job is still open."""
    bench.command("chat", answering())
    job = await bench.lease()
    bench.store.fail("keep", 10**6)
    bench.store.fail("release", 10**6)
    await bench.runner.run(job)
    assert bench.discord.finals == []
    assert bench.clock.now() >= job.expires_at
    assert bench.store.rows["1"].state is JobState.RUNNING


@pytest.mark.parametrize("step", ["keep", "finish"])
async def test_whoever_lost_the_lease_changes_nothing(bench: Bench, step: str) -> None:
    """A lease lost before keeping means no visible act; one lost after means no record: both belong to the thief."""
    bench.command("chat", answering())
    job = await bench.lease()
    bench.store.before[step] = lambda: bench.store.steal("1")
    await bench.runner.run(job)
    assert len(bench.discord.finals) == (0 if step == "keep" else 1)
    row = bench.store.rows["1"]
    assert (row.owner, row.state, row.finish) == (9, JobState.RUNNING, None)


async def test_whoever_lost_the_lease_does_not_deliver_what_was_kept_before(bench: Bench) -> None:
    """A kept answer is sent only by who holds the lease now."""
    bench.command("chat", answering())
    job = await bench.lease()
    bench.store.fail("finish", 10**6)
    await bench.runner.run(job)
    again = await bench.crash(job)
    bench.discord.finals.clear()
    bench.store.before["renew"] = lambda: bench.store.steal("1")
    await bench.runner.run(again)
    assert bench.discord.finals == []


@pytest.mark.parametrize("failure", [None, ProviderRefused("no"), RuntimeError("broken")])
async def test_what_was_said_is_said_again_after_a_crash(bench: Bench, failure: Exception | None) -> None:
    """Symptom: an apology was followed by an answer, seen after kill -9 between delivery and its record.

    Cause: only answers were kept, so the next run asked the provider again. Rule: every last word, apologies too, is
    kept before it is sent; the next run sends the very same one and calls nobody.
    """
    calls: list[str] = []
    bench.command("chat", raising(failure) if failure else answering(calls=calls))
    job = await bench.lease()
    task = asyncio.create_task(bench.runner.run(job))
    dying = asyncio.Event()

    async def die(_message: Message, _final: bool) -> None:
        dying.set()
        await asyncio.Event().wait()

    bench.discord.during = die
    await dying.wait()
    bench.store.fail("release", 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    said = bench.store.rows["1"].job.result
    assert said is not None
    bench.discord.during = None
    bench.command("chat", answering("something else", calls=calls))
    await bench.runner.run(await bench.crash(job))
    assert calls == ([] if failure else ["1"])
    assert "something else" not in bench.discord.finals[0].content
    assert len(bench.discord.finals) == 1


@pytest.mark.parametrize("kind", PROVIDER_ERRORS, ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("locale", ["ko", "en-US"])
async def test_every_provider_error_has_its_sentence(bench: Bench, kind: type[ProviderError], locale: str) -> None:
    """The user reads the error's own sentence in their language and a reference; never the exception's message."""
    bench.command("chat", raising(kind("secret detail sk-abcdefgh12345678", retry_after=10**6)))
    job = await bench.lease("123456789", payload=payload("123456789", locale=locale))
    await bench.runner.run(job)
    (message,) = bench.discord.finals
    assert (kind.sentence.ko if locale == "ko" else kind.sentence.en) in message.content
    assert "23456789" in message.content
    assert "secret" not in message.content
    expected = Outcome.REFUSED if issubclass(kind, ProviderRefused) else Outcome.FAILED
    assert outcome(bench, "123456789") == (expected, kind.__name__)


@pytest.mark.parametrize("error", [ValueError("a bug"), DiscordUnavailable("odd place")])
async def test_an_unexpected_error_is_told_too(bench: Bench, error: Exception) -> None:
    """A bug in a command ends in an honest sentence, not in silence."""
    bench.command("chat", raising(error))
    await bench.runner.run(await bench.lease())
    assert QuartetError.sentence.ko in bench.discord.finals[0].content
    assert outcome(bench) == (Outcome.FAILED, type(error).__name__)


@pytest.mark.parametrize("error", [ProviderRateLimited("429"), NoKeyAvailable("spent", retry_after=30)])
async def test_a_key_that_rests_briefly_sends_the_job_back(bench: Bench, error: ProviderError) -> None:
    """Without another instance's help the job waits for this key, uncounted and unseen."""
    bench.command("chat", raising(error))
    await bench.runner.run(await bench.lease())
    row = bench.store.rows["1"]
    assert (row.state, row.job.attempts, bench.discord.finals) == (JobState.WAITING, 0, [])


async def test_a_rejected_key_sends_the_job_to_another_instance(bench: Bench) -> None:
    """While another live instance has a key that may be used, the user hears nothing of this one's."""
    await bench.other(2, keys={"openai": KeySnapshot()})
    bench.command("chat", raising(ProviderKeyRejected("401")))
    await bench.runner.run(await bench.lease())
    assert (bench.store.rows["1"].state, bench.discord.finals) == (JobState.WAITING, [])


@pytest.mark.parametrize(
    "snapshot",
    [
        {"keys": {"openai": KeySnapshot(state=KeyState.DEAD, rest_s=600)}},
        {"keys": {"stability": KeySnapshot()}},
        {"keys": {"openai": KeySnapshot()}, "draining": True},
        {"keys": {"openai": KeySnapshot()}, "slots": 0},
    ],
    ids=["dead key", "other provider", "draining", "no slots"],
)
async def test_a_job_is_not_sent_to_who_can_not_help(bench: Bench, snapshot: dict[str, object]) -> None:
    """If no instance that takes jobs has a usable key, a rejected key is told at once."""
    await bench.other(2, **snapshot)
    bench.command("chat", raising(ProviderKeyRejected("401")))
    await bench.runner.run(await bench.lease())
    assert ProviderKeyRejected.sentence.ko in bench.discord.finals[0].content


async def test_after_three_crashes_there_is_one_apology(bench: Bench) -> None:
    """The fourth lease does not run the command again."""
    calls: list[str] = []
    bench.command("chat", answering(calls=calls))
    job = await bench.lease()
    for _ in range(3):
        job = await bench.crash(job)
    assert job.attempts == 4
    await bench.runner.run(job)
    assert calls == []
    assert "여러 번 중단" in bench.discord.finals[0].content
    assert outcome(bench) == (Outcome.FAILED, "Crashed")


async def test_a_failing_store_is_no_crash(bench: Bench) -> None:
    """Symptom: "interrupted several times" although no process had died.

    Cause: each failure of the counters' store in the middle of a command left the job running, and the next lease
    counted an attempt. Rule: the job is handed back uncounted as soon as the store works.
    """
    bench.command("chat", raising(StoreUnavailable("counters"), StoreUnavailable("counters")))
    for _ in range(5):
        bench.store.fail("release", 3)
        job = await bench.lease()
        await bench.runner.run(job)
        bench.leases.drop(job)
    assert (bench.store.rows["1"].job.attempts, bench.store.rows["1"].state) == (0, JobState.WAITING)
    bench.command("chat", answering())
    await bench.runner.run(await bench.lease())
    assert outcome(bench) == (Outcome.ANSWERED, "")


async def test_an_unreadable_job_is_not_leased_for_ever(bench: Bench) -> None:
    """Symptom: one job kept an instance busy in a circle without a pause.

    Cause: what broke outside of the command left the job running, and it was leased again at once. Rule: there is a
    pause after each try, and an end after some.
    """
    await bench.store.put(bench.new(payload=b"{}"))
    rounds = 0
    while bench.store.rows["1"].state is not JobState.DONE:
        job = await bench.lease()
        started = bench.clock.elapsed
        await bench.runner.run(job)
        bench.leases.drop(job)
        assert bench.clock.elapsed > started
        rounds += 1
        assert rounds < 20
    assert outcome(bench) == (Outcome.UNDELIVERABLE, "Broken")


@pytest.mark.parametrize("at", ["command", "keep", "deliver", "finish"])
async def test_a_cancelled_job_is_handed_back_uncounted(bench: Bench, at: str) -> None:
    """Wherever an orderly end of the process catches it; after delivery the next run repeats only the edit."""
    calls: list[str] = []
    reached = asyncio.Event()

    async def stop_here(*_: object) -> None:
        if at == "deliver" or _ == ():
            reached.set()
            await asyncio.Event().wait()

    async def run(context: JobContext) -> Answer:
        calls.append(context.job.id)
        if at == "command" and len(calls) == 1:
            await stop_here()
        return Answer(Message("the answer"), "openai")

    bench.command("chat", run)
    if at == "deliver":
        bench.discord.during = stop_here
    if at in ("keep", "finish"):
        bench.store.fail(at, 10**6)
        bench.store.before[at] = reached.set
    job = await bench.lease()
    task = asyncio.create_task(bench.runner.run(job))
    await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    row = bench.store.rows["1"]
    assert (row.state, row.job.attempts) == (JobState.WAITING, 0)
    bench.store.failing.clear()
    bench.discord.during = None
    await bench.runner.run(await bench.crash(job))
    assert len(calls) == (1 if at in ("deliver", "finish") else 2)
    assert {message.content for message in bench.discord.finals} == {"the answer"}
    assert outcome(bench) == (Outcome.ANSWERED, "")


async def test_a_command_that_takes_too_long_ends_in_time(bench: Bench) -> None:
    """The sentence is sent before the token's end, whatever a command does."""
    bench.command("chat", answering(seconds=10**6))
    bench.clock.auto_advance = False
    # The command's own deadline is the event loop's: a job with half a second left is ended within it.
    job = await bench.lease(expires_at=bench.clock.now() + 20.3)
    await asyncio.wait_for(bench.runner.run(job), 5)
    assert errors.ProviderTimeout.sentence.ko in bench.discord.finals[0].content


async def test_a_job_without_time_is_not_run(bench: Bench) -> None:
    """No provider is paid for an answer that nobody can see."""
    calls: list[str] = []
    bench.command("chat", answering(calls=calls))
    await bench.runner.run(await bench.lease(expires_at=bench.clock.now() + 19))
    assert calls == []
    assert outcome(bench) == (Outcome.FAILED, "ProviderTimeout")


@pytest.mark.parametrize("error", [AnswerGone("10008"), DiscordUnavailable("down until the end")])
async def test_what_can_not_be_delivered_is_recorded_as_that(bench: Bench, error: QuartetError) -> None:
    """The job ends; nothing else is tried."""
    bench.command("chat", answering())
    bench.discord.raises = [error]
    await bench.runner.run(await bench.lease())
    assert bench.discord.finals == []
    assert outcome(bench) == (Outcome.UNDELIVERABLE, type(error).__name__)


async def test_a_file_that_is_too_large_is_left_out(bench: Bench) -> None:
    """The text arrives with a note in place of the file."""
    file = Attachment("a.png", b"1234", "image/png")

    async def run(_context: JobContext) -> Answer:
        return Answer(Message("with a picture", attachments=(file,)), "stability")

    bench.command("chat", run)
    bench.discord.raises = [AnswerRejected("413", too_large=True)]
    await bench.runner.run(await bench.lease())
    (message,) = bench.discord.finals
    assert message.content.startswith("with a picture") and "크기 제한" in message.content
    assert message.attachments == ()
    assert outcome(bench) == (Outcome.FAILED, "AnswerRejected")


@pytest.mark.parametrize("second", [None, AnswerRejected("400"), AnswerGone("10008")])
async def test_content_that_discord_refuses_becomes_a_sentence(bench: Bench, second: Exception | None) -> None:
    """Nobody is left with "thinking…"; if the sentence is refused too, that is recorded."""
    bench.command("chat", answering("odd content"))
    bench.discord.raises = [AnswerRejected("400"), second]
    await bench.runner.run(await bench.lease())
    if second is None:
        assert "받아 주지 않았어요" in bench.discord.finals[0].content
        assert outcome(bench) == (Outcome.FAILED, "AnswerRejected")
    else:
        assert outcome(bench) == (Outcome.UNDELIVERABLE, type(second).__name__)


async def test_progress_of_a_lost_job_is_not_shown(bench: Bench) -> None:
    """Symptom: after SIGSTOP and SIGCONT "⏳" stood where another instance's answer had been.

    Cause: progress was sent without a look at the lease. Rule: every visible act checks the fencing number.
    """

    async def run(context: JobContext) -> Answer:
        context.progress.show(Text(ko="⏳ 하나", en="⏳ one"))
        await context.clock.sleep(2)
        bench.store.steal("1")
        context.progress.show(Text(ko="⏳ 둘", en="⏳ two"))
        await context.clock.sleep(10)
        return Answer(Message("too late"), "openai")

    bench.command("chat", run)
    await bench.runner.run(await bench.lease())
    assert [message.content for message in bench.discord.shown] == ["⏳ 하나"]
    assert bench.discord.finals == []


async def test_progress_waits_for_a_store_that_fails(bench: Bench) -> None:
    """Who can't tell whether the job is still theirs shows nothing, and the answer comes all the same."""

    async def run(context: JobContext) -> Answer:
        bench.store.fail("renew", 1)
        context.progress.show(Text(ko="⏳ 하나", en="⏳ one"))
        await context.clock.sleep(2)
        return Answer(Message("done"), "openai")

    bench.command("chat", run)
    await bench.runner.run(await bench.lease())
    assert (bench.discord.shown, len(bench.discord.finals)) == ([], 1)


async def test_a_renewal_does_not_take_a_finished_job_for_lost(bench: Bench) -> None:
    """Symptom: now and then a finished job was missing from the day's count and from the metrics.

    Cause: a renewal between the record and the count found the job done, took it for lost and cancelled the rest.
    Rule: once the answer is out, losing the lease cancels nothing.
    """
    bench.command("chat", answering())
    job = await bench.lease()
    task = asyncio.create_task(bench.runner.run(job))
    bench.leases.work(job, task)
    await wait_turns_until(lambda: bench.store.rows["1"].state is JobState.DONE, "the job is recorded as done")
    await bench.leases.renew()
    await asyncio.gather(task, return_exceptions=True)
    assert bench.overview.done_today(1, "chat") == 1
    assert b'quartet_jobs_finished_total{because="home",instance_id="1",kind="chat",outcome="answered"} 1.0' in (
        bench.metrics.exposition(running=0)
    )


async def test_ending_never_raises(bench: Bench) -> None:
    """A job that was lost, or can't be read, is left alone."""
    job = await bench.lease()
    bench.store.steal("1")
    await bench.runner.end(job, None)
    await bench.store.put(bench.new("2", payload=b"[]"))
    await bench.runner.end(await bench.lease("2"), None)
    assert bench.discord.finals == []
    with pytest.raises(LeaseLost):
        await bench.store.finish(job, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "error", "words", "expected"),
    [
        ({}, None, "요청이 많아", (Outcome.EXPIRED, "")),
        ({"checkpoint": {"step": "submitted"}}, None, "서버가 제때 돌아오지 않아", (Outcome.EXPIRED, "")),
        ({}, ProviderKeyRejected("x"), ProviderKeyRejected.sentence.ko, (Outcome.FAILED, "ProviderKeyRejected")),
    ],
    ids=["too busy", "stranded", "hopeless"],
)
async def test_a_job_nobody_could_run_is_told_why(
    bench: Bench, fields: dict[str, object], error: QuartetError | None, words: str, expected: tuple[Outcome, str]
) -> None:
    """The sentence is the true reason."""
    job = await bench.lease()
    for name, value in fields.items():
        object.__setattr__(job, name, value)
    await bench.runner.end(job, error)
    assert words in bench.discord.finals[0].content
    assert outcome(bench) == expected
