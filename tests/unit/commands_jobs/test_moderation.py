"""With MODERATION=on nothing that is flagged is asked of a provider, and the user hears why, and that it was free."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from app.balancing.budget import KeySnapshot, KeyState
from app.balancing.keyset import OPENAI
from app.commands.moderation import CHECK_WITHIN_S, TRIES
from app.discord.replies import Message
from app.errors import (
    ModerationUnavailable,
    ProviderBadInput,
    ProviderKeyRejected,
    ProviderRateLimited,
    ProviderUnavailable,
)
from app.jobs.job import JobState, Outcome
from app.userdata.preferences import Preferences
from tests.unit.commands_jobs.kitchen import Kitchen, Script, asking, play

ADULT = {"channel": {"id": "7", "type": 0, "nsfw": True}}


class Reader:
    """A moderator that answers from a script; `read` are the texts it was given."""

    name = "openai"

    def __init__(self, *script: Any) -> None:
        self.script: Script = list(script) or [frozenset()]
        self.read: list[str] = []

    async def flags(self, text: str, *, timeout_s: float) -> Collection[str]:
        assert timeout_s == CHECK_WITHIN_S
        self.read.append(text)
        flags: Collection[str] = await play(self.script)
        return flags


class Guarded:
    """A kitchen with a moderator at the door."""

    def __init__(self, *script: Any) -> None:
        self.reader = Reader(*script)
        self.kitchen = Kitchen(moderator=self.reader)

    async def ask(self, kind: str = "chat", text: str = "무엇?", **how: Any) -> Message:
        """Ask one thing and return the last word."""
        option = "질문" if kind == "chat" else "설명"
        return await self.kitchen.serve(kind, {option: text}, **how)

    @property
    def asked(self) -> int:
        """How many calls were made that cost something."""
        kitchen = self.kitchen
        pictures = len(kitchen.stability.requests) + len(kitchen.minimax.requests)
        return len(kitchen.chat.requests) + pictures + kitchen.studio.created


KINDS = pytest.mark.parametrize("kind", ["chat", "image", "video"])
COSTLY = pytest.mark.parametrize("kind", ["image", "video"])


@KINDS
async def test_a_fine_prompt_is_served(kind: str) -> None:
    """It is looked at once, then served as ever."""
    guarded = Guarded()
    await guarded.ask(kind, "a quiet lake")
    assert guarded.reader.read == ["a quiet lake"]
    assert guarded.asked == 1
    assert guarded.kitchen.outcome == (Outcome.ANSWERED, "")


@KINDS
@pytest.mark.parametrize(
    ("flags", "ko", "en"),
    [
        ({"violence", "violence/graphic"}, "폭력", "violence"),
        ({"sexual"}, "성적인 내용", "sexual content"),
        ({"sexual", "sexual/minors"}, "미성년자", "minors"),
        ({"hate/threatening"}, "혐오", "hate"),
        ({"harassment"}, "괴롭힘", "harassment"),
        ({"illicit/violent"}, "불법", "illegal"),
        ({"something/new"}, "안전 기준", "not allowed"),
    ],
)
async def test_a_flagged_prompt_is_refused(kind: str, flags: set[str], ko: str, en: str) -> None:
    """No provider hears of it; the sentence names the category in plain words and says that it cost nothing."""
    for locale, words, free in (("ko", ko, "비용은 들지 않았어요"), ("en-US", en, "cost nothing")):
        guarded = Guarded(frozenset(flags))
        message = await guarded.ask(kind, locale=locale)
        assert words in message.content and free in message.content
        assert guarded.asked == 0
        assert guarded.kitchen.outcome == (Outcome.REFUSED, "PromptFlagged")


async def test_somebody_in_need_is_shown_where_help_is() -> None:
    """A refusal for self-harm does not leave it at that."""
    message = await Guarded({"self-harm/intent"}).ask()
    assert "109" in message.content
    assert "findahelpline.com" in (await Guarded({"self-harm"}).ask(locale="en-US")).content


@pytest.mark.parametrize(
    ("kind", "flags", "where", "served"),
    [
        ("image", {"sexual"}, ADULT, True),
        ("image", {"sexual"}, {}, False),
        ("image", {"sexual"}, {"channel": {"id": "7", "type": 0, "nsfw": "true"}}, False),
        ("image", {"sexual", "sexual/minors"}, ADULT, False),
        ("image", {"sexual/minors"}, ADULT, False),
        ("image", {"sexual", "violence"}, ADULT, False),
        ("image", {"other"}, ADULT, False),
        ("chat", {"sexual"}, ADULT, False),
        ("video", {"sexual"}, ADULT, False),
    ],
)
async def test_age_restricted_channels(kind: str, flags: set[str], where: dict[str, Any], served: bool) -> None:
    """Only `sexual`, only for pictures, and only there; nothing about minors passes anywhere."""
    guarded = Guarded(frozenset(flags))
    await guarded.ask(kind, **where)
    assert bool(guarded.asked) is served


@COSTLY
@pytest.mark.parametrize(
    "error", [ProviderUnavailable("down"), ProviderBadInput("no such path"), ProviderRateLimited("slow")]
)
async def test_nothing_is_made_unseen(kind: str, error: Exception) -> None:
    """Without an answer from the moderation there is no picture and no video, and it says so and cost nothing."""
    guarded = Guarded(error)
    message = await guarded.ask(kind)
    assert ModerationUnavailable.sentence.ko in message.content
    assert guarded.asked == 0
    assert guarded.kitchen.outcome == (Outcome.FAILED, "ModerationUnavailable")


@COSTLY
@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_key_that_is_no_good(kind: str, elsewhere: bool) -> None:
    """Where this instance's key is known to be rejected, one whose key is good asks; without one the job ends."""
    guarded = Guarded(ProviderKeyRejected("no", provider=OPENAI))
    bench = guarded.kitchen.bench
    with pytest.raises(ProviderKeyRejected):
        async with guarded.kitchen.keys[OPENAI].use():
            raise ProviderKeyRejected("no", provider=OPENAI)
    if elsewhere:
        await bench.other(2, keys={OPENAI: KeySnapshot(KeyState.READY)})
    await bench.runner.run(await bench.lease("1", kind, payload=asking("1", {"설명": "waves"})))
    assert guarded.asked == 0
    assert bench.store.rows["1"].state is (JobState.WAITING if elsewhere else JobState.DONE)


async def test_a_key_that_may_not_ask() -> None:
    """A key that is refused by the moderation alone still chats."""
    guarded = Guarded(ProviderKeyRejected("missing scope", provider=OPENAI))
    await guarded.kitchen.bench.other(2, keys={OPENAI: KeySnapshot(KeyState.READY)})
    await guarded.ask("image")
    assert guarded.kitchen.outcome == (Outcome.FAILED, "ModerationUnavailable")
    assert guarded.kitchen.keys[OPENAI].snapshot().usable


async def test_questions_are_answered_unseen() -> None:
    """A chat goes on when the moderation can't be asked: the model declines by itself."""
    guarded = Guarded(ProviderUnavailable("down"))
    assert "an answer" in (await guarded.ask()).content
    assert len(guarded.reader.read) == TRIES


@KINDS
async def test_a_moment_of_trouble_is_waited_out(kind: str) -> None:
    """One failure that may pass is asked again, and what is flagged then is refused."""
    guarded = Guarded(ProviderUnavailable("a moment"), {"hate"})
    await guarded.ask(kind)
    assert guarded.kitchen.outcome == (Outcome.REFUSED, "PromptFlagged")
    assert guarded.asked == 0


async def test_a_rejected_key_is_not_asked_twice() -> None:
    """What does not pass is not tried again."""
    guarded = Guarded(ProviderKeyRejected("no"))
    await guarded.ask()
    assert len(guarded.reader.read) == 1


async def test_what_else_was_written_is_read() -> None:
    """The user's persona goes to the model, so it is looked at as well; attachments' ids and empty texts are not."""
    guarded = Guarded()
    guarded.kitchen.preferred = replace(Preferences(), persona="be a pirate")
    await guarded.ask(text="hello")
    assert guarded.reader.read == ["hello\n\nbe a pirate"]


async def test_what_is_paid_for_is_not_judged_again() -> None:
    """A job that had begun what costs money goes on after a crash, whatever the moderation says by then."""
    guarded = Guarded(frozenset(), {"violence"})
    kitchen = guarded.kitchen
    job = await kitchen.bench.lease("1", "video", payload=asking("1", {"설명": "waves"}))
    await kitchen.bench.store.checkpoint(job, {"step": "submitted", "task_id": "task-9"}, pin=True)
    job = await kitchen.bench.crash(job)
    await kitchen.run(job)
    assert guarded.reader.read == []
    assert kitchen.studio.created == 0
    assert kitchen.outcome == (Outcome.ANSWERED, "")


async def test_off_is_off() -> None:
    """Without a moderator everything is served as ever."""
    kitchen = Kitchen()
    await kitchen.serve("image", {"설명": "a quiet lake"})
    assert kitchen.outcome == (Outcome.ANSWERED, "")
