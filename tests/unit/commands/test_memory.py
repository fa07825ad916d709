"""`/새대화` and `/기억`: what is kept of a user is shown and forgotten, theirs alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.commands.base import Memory
from app.jobs.store import RepeatableJob
from app.userdata.conversations import Turn
from tests.unit.edge.kit import USER, Bench, interaction, message_of
from tests.unit.edge.people import MemoryPeople

HERE, THERE, OTHER = "1100000000000000002", "1100000000000000003", "77"
LOCALES = ["ko", "en-US"]
TTL_S = 86_400


async def remember(bench: Bench, number: int, **fields: Any) -> Turn:
    """Let a turn be kept that was asked `number` minutes ago."""
    turn = Turn(
        **{
            "job_id": str(number), "user_id": USER, "channel_id": HERE, "asked_at": bench.clock.now() - 60 * number,
            "question": f"question {number}", "answer": f"answer {number}", **fields,
        }
    )  # fmt: skip
    await bench.users.conversations.add(turn)
    return turn


def pressed(what: str, user: str = USER, **fields: Any) -> dict[str, Any]:
    """Return a press of one of the buttons under `/기억`'s answer."""
    message = {"id": "9", "flags": 64, "interaction_metadata": {"user": {"id": user}}}
    return interaction({"component_type": 2, "custom_id": f"memory:{what}:{user}"}, type=3, message=message, **fields)


def updated(reply: Any) -> str:
    """Return the text that a press puts in the message's place, its buttons still there."""
    body = json.loads(reply.body)
    assert (reply.status, body["type"], len(body["data"]["components"])) == (200, 7, 1)
    return str(body["data"]["content"])


def buttons(reply: Any) -> list[str]:
    """Return the custom ids of a message's buttons."""
    return [part["custom_id"] for row in json.loads(reply.body)["data"]["components"] for part in row["components"]]


class TestNewChat:
    @pytest.mark.parametrize(("locale", "said"), [("ko", "대화 2개를 잊었어요"), ("en-US", "their answers: 2")])
    async def test_this_channels_turns_are_forgotten(self, locale: str, said: str) -> None:
        """Only the user's own, only here; how many there were is said, to the user alone."""
        bench = Bench()
        kept = [await remember(bench, 3, channel_id=THERE), await remember(bench, 4, user_id=OTHER)]
        for number in (1, 2):
            await remember(bench, number)
        assert said in message_of(await bench.ask("새대화", locale=locale), ephemeral=True)
        assert bench.users.conversations.kept == kept

    @pytest.mark.parametrize("locale", LOCALES)
    async def test_with_nothing_to_forget_it_says_so(self, locale: str) -> None:
        """A second time there is nothing left; the sentence is another."""
        bench = Bench()
        await remember(bench, 1)
        first = message_of(await bench.ask("새대화", locale=locale))
        second = message_of(await bench.ask("새대화", locale=locale))
        assert "1" in first and "1" not in second

    @pytest.mark.parametrize("command", ["새대화", "기억"])
    @pytest.mark.parametrize("memory", [Memory(ttl_s=TTL_S, tokens=0), Memory(ttl_s=0, tokens=3000)])
    @pytest.mark.parametrize(("locale", "said"), [("ko", "기억하지 않아요"), ("en-US", "remembers no")])
    async def test_memory_that_is_off_is_said_to_be(self, command: str, locale: str, said: str, memory: Memory) -> None:
        """With `MEMORY_TOKENS=0` or `MEMORY_TTL_S=0` every question stands alone, and nobody is told that something
        was forgotten."""
        bench = Bench()
        bench.edge._people = MemoryPeople(memory=memory).people
        assert said in message_of(await bench.ask(command, locale=locale), ephemeral=True)


class TestMemory:
    @pytest.mark.parametrize("locale", LOCALES)
    async def test_what_is_kept_is_shown_by_channel(self, locale: str) -> None:
        """Turns, characters, since when, when the last goes, and how many were private; this channel's last turns."""
        bench = Bench()
        turns = [await remember(bench, number) for number in (5, 4, 3, 2)]
        await remember(bench, 1, private=True, question="a secret")
        await remember(bench, 9, channel_id=THERE, question="elsewhere")
        await remember(bench, 0, user_id=OTHER, question="not mine")
        text = message_of(await bench.ask("기억", locale=locale), ephemeral=True)
        here = next(line for line in text.split("\n") if "이 채널**:" in line or "this channel**:" in line)
        characters = sum(len(turn.question) + len(turn.answer) for turn in turns) + len("a secret") + len("answer 1")
        now = int(bench.clock.now())
        for part in (" 5", f"{characters}", f"<t:{now - 300}:R>", f"<t:{now - 60 + TTL_S}:R>", "🔒"):
            assert part in here
        assert f"<#{THERE}>" in text and "elsewhere" not in text and "not mine" not in text
        assert "🔒 a secret → answer 1" in text
        assert "question 3" in text and "question 4" not in text

    async def test_what_else_is_stored_is_said(self) -> None:
        """Requests for a day, sums for ninety, settings; in each language."""
        bench = Bench()
        for locale, words in (("ko", ("24시간", "90일", "/설정")), ("en-US", ("24 hours", "90 days", "/settings"))):
            text = message_of(await bench.ask("기억", locale=locale))
            assert all(word in text for word in words)

    async def test_words_are_shown_as_they_were_typed(self) -> None:
        """Markdown and mentions in a question do nothing, and line breaks do not break out of the quote."""
        bench = Bench()
        await remember(bench, 1, question="**bold** <@1>\n# heading", answer="`code` ||spoiler||")
        text = message_of(await bench.ask("기억"))
        assert r"\*\*bold\*\* \<@1\> # heading → \`code\` \|\|spoiler\|\|" in text

    async def test_what_is_too_old_is_not_shown(self) -> None:
        """A turn past its time is as good as forgotten, before housekeeping comes by."""
        bench = Bench()
        await remember(bench, TTL_S // 60 + 1, question="long ago")
        assert "long ago" not in message_of(await bench.ask("기억"))

    @pytest.mark.parametrize("locale", LOCALES)
    async def test_however_much_there_is_it_fits(self, locale: str) -> None:
        """A hundred channels with the longest ids and turns of nothing but wide characters make one message."""
        bench = Bench()
        for number in range(100):
            channel = HERE if number < 4 else f"{10**19 + number}"
            await remember(
                bench, number, channel_id=channel, question="*😀" * 3000, answer="👨‍👩‍👧" * 3000, private=True
            )
        text = message_of(await bench.ask("기억", locale=locale))
        assert f"<#{10**19 + 4}>" in text
        assert any(line.count(" 91") == 2 for line in text.split("\n"))  # of 97 channels six are shown


class TestForgetting:
    @pytest.mark.parametrize(("locale", "said"), [("ko", "문답 2개를 잊었어요"), ("en-US", "answers: 2")])
    async def test_this_channel(self, locale: str, said: str) -> None:
        """The press forgets here and nowhere else, and the message shows what is left."""
        bench = Bench()
        kept = await remember(bench, 3, channel_id=THERE)
        for number in (1, 2):
            await remember(bench, number)
        channel, _ = buttons(await bench.ask("기억"))
        assert channel == f"memory:clear_channel:{USER}"
        text = updated(await bench.post(pressed("clear_channel", locale=locale)))
        assert said in text and f"<#{THERE}>" in text and "question 1" not in text
        assert bench.users.conversations.kept == [kept]

    async def test_everything(self) -> None:
        """All turns of the user's go, and with them the requests that were kept for buttons; other users' stay."""
        bench = Bench()
        kept = await remember(bench, 3, user_id=OTHER)
        await remember(bench, 1)
        await remember(bench, 2, channel_id=THERE)
        for user in (USER, OTHER):
            bench.store.repeatable_jobs["5", user] = RepeatableJob("chat", b"{}")
        _, everything = buttons(await bench.ask("기억"))
        assert everything == f"memory:clear_all:{USER}"
        text = updated(await bench.post(pressed("clear_all")))
        assert "문답 2개와 버튼용 요청 1개" in text and "기억하는 대화가 없어요" in text
        assert bench.users.conversations.kept == [kept]
        assert list(bench.store.repeatable_jobs) == [("5", OTHER)]

    async def test_nobody_elses(self) -> None:
        """Somebody who presses the button of another's message gets a private word; nothing is forgotten."""
        bench = Bench()
        kept = [await remember(bench, 1), await remember(bench, 2, user_id=OTHER)]
        stranger = {"user": {"id": OTHER}, "roles": []}
        message_of(await bench.post(pressed("clear_all", member=stranger)), ephemeral=True)
        assert bench.users.conversations.kept == kept

    async def test_an_unknown_button_only_shows(self) -> None:
        """A button that an older or newer version made forgets nothing."""
        bench = Bench()
        kept = await remember(bench, 1)
        assert "question 1" in updated(await bench.post(pressed("clear_moon")))
        assert bench.users.conversations.kept == [kept]
