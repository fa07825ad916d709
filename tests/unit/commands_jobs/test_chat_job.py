"""`/채팅` from question to message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from app.errors import (
    ProviderBadAnswer,
    ProviderBadInput,
    ProviderKeyRejected,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.jobs.job import JobState, Outcome
from app.providers.base import ChatChunk, ChatFinish
from app.userdata.usage import Usage
from app.worker.progress import CURSOR
from tests.kit.waiting import wait_turns_until
from tests.unit.commands_jobs.kitchen import Kitchen, whole
from tests.unit.worker.bench_worker import payload


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


async def test_the_question_goes_out_and_the_answer_comes_back(kitchen: Kitchen) -> None:
    """With the operator's system prompt and a reference to the user that is not their id."""
    message = await kitchen.serve("chat", {"질문": "왜?"})
    (request,) = kitchen.chat.requests
    assert (request.prompt, request.system_prompt, request.user_ref) == ("왜?", "be brief", "ref-5")
    assert (message.content, message.attachments) == ("an answer", ())


@pytest.mark.parametrize("text", ["", " \n "])
async def test_an_empty_answer_is_no_answer(kitchen: Kitchen, text: str) -> None:
    """It is asked for again, and in the end the user hears that nothing readable came."""
    kitchen.chat.script = [whole(text)]
    message = await kitchen.serve("chat", {"질문": "왜?"})
    assert ProviderBadAnswer.sentence.ko in message.content
    assert len(kitchen.chat.requests) == 3
    assert kitchen.outcome == (Outcome.FAILED, "ProviderBadAnswer")


@pytest.mark.parametrize(("locale", "note"), [("ko", "끊겼어요"), ("en-US", "maximum length")])
async def test_an_answer_cut_at_its_limit_says_so(kitchen: Kitchen, locale: str, note: str) -> None:
    """The user knows that there would be more."""
    kitchen.chat.script = [whole("half an ans", ChatFinish.LENGTH)]
    message = await kitchen.serve("chat", {"질문": "왜?"}, locale=locale)
    assert message.content.startswith("half an ans") and note in message.content
    assert kitchen.outcome == (Outcome.ANSWERED, "")


async def test_a_long_answer_comes_with_the_whole_as_a_file(kitchen: Kitchen) -> None:
    """The message holds what fits, `answer.md` all of it, word for word."""
    text = " ".join(f"word{n}" for n in range(1500))
    kitchen.chat.script = [whole(text)]
    message = await kitchen.serve("chat", {"질문": "길게"})
    (file,) = message.attachments
    assert file.filename == "answer.md"
    assert text in file.data.decode()
    assert 1000 < len(message.content) <= 2000
    assert message.content.startswith("word0 word1")


async def test_a_passing_failure_is_tried_again(kitchen: Kitchen) -> None:
    """The user sees only the answer, and the tries keep their distance."""
    kitchen.chat.script = [ProviderUnavailable("503"), ProviderUnavailable("503"), whole("at last")]
    message = await kitchen.serve("chat", {"질문": "왜?"})
    assert message.content == "at last"
    assert kitchen.clock.elapsed >= 2


@pytest.mark.parametrize("error", [ProviderBadInput("400"), ProviderKeyRejected("401")])
async def test_what_trying_again_can_not_change_is_not_tried_again(kitchen: Kitchen, error: Exception) -> None:
    """One call, one sentence."""
    kitchen.chat.script = [error]
    await kitchen.serve("chat", {"질문": "왜?"})
    assert len(kitchen.chat.requests) == 1
    assert kitchen.outcome == (Outcome.FAILED, type(error).__name__)


async def test_no_try_is_begun_without_time_for_it(kitchen: Kitchen) -> None:
    """Near the end the failure is told instead."""
    kitchen.chat.script = [ProviderUnavailable("503")]
    now = kitchen.clock.now()
    job = await kitchen.bench.lease(payload=payload("1", {"질문": "왜?"}), expires_at=now + 20 + 5.5)
    await kitchen.run(job)
    assert len(kitchen.chat.requests) == 1
    assert kitchen.clock.now() < now + 20


async def test_the_user_sees_the_answer_grow(kitchen: Kitchen) -> None:
    """About once a second, each time more of it, with a cursor that the answer itself no longer has."""
    kitchen.chat.script = [whole("x" * 1000)]
    kitchen.chat.chunk_s = 0.5
    message = await kitchen.serve("chat", {"질문": "천천히"})
    shown = [message.content for message in kitchen.bench.discord.shown]
    assert len(shown) >= 9
    assert all(text.endswith(CURSOR) and set(text.removesuffix(CURSOR)) == {"x"} for text in shown)
    assert all(len(later) > len(earlier) for earlier, later in pairwise(shown))
    assert message.content == "x" * 1000
    assert kitchen.bench.store.rows["1"].state is JobState.DONE


def broken(text: str, error: Exception) -> Any:
    """Return a script's step: the text comes, then the stream fails."""

    async def step() -> AsyncIterator[ChatChunk]:
        async def chunks() -> AsyncIterator[ChatChunk]:
            for piece in text.split():
                yield ChatChunk(piece + " ")
            raise error

        return chunks()

    return step


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (ProviderUnavailable("reset"), "연결이 끊겨"),
        (ProviderBadAnswer("no finish"), "연결이 끊겨"),
        (ProviderRateLimited("429"), "연결이 끊겨"),
        (ProviderTimeout("late"), "시간이 다 되어"),
    ],
)
async def test_what_came_before_a_failure_is_kept(kitchen: Kitchen, error: Exception, note: str) -> None:
    """The user gets it with a line that says what happened, and may have it continued; nobody asks again by itself."""
    kitchen.chat.script = [broken("half an answer", error)]
    message = await kitchen.serve("chat", {"질문": "왜?"})
    text, small = message.content.split("\n\n-# ")
    assert text == "half an answer"
    assert note in small and "참조 번호 1" in small
    assert "continue:1" in str(message.components)
    assert len(kitchen.chat.requests) == 1
    assert kitchen.outcome == (Outcome.ANSWERED, type(error).__name__)


async def test_what_a_provider_withholds_is_not_kept(kitchen: Kitchen) -> None:
    """A filter that strikes midway takes back what it let through."""
    kitchen.chat.script = [broken("half an answer", ProviderRefused("filter"))]
    message = await kitchen.serve("chat", {"질문": "왜?"})
    assert ProviderRefused.sentence.ko in message.content and "half" not in message.content
    assert kitchen.outcome == (Outcome.REFUSED, "ProviderRefused")


async def test_an_answer_that_breaks_off_is_counted_by_estimate(kitchen: Kitchen) -> None:
    """It was paid for although nobody said how much."""
    added: list[Usage] = []

    class Log:
        async def add(self, _day: str, *, usage: Usage, **_whose: Any) -> None:
            added.append(usage)

    kitchen = Kitchen(usage=Log())
    kitchen.chat.script = [broken("word " * 40, ProviderUnavailable("reset"))]
    await kitchen.serve("chat", {"질문": "왜?"})
    (usage,) = added
    assert 40 <= usage.completion_tokens <= 60 and usage.prompt_tokens > 0


async def test_a_stopped_answer_stays_as_far_as_it_came(kitchen: Kitchen) -> None:
    """The provider's stream is closed at once, and the text so far is the answer."""
    closed = asyncio.Event()
    kitchen.chat.script = [endless("half an answer", closed)]
    job = await kitchen.bench.lease(payload=payload("1", {"질문": "왜?"}))
    task = asyncio.create_task(kitchen.bench.runner.run(job))
    await wait_turns_until(lambda: bool(kitchen.bench.discord.shown), "some of the answer is shown")
    kitchen.bench.runner.stop("1")
    await task
    (message,) = kitchen.bench.discord.finals
    assert message.content == "half an answer\n\n-# ⏹ 여기서 멈췄어요."
    assert closed.is_set()
    assert "continue:1" in str(message.components)
    assert kitchen.outcome == (Outcome.ANSWERED, "Stopped")


async def test_a_drain_is_no_stop(kitchen: Kitchen) -> None:
    """An instance that ends in mid-answer hands the job back, and the next run starts over."""
    kitchen.chat.script = [endless("half an answer", asyncio.Event()), whole("all of it")]
    job = await kitchen.bench.lease(payload=payload("1", {"질문": "왜?"}))
    task = asyncio.create_task(kitchen.bench.runner.run(job))
    await wait_turns_until(lambda: bool(kitchen.bench.discord.shown), "some of the answer is shown")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kitchen.bench.store.rows["1"].state is JobState.WAITING
    message = await kitchen.run(await kitchen.bench.crash(job))
    assert message.content == "all of it"


def endless(text: str, closed: asyncio.Event) -> Any:
    """Return a script's step: the text comes, and then nothing more; `closed` is set when the stream is closed."""

    async def step() -> AsyncIterator[ChatChunk]:
        async def chunks() -> AsyncIterator[ChatChunk]:
            try:
                yield ChatChunk(text)
                await asyncio.Event().wait()
            finally:
                closed.set()

        return chunks()

    return step
