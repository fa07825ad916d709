"""What goes along with a question, and what is kept of its answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.commands.base import Memory
from app.commands.prices import Prices
from app.commands.prompting import GO_ON
from app.discord.replies import Message
from app.jobs.job import Job, Repeat
from app.providers.base import ChatChunk, ChatFinish
from app.userdata.conversations import Turn
from app.userdata.preferences import Preferences
from app.userdata.usage import Usage
from tests.unit.commands_jobs.kitchen import Kitchen, whole

TTL_S = 3600.0


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen(memory=Memory(TTL_S, 200), models=("gpt-a", "gpt-b"))


def turn(kitchen: Kitchen, number: int, question: str, answer: str, **fields: Any) -> Turn:
    """Return a turn of the same user and channel, asked `number` seconds ago at least."""
    made = Turn(f"9{number}", "5", "dm", kitchen.clock.now() - number, question, answer)
    return replace(made, **fields)


def derived(action: str, of: str, **more: Any) -> dict[str, Any]:
    """Return the field that a press's payload carries."""
    return {"quartet": {"action": action, "of": of, **more}}


def buttons(message: Message) -> list[str]:
    """Return the custom ids of a message's buttons."""
    return [button["custom_id"] for row in message.components for button in row["components"]]


async def test_the_conversation_goes_along(kitchen: Kitchen) -> None:
    """The next question is asked with the last one and its answer before it, oldest first."""
    await kitchen.serve("chat", {"질문": "one?"})
    await kitchen.serve("chat", {"질문": "two?"}, job_id="2")
    await kitchen.serve("chat", {"질문": "three?"}, job_id="3")
    assert [request.history for request in kitchen.chat.requests] == [
        (),
        (("one?", "an answer"),),
        (("one?", "an answer"), ("two?", "an answer")),
    ]


@pytest.mark.parametrize(
    "fields", [{"user_id": "6"}, {"channel_id": "77"}, {"private": True}, {"asked_at": 1.0}], ids=str
)
async def test_nothing_else_goes_along(kitchen: Kitchen, fields: dict[str, Any]) -> None:
    """Not another user's words, nor another channel's, nor private ones in the open, nor what is too old."""
    kitchen.conversations.kept = [turn(kitchen, 1, "secret?", "secret", **fields)]
    await kitchen.serve("chat", {"질문": "why?"})
    assert kitchen.chat.requests[0].history == ()


async def test_private_words_go_along_in_private(kitchen: Kitchen) -> None:
    """And what is said then stays private."""
    kitchen.conversations.kept = [turn(kitchen, 1, "secret?", "secret", private=True)]
    await kitchen.serve("chat", {"질문": "why?", "비공개": True})
    assert kitchen.chat.requests[0].history == (("secret?", "secret"),)
    assert kitchen.conversations.kept[-1].private is True


async def test_a_habit_begun_meanwhile_brings_nothing_private_along(kitchen: Kitchen) -> None:
    """The answer was deferred for all to see; what its user wishes by now makes it private only in what is kept."""
    kitchen.conversations.kept = [turn(kitchen, 1, "secret?", "secret", private=True)]
    kitchen.preferred = Preferences(private=True)
    await kitchen.serve("chat", {"질문": "why?"})
    assert kitchen.chat.requests[0].history == ()
    assert kitchen.conversations.kept[-1].private is True


async def test_what_is_too_long_is_left_out_and_said_so(kitchen: Kitchen) -> None:
    """The newest that fit go along; how many don't stands in small print, but not in what is remembered."""
    kitchen.conversations.kept = [turn(kitchen, 9 - n, f"{n}?", "long " * 100) for n in range(4)]
    message = await kitchen.serve("chat", {"질문": "why?"})
    assert [question for question, _ in kitchen.chat.requests[0].history] == ["3?"]
    assert message.content == "an answer\n\n-# 🧠 앞선 대화 3개는 길어서 빼고 답했어요"
    assert kitchen.conversations.kept[-1].answer == "an answer"


@pytest.mark.parametrize("memory", [Memory(), Memory(TTL_S, 0), Memory(0, 200)], ids=str)
async def test_without_memory_nothing_is_kept_or_sent_along(memory: Memory) -> None:
    """Each question stands alone."""
    kitchen = Kitchen(memory=memory)
    await kitchen.serve("chat", {"질문": "one?"})
    await kitchen.serve("chat", {"질문": "two?"}, job_id="2")
    assert (kitchen.conversations.kept, kitchen.chat.requests[1].history) == ([], ())


async def test_asking_again_does_not_lean_on_the_answer_it_replaces(kitchen: Kitchen) -> None:
    """🔁 is asked as the first time."""
    await kitchen.serve("chat", {"질문": "one?"})
    await kitchen.serve("chat", {"질문": "one?"}, job_id="2", **derived("again", "1"))
    assert kitchen.chat.requests[1].history == ()


async def test_an_answer_cut_at_its_length_can_go_on(kitchen: Kitchen) -> None:
    """➡️ stands under it; pressed, the conversation up to there goes along, and the model is told to go on with it.

    What was said after the cut answer is no part of it. The new answer can be gone on with in the same way.
    """
    kitchen.chat.script = [whole("one ans", ChatFinish.LENGTH), whole("other"), whole("wer", ChatFinish.LENGTH)]
    message = await kitchen.serve("chat", {"질문": "one?"})
    assert buttons(message) == ["again:1", "continue:1", "delete:5:1"]
    await kitchen.clock.sleep(1)
    await kitchen.serve("chat", {"질문": "other?"}, job_id="2")
    await kitchen.serve("chat", {"질문": "one?"}, job_id="3", **derived("continue", "1", text="shown"))
    request = kitchen.chat.requests[2]
    assert (request.prompt, request.history) == (GO_ON, (("one?", "one ans"),))
    await kitchen.serve("chat", {"질문": "one?"}, job_id="4", **derived("continue", "3", text="shown"))
    assert kitchen.chat.requests[3].history[-1] == ("➡️ 이어서", "wer")


@pytest.mark.parametrize("remembered", [False, True])
async def test_without_a_turn_the_message_itself_is_gone_on_with(kitchen: Kitchen, remembered: bool) -> None:
    """Where memory is off, or what it holds is not for everybody's eyes, the visible text goes along."""
    if remembered:
        kitchen.conversations.kept = [turn(kitchen, 1, "secret?", "secret", job_id="8", private=True)]
    await kitchen.serve("chat", {"질문": "one?"}, **derived("continue", "8", text="one ans"))
    assert kitchen.chat.requests[0].history == (("one?", "one ans"),)


async def test_what_is_remembered_survives_a_crash_before_delivery(kitchen: Kitchen) -> None:
    """The turn travels with the kept answer: a run that only delivers it remembers it as well."""
    job = await kitchen.bench.lease("1", "chat")
    kitchen.bench.store.fail("finish", 10**6)
    await kitchen.bench.runner.run(job)
    kitchen.conversations.kept.clear()
    kitchen.bench.store.fail("finish", 0)
    again = await kitchen.bench.crash(job)
    await kitchen.run(again)
    assert [kept.answer for kept in kitchen.conversations.kept] == ["an answer"]
    assert len(kitchen.chat.requests) == 1


async def test_what_users_choose_shapes_the_request() -> None:
    """The persona follows the operator's prompt and never replaces it; a model counts only if it is offered."""
    chosen = Preferences(model="gpt-b", persona="like a pirate", language="en")
    kitchen = Kitchen(models=("gpt-a", "gpt-b"), chosen=lambda _user, _guild: chosen)
    kitchen.chat.script = [whole("half", ChatFinish.LENGTH)]
    message = await kitchen.serve("chat", {"질문": "why?"})
    await kitchen.serve("chat", {"질문": "why?", "모델": "gpt-a"}, job_id="2")
    await kitchen.serve("chat", {"질문": "why?", "모델": "gpt-secret"}, job_id="3")
    assert [request.model for request in kitchen.chat.requests] == ["gpt-b", "gpt-a", "gpt-b"]
    prompt = kitchen.chat.requests[0].system_prompt
    assert prompt.startswith("be brief\n") and prompt.endswith("like a pirate")
    assert "maximum length" in message.content


class UseLog:
    """Takes down what was counted."""

    def __init__(self) -> None:
        self.added: list[tuple[str, str, str | None, str, Usage]] = []

    async def add(
        self, day: str, *, user_id: str, guild_id: str | None, kind: str, usage: Usage, job: Job | None = None
    ) -> None:
        self.added.append((day, user_id, guild_id, kind, usage))


async def test_what_an_answer_took_is_counted_once() -> None:
    """Tokens as the provider counted them, and their price."""
    log = UseLog()
    kitchen = Kitchen(usage=log, day=lambda: "2026-11-22", prices=Prices(1.0, 10.0))
    kitchen.chat.script = [[ChatChunk("an answer"), ChatChunk("", ChatFinish.STOP, 20, 5)]]
    await kitchen.serve("chat", {"질문": "why?"})
    assert log.added == [("2026-11-22", "5", None, "chat", Usage(20, 5, micro_usd=70))]


async def test_an_answer_can_be_asked_for_again_any_time(kitchen: Kitchen) -> None:
    """Its payload stays as long as the job is known."""
    message = await kitchen.serve("chat", {"질문": "why?"})
    finish = kitchen.bench.store.rows["1"].finish
    assert finish is not None and finish.repeat is Repeat.ALWAYS
    assert buttons(message) == ["again:1", "delete:5:1"]
