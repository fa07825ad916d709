"""`/채팅` from question to message."""

from __future__ import annotations

from itertools import pairwise

import pytest

from app.errors import ProviderBadAnswer, ProviderBadInput, ProviderKeyRejected, ProviderUnavailable
from app.jobs.job import JobState, Outcome
from app.providers.base import ChatFinish
from app.worker.progress import CURSOR
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
