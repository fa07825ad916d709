"""The buttons under answers, pressed in Discord as users do, on instances that share a store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.discord.wire import Permission
from app.providers.pictures import measure
from simulator.discord_state import Interaction
from tests.kit.running import System, system
from tests.kit.waiting import wait_until

USER, OTHER = 12345, 67890


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[System]:
    """Two instances that share a store."""
    async with system(tmp_path, count=2, image_cooldown_s=0) as running:
        yield running


def button(shown: Interaction, action: str) -> str:
    """Return the custom id of the message's component for an action."""
    assert shown.message is not None
    ids: list[str] = [component["custom_id"] for row in shown.message.components for component in row["components"]]
    return next(custom_id for custom_id in ids if custom_id.startswith(action + ":"))


async def answered(two: System, command: str, options: dict[str, Any], **more: Any) -> Interaction:
    """Have a command answered; its buttons are pressed as soon as they show."""
    asked: Interaction = await two.ask(USER, command, options, **more)
    await asked.final(20)
    return asked


async def recorded(two: System, asked: Interaction) -> None:
    """Wait until the end of a job is on record."""
    store = two.instances[0].instance.store

    async def done() -> bool:
        return await store.repeatable(asked.id, user_id=asked.user_id) is not None

    await wait_until(done, 5, "the end is on record")


async def press(two: System, instance: int, shown: Interaction, action: str, **more: Any) -> Interaction:
    """Press a button; the press is routed to any instance."""
    target = two.instances[instance - 1].interactions
    return await two.sim.discord.press(target, shown, button(shown, action), **more)


def refused(pressed: Interaction) -> bool:
    """Whether a press got a word that only who pressed it sees."""
    return pressed.message is not None and pressed.message.ephemeral and bool(pressed.message.content)


def picture_size(shown: Interaction) -> tuple[int, int]:
    """Return the width and height of the message's first picture."""
    assert shown.message is not None
    picture = measure(shown.message.attachments[0].data)
    assert picture is not None
    return picture.width, picture.height


class TestAgain:
    async def test_as_often_as_one_likes(self, two: System) -> None:
        """Each press makes an answer of its own, on any instance; the first answer stays."""
        asked = await answered(two, "채팅", {"질문": "바다는 왜 파란가요?"})
        assert asked.message is not None
        before = asked.message.content
        for instance in (1, 2, 1):
            pressed = await press(two, instance, asked, "again")
            await pressed.final(20)
            assert pressed.message is not None and "바다는 왜 파란가요?" in pressed.message.content
            assert pressed.message.id != asked.message.id
        assert asked.message.content == before

    async def test_of_an_answer_that_was_made_again(self, two: System) -> None:
        """The new answer has buttons, too."""
        asked = await answered(two, "채팅", {"질문": "달은 왜 둥근가요?"})
        pressed = await press(two, 1, asked, "again")
        await pressed.final(20)
        once_more = await press(two, 2, pressed, "again")
        await once_more.final(20)
        assert once_more.message is not None and "달은 왜 둥근가요?" in once_more.message.content

    async def test_a_private_answer_is_made_again_in_private(self, two: System) -> None:
        """Nobody else sees the new one either."""
        asked = await answered(two, "채팅", {"질문": "비밀이에요", "비공개": True})
        assert asked.message is not None and asked.message.ephemeral
        pressed = await press(two, 2, asked, "again")
        await pressed.final(20)
        assert pressed.message is not None and pressed.message.ephemeral

    async def test_by_somebody_else(self, two: System) -> None:
        """A private word; nothing is asked of a provider."""
        asked = await answered(two, "채팅", {"질문": "왜?"})
        before = two.sim.ledger.since(0)
        assert refused(await press(two, 1, asked, "again", user_id=OTHER))
        calls = [event for event in two.sim.ledger.since(len(before)) if event["event"] == "provider_call"]
        assert calls == []


async def test_a_message_commands_answer_again(two: System) -> None:
    """The message it is about is kept with the command; the new answer is private, too.

    The simulated model repeats what it was asked, and the quoted message is fenced with the job's own id.
    """
    said = two.sim.discord.say("바다는 하늘을 비춰서 파랗게 보여요.", user_id=OTHER)
    asked = await two.sim.discord.context_menu(two.home(USER).interactions, "요약", said, user_id=USER)
    await asked.final(20)
    pressed = await press(two, 2, asked, "again")
    await pressed.final(20)
    assert pressed.message is not None and pressed.message.ephemeral
    assert asked.message is not None and asked.id in asked.message.content
    assert pressed.message.content == asked.message.content.replace(asked.id, pressed.id)


async def test_forgetting_what_is_kept(two: System) -> None:
    """The message of /기억 becomes what is left, and buttons of old answers no longer work."""
    asked = await answered(two, "채팅", {"질문": "바다는 왜 파란가요?"})
    await recorded(two, asked)
    shown = await two.ask(USER, "기억")
    assert shown.message is not None and "바다는 왜 파란가요?" in shown.message.content
    await press(two, 2, shown, "memory:clear_all")
    await wait_until(lambda: shown.message is not None and "✅" in shown.message.content, 5, "it is forgotten")
    assert "바다는 왜 파란가요?" not in shown.message.content
    assert refused(await press(two, 1, asked, "again"))


async def test_another_ratio(two: System) -> None:
    """The same picture's description, drawn wide: a message of its own below the first."""
    asked = await answered(two, "이미지", {"설명": "달빛 아래 숲"})
    width, height = picture_size(asked)
    assert width == height
    pressed = await press(two, 2, asked, "ratio", values=["16:9"])
    await pressed.final(20)
    assert pressed.message is not None and "달빛 아래 숲" in pressed.message.content
    width, height = picture_size(pressed)
    assert width > height


async def test_variations(two: System) -> None:
    """Four pictures in one message, no two alike."""
    asked = await answered(two, "이미지", {"설명": "달빛 아래 숲"})
    pressed = await press(two, 1, asked, "vary")
    await pressed.final(20)
    assert pressed.message is not None
    assert len({file.data for file in pressed.message.attachments}) == 4


async def test_upscaling(two: System) -> None:
    """The picture that stands in the message, larger."""
    asked = await answered(two, "이미지", {"설명": "달빛 아래 숲"})
    pressed = await press(two, 2, asked, "upscale")
    await pressed.final(20)
    assert picture_size(pressed) > picture_size(asked)


async def test_continuing_a_broken_answer(two: System) -> None:
    """What came is kept, and the next answer goes on from it, on another instance, too."""
    asked = await answered(two, "채팅", {"질문": "#cut=120 #chars=600 바다 이야기"})
    assert asked.message is not None and "-# " in asked.message.content
    pressed = await press(two, 2, asked, "continue")
    await pressed.final(20)
    assert pressed.message is not None and pressed.message.content
    assert pressed.message.id != asked.message.id


class TestDelete:
    async def test_by_the_asker(self, two: System) -> None:
        """Taken without a word; then the message is gone."""
        asked = await answered(two, "채팅", {"질문": "왜?"})
        pressed = await press(two, 2, asked, "delete")
        assert pressed.state == "pressed"
        await wait_until(lambda: not asked.messages, 5, "the answer is gone")

    async def test_by_a_moderator(self, two: System) -> None:
        """Who may manage messages may delete somebody else's answer."""
        asked = await answered(two, "채팅", {"질문": "왜?"})
        permissions = str(int(Permission.MANAGE_MESSAGES))
        pressed = await press(two, 1, asked, "delete", user_id=OTHER, permissions=permissions)
        assert pressed.state == "pressed"
        await wait_until(lambda: not asked.messages, 5, "the answer is gone")

    async def test_by_a_stranger(self, two: System) -> None:
        """A private word, and the answer stays."""
        asked = await answered(two, "채팅", {"질문": "왜?"})
        assert refused(await press(two, 1, asked, "delete", user_id=OTHER, permissions="0"))
        assert asked.message is not None and not asked.message.deleted

    async def test_a_long_answer_goes_whole(self, two: System) -> None:
        """What follows an answer is deleted with it, whichever instance is asked, even if it is still going out."""
        asked = await answered(two, "채팅", {"질문": "#chars=4000"})
        await press(two, 2, asked, "delete")
        await wait_until(lambda: bool(asked.followups) and not asked.messages, 20, "all of it is gone")
        await recorded(two, asked)
        assert not asked.messages


@pytest.mark.parametrize("place", ["dm", "user_install"])
async def test_wherever_one_can_be(two: System, place: str) -> None:
    """In direct messages and where only the user installed the app, 🔁 and 🗑 work as in servers."""
    asked = await answered(two, "채팅", {"질문": "왜?"}, place=place)
    pressed = await press(two, 1, asked, "again")
    await pressed.final(20)
    assert (await press(two, 2, pressed, "delete")).state == "pressed"
    await wait_until(lambda: not pressed.messages, 5, "the second answer is gone")
    assert asked.messages


class TestStop:
    @pytest.mark.parametrize("instance", [1, 2])
    async def test_in_mid_stream(self, two: System, instance: int) -> None:
        """Whichever instance hears of it: what had come stays, the rest never comes, and the job ends."""
        asked = await two.ask(USER, "채팅", {"질문": "#chars=1500 #seconds=20"})
        await growing(asked)
        pressed = await press(two, instance, asked, "stop")
        assert pressed.state == "pressed"
        await asked.final(5)
        assert asked.message is not None and "멈췄어요" in asked.message.content
        assert len(asked.message.content) < 1500
        again = await answered_still(two, asked)
        assert again == asked.message.content

    async def test_by_a_stranger(self, two: System) -> None:
        """A private word, and the answer goes on to its end."""
        asked = await two.ask(USER, "채팅", {"질문": "#chars=600 #seconds=3"})
        await growing(asked)
        assert refused(await press(two, 1, asked, "stop", user_id=OTHER, permissions="0"))
        await asked.final(20)
        assert asked.message is not None and "멈췄어요" not in asked.message.content


async def growing(asked: Interaction) -> None:
    """Wait until a part of the answer shows, with the button that stops it."""

    def shows() -> bool:
        message = asked.message
        return message is not None and message.content.endswith("▌") and bool(message.components)

    await wait_until(shows, 10, "the answer grows")


async def answered_still(two: System, asked: Interaction) -> str:
    """Return what the message says once the job's end is on record."""
    await recorded(two, asked)
    assert asked.message is not None
    return asked.message.content


class TestForm:
    async def test_a_long_question(self, two: System) -> None:
        """Without a question a form opens; what is entered there is asked, and the form works on any instance."""
        asked = await two.ask(USER, "채팅")
        assert asked.state == "modal" and asked.modal is not None
        question = "첫 줄이에요.\n\n" + "긴 질문이에요. " * 30
        sent = await two.sim.discord.submit(two.instances[1].interactions, asked, {"질문": question})
        await sent.final(20)
        assert sent.message is not None and "첫 줄이에요." in sent.message.content

    async def test_a_private_one(self, two: System) -> None:
        """That the answer was to be private is not lost on the way through the form."""
        asked = await two.ask(USER, "채팅", {"비공개": True})
        sent = await two.sim.discord.submit(two.instances[0].interactions, asked, {"질문": "왜?"})
        await sent.final(20)
        assert sent.message is not None and sent.message.ephemeral


async def test_models_are_completed(two: System) -> None:
    """Typing a model's name asks the bot, which answers from memory."""
    asked = await two.ask(USER, "채팅", {}, focused="모델")
    assert asked.state == "choices"
