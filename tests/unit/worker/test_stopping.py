"""Stopping a job: at once, once, and with an honest sentence."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.balancing.keyset import OPENAI
from app.commands.base import Answer, JobContext
from app.discord.replies import Message
from app.jobs.job import Job, JobState, Outcome, Repeat
from tests.kit.waiting import wait_turns_until
from tests.unit.worker.bench_worker import Bench, answering


@pytest.fixture
def bench() -> Bench:
    return Bench()


class Busy:
    """A command that goes on until it is stopped; `caught` is what it answers then, if anything."""

    def __init__(self, caught: str = "", *, calls: bool = True, ordered: bool = False) -> None:
        self.caught = caught
        self.calls = calls
        self.ordered = ordered
        self.busy = asyncio.Event()
        self.ended = 0

    async def __call__(self, context: JobContext) -> Answer:
        try:
            if self.ordered:
                await context.checkpoint({"step": "submitted", "task_id": "7"}, True)
            if self.calls:
                async with context.use(OPENAI):
                    await self._wait()
            await self._wait()
        except asyncio.CancelledError:
            if not (self.caught and context.stopping()):
                raise
            return Answer(Message(self.caught), OPENAI, error="Stopped")
        finally:
            self.ended += 1
        raise AssertionError("unreachable")

    async def _wait(self) -> None:
        self.busy.set()
        await asyncio.Event().wait()


async def stopped(bench: Bench, busy: Busy, *, times: int = 1) -> Job:
    """Run a job and stop it while it is busy."""
    bench.command("chat", busy)
    job = await bench.lease()
    task = asyncio.create_task(bench.runner.run(job))
    await busy.busy.wait()
    for _ in range(times):
        bench.runner.stop("1")
        await asyncio.sleep(0)
    await task
    return job


def end_of(bench: Bench) -> tuple[Outcome, str, Repeat]:
    """Return how job 1 ended."""
    finish = bench.store.rows["1"].finish
    assert finish is not None
    return finish.outcome, finish.error, finish.repeat


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"calls": False}, "비용은 들지 않았어요"),
        ({"calls": True}, "비용이 들었을 수 있어요"),
        ({"calls": True, "ordered": True}, "비용이 들었어요"),
    ],
)
async def test_a_stopped_command_ends_with_what_that_cost(bench: Bench, fields: dict[str, Any], said: str) -> None:
    """One final sentence, honest about money; 🔁 stands under it and works."""
    busy = Busy(**fields)
    await stopped(bench, busy)
    (message,) = bench.discord.finals
    assert message.content.startswith("⏹") and said in message.content
    assert "again:1" in str(message.components)
    assert end_of(bench) == (Outcome.STOPPED, "Stopped", Repeat.ALWAYS)
    assert busy.ended == 1


@pytest.mark.parametrize("times", [1, 5])
async def test_what_a_command_returns_when_stopped_is_the_answer(bench: Bench, times: int) -> None:
    """However often the button is pressed."""
    await stopped(bench, Busy("half of it"), times=times)
    assert [message.content for message in bench.discord.finals] == ["half of it"]
    assert end_of(bench) == (Outcome.ANSWERED, "Stopped", Repeat.ALWAYS)


async def test_a_waiting_job_that_was_stopped_calls_nobody(bench: Bench) -> None:
    """Its next lease only tells its user."""
    calls: list[str] = []
    bench.command("chat", answering(calls=calls))
    await bench.store.put(bench.new())
    assert await bench.store.stop("1", user_id="5")
    await bench.runner.run(await bench.lease())
    assert calls == []
    (message,) = bench.discord.finals
    assert "비용은 들지 않았어요" in message.content
    assert end_of(bench) == (Outcome.STOPPED, "Stopped", Repeat.ALWAYS)


async def test_an_answer_that_is_there_already_is_delivered_in_spite_of_a_stop(bench: Bench) -> None:
    """It was paid for, and it may have been seen."""
    bench.command("chat", answering())
    job = await bench.lease()
    bench.store.fail("finish", 10**6)
    await bench.runner.run(job)
    bench.store.fail("finish", 0)
    again = await bench.crash(job)
    await bench.runner.run(replace(again, stop=True))
    assert [message.content for message in bench.discord.finals] == ["the answer", "the answer"]
    assert end_of(bench)[0] is Outcome.ANSWERED


async def test_a_stop_for_a_job_that_does_not_run_here_is_none(bench: Bench) -> None:
    """Neither before nor after, nor for another one."""
    bench.runner.stop("1")
    bench.command("chat", answering())
    await bench.runner.run(await bench.lease())
    bench.runner.stop("1")
    assert end_of(bench)[0] is Outcome.ANSWERED


async def test_a_lost_lease_beats_a_stop(bench: Bench) -> None:
    """What is cancelled because the job is somebody else's says nothing, though it was to be stopped as well."""
    busy = Busy()
    bench.command("chat", busy)
    task = asyncio.create_task(bench.runner.run(await bench.lease()))
    await busy.busy.wait()
    bench.store.steal("1")
    bench.runner.stop("1")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.discord.finals == []
    assert bench.store.rows["1"].owner == 9


async def test_progress_can_be_stopped_and_the_end_cannot(bench: Bench) -> None:
    """⏹ stands under what happens now, and no longer under the answer."""
    bench.command("chat", answering())

    async def slow(context: JobContext) -> Answer:
        context.progress.grow("half")
        await context.clock.sleep(3)
        return Answer(Message("all of it"), OPENAI)

    bench.command("chat", slow)
    await bench.runner.run(await bench.lease())
    assert bench.discord.shown and all("stop:1" in str(message.components) for message in bench.discord.shown)
    assert "stop:" not in str(bench.discord.finals[0].components)
    assert bench.store.rows["1"].state is JobState.DONE


async def test_a_stop_does_not_wait_for_slow_progress_to_be_shown_twice(bench: Bench) -> None:
    """The command ends at once; only the edit on its way is waited for, and the end comes after it."""
    arrived, release = asyncio.Event(), asyncio.Event()

    async def hold(_message: Message, final: bool) -> None:
        if not final:
            arrived.set()
            try:
                await release.wait()
            except asyncio.CancelledError:
                await release.wait()
                raise

    class Growing(Busy):
        async def __call__(self, context: JobContext) -> Answer:
            context.progress.grow("half")
            return await super().__call__(context)

    busy = Growing("half of it")
    bench.discord.during = hold
    bench.command("chat", busy)
    task = asyncio.create_task(bench.runner.run(await bench.lease()))
    await arrived.wait()
    bench.runner.stop("1")
    await wait_turns_until(lambda: busy.ended == 1, "the command has ended")
    assert bench.discord.finals == []
    release.set()
    await task
    assert [message.content for message in bench.discord.finals] == ["half of it"]
