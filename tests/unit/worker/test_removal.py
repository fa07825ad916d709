"""Deleting an answer: parts first, by whoever still can, and a private word about what could not be deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.discord.models import Interaction, parse
from app.discord.replies import Message
from app.discord.wire import TOKEN_LIFE_S
from app.errors import AnswerGone, DiscordError, DiscordUnavailable, StoreUnavailable
from app.jobs.job import FinishedJob, Outcome, ServedBecause
from app.jobs.store import RepeatableJob
from app.worker.removal import END_WITHIN_S, STORE_WITHIN_S, Removal
from tests.kit.clock import FakeClock
from tests.kit.waiting import wait_turns_until
from tests.unit.edge.kit import USER, MemoryStore, press, use

JOB = "1300000000000000001"
PARTS = [{"n": 1, "state": "sent", "id": "71"}, {"n": 2, "state": "sending"}, {"n": 3, "state": "sent", "id": "73"}]


class Discord:
    """Notes what is asked of it; `fails` by what is to be deleted. Nothing comes to an end before `goes_on` is set."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.told: list[str] = []
        self.fails: dict[str, DiscordError] = {}
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def delete_original(self, token: str, *, within_s: float = 1) -> None:
        await self._call("original", token)

    async def delete_message(self, token: str, message_id: str, *, within_s: float = 1) -> None:
        await self._call(message_id, token)

    async def delete(self, channel_id: str, message_id: str, *, within_s: float = 1) -> None:
        await self._call(message_id, f"channel {channel_id}")

    async def tell(self, token: str, message: Message, *, within_s: float = 1) -> None:
        self.told.append(message.content)
        await self._call("tell", token)

    async def _call(self, what: str, how: str) -> None:
        self.calls.append((what, how))
        await self.goes_on.wait()
        if what in self.fails:
            raise self.fails[what]


class Stage:
    """A removal over memory; the answer is `ago` seconds old."""

    def __init__(self, *, ago: float = 60.0) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.discord = Discord()
        self.removal = Removal(self.discord, self.discord, self.store, self.clock)
        made_at = self.clock.wall() - ago
        asked = use("채팅", {"질문": "왜?"}, id=str(int(made_at * 1000 - 1_420_070_400_000) << 22), token="old")
        self.store.repeatable_jobs[JOB, USER] = RepeatableJob("chat", json.dumps(asked).encode())

    async def press(self, **fields: Any) -> None:
        """Press, and let everything come to its end."""
        self.removal.begin(pressed(**fields), JOB, USER)
        await wait_turns_until(lambda: self.removal.under_way == 0, "the answer is dealt with")


def pressed(**fields: Any) -> Interaction:
    """Return a press of 🗑 in a server where the bot is."""
    owners = {"authorizing_integration_owners": {"0": "1100000000000000001"}}
    return parse(press(f"delete:{USER}:{JOB}", **{"token": "new", **owners, **fields}))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A young answer."""
    made = Stage()
    yield made
    await made.removal.close()


async def test_a_short_answer(stage: Stage) -> None:
    """One call, with the press's own token, and not a word."""
    await stage.press()
    assert stage.discord.calls == [("original", "new")]


async def test_a_long_answer(stage: Stage) -> None:
    """What is known of its parts goes first, with the token they were posted with."""
    stage.store.sent_parts[JOB] = PARTS
    await stage.press()
    assert stage.discord.calls == [("71", "old"), ("73", "old"), ("original", "new")]


async def test_a_long_answer_whose_token_is_over() -> None:
    """The bot deletes the parts in the channel, if it is there."""
    stage = Stage(ago=TOKEN_LIFE_S + 1)
    stage.store.sent_parts[JOB] = PARTS[:1]
    await stage.press(channel_id="99")
    assert stage.discord.calls == [("71", "channel 99"), ("original", "new")]


async def test_a_part_that_nobody_can_delete_any_more() -> None:
    """Where only the user installed the app: the rest goes, and they are told what is left."""
    stage = Stage(ago=TOKEN_LIFE_S + 1)
    stage.store.sent_parts[JOB] = PARTS[:1]
    await stage.press(authorizing_integration_owners={"1": USER}, locale="en-US")
    assert stage.discord.calls == [("original", "new"), ("tell", "new")]
    assert "messages: 1" in stage.discord.told[0]


async def test_what_was_forgotten_counts_as_over(stage: Stage) -> None:
    """Without the kept payload nobody knows the old token: the bot it is."""
    stage.store.sent_parts[JOB] = PARTS[:1]
    stage.store.repeatable_jobs.clear()
    await stage.press(channel_id="99")
    assert stage.discord.calls == [("71", "channel 99"), ("original", "new")]


async def test_discord_does_not_take_it(stage: Stage) -> None:
    """The user is told in private, in their language."""
    stage.discord.fails["original"] = DiscordUnavailable("down")
    await stage.press()
    assert stage.discord.calls == [("original", "new"), ("tell", "new")]
    assert "지우지 못했어요" in stage.discord.told[0]


async def test_not_even_the_private_word_passes(stage: Stage) -> None:
    """It ends there, without noise: the button is still where it was."""
    stage.discord.fails |= {"original": AnswerGone("token over"), "tell": AnswerGone("token over")}
    await stage.press()
    assert stage.removal.under_way == 0


async def test_a_store_that_is_down(stage: Stage) -> None:
    """Nothing is deleted before it is known what belongs together; the user is told."""

    async def down(job_id: str) -> Any:
        raise StoreUnavailable("no disk")

    stage.store.parts = down  # type: ignore[method-assign]
    stage.removal.begin(pressed(), JOB, USER)
    await stage.clock.sleep(STORE_WITHIN_S + 2)
    await wait_turns_until(lambda: stage.removal.under_way == 0, "it gave up")
    assert stage.discord.calls == [("tell", "new")]


async def test_a_store_that_comes_back(stage: Stage) -> None:
    """A moment without it is waited for."""
    failures = [StoreUnavailable("busy"), StoreUnavailable("busy")]
    read = stage.store.parts

    async def busy(job_id: str) -> Any:
        if failures:
            raise failures.pop()
        return await read(job_id)

    stage.store.parts = busy  # type: ignore[method-assign]
    stage.removal.begin(pressed(), JOB, USER)
    await stage.clock.sleep(2)
    await wait_turns_until(lambda: stage.removal.under_way == 0, "it is done")
    assert stage.discord.calls == [("original", "new")]


async def test_an_answer_that_is_still_going_out(stage: Stage) -> None:
    """Symptom: of a long answer that was deleted at once, the further messages came after all. Cause: they are posted
    after the original shows its buttons. Rule: deleting begins when the job has ended.
    """
    job = str(int(stage.clock.wall() * 1000 - 1_420_070_400_000) << 22)
    stage.removal.begin(pressed(), job, USER)
    await stage.clock.sleep(2.5)
    assert stage.discord.calls == []
    stage.store.sent_parts[job] = PARTS[:1]
    stage.store.repeatable_jobs[job, USER] = stage.store.repeatable_jobs[JOB, USER]
    now = stage.clock.now()
    times = {"received_at": now - 3, "started_at": now - 3, "finished_at": now}
    ended = FinishedJob(job, "chat", USER, 1, 1, ServedBecause.HOME, Outcome.ANSWERED, "openai", "", **times)
    stage.store.finished.append(ended)
    await stage.clock.sleep(1)
    assert stage.discord.calls == [("71", "old"), ("original", "new")]


async def test_an_answer_whose_end_is_never_recorded(stage: Stage) -> None:
    """The wait is bounded: then what is there is deleted."""
    job = str(int(stage.clock.wall() * 1000 - 1_420_070_400_000) << 22)
    stage.removal.begin(pressed(), job, USER)
    await stage.clock.sleep(END_WITHIN_S + 1)
    assert stage.discord.calls == [("original", "new")]


async def test_pressing_twice(stage: Stage) -> None:
    """One message is deleted once, however often somebody presses meanwhile."""
    stage.discord.goes_on.clear()
    for _ in range(3):
        stage.removal.begin(pressed(), JOB, USER)
    await wait_turns_until(lambda: len(stage.discord.calls) == 1, "the first is at it")
    assert stage.removal.under_way == 1
    stage.discord.goes_on.set()
    await wait_turns_until(lambda: stage.removal.under_way == 0, "it is done")
    assert stage.discord.calls == [("original", "new")]


async def test_closing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way gets a moment, then is given up; nothing is left running."""
    monkeypatch.setattr("app.worker.removal.CLOSE_WITHIN_S", 0.02)
    stage.discord.goes_on.clear()
    stage.removal.begin(pressed(), JOB, USER)
    await stage.removal.close()
    assert stage.removal.under_way == 0
