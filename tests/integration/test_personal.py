"""What is a user's own, through Discord and on instances that share a store: memory, settings, use, and what they ask
about others' messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.discord.wire import Permission
from simulator.discord_state import Interaction
from tests.kit.running import System, system
from tests.kit.waiting import wait_until

USER, OTHER = 12345, 67891


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[System]:
    """Two instances that share a store."""
    async with system(tmp_path, count=2, chat_models="large", price_chat_input_per_million=1) as running:
        yield running


async def use(
    two: System, instance: int, command: str, options: dict[str, Any] | None = None, user: int = USER, **more: Any
) -> Interaction:
    """Use a command at any instance and wait for its outcome."""
    target = two.instances[instance - 1].interactions
    used: Interaction = await two.sim.discord.interact(target, command, options, user_id=user, **more)
    return await used.final(20)


async def told(two: System, instance: int, command: str, options: dict[str, Any] | None = None, **more: Any) -> str:
    """Return an answer that only the user sees."""
    shown = (await use(two, instance, command, options, **more)).message
    assert shown is not None and shown.ephemeral
    return shown.content


async def shows(two: System, instance: int, command: str, text: str, **more: Any) -> None:
    """Wait until a private answer shows `text`."""

    async def there() -> bool:
        return text in await told(two, instance, command, **more)

    await wait_until(there, 10, f"{command} shows {text!r}")


async def test_what_is_remembered_on_one_instance_is_forgotten_on_the_other(two: System) -> None:
    """Whoever answers: a user's conversation is one, and another user's is untouched."""
    for user in (USER, OTHER):
        await use(two, 1, "채팅", {"질문": "달은 멀어?"}, user=user)
    for user in (USER, OTHER):
        await shows(two, 2, "기억", "달은 멀어?", user=user)
    assert "대화 1개를 잊었어요" in await told(two, 2, "새대화")
    assert "달은 멀어?" not in await told(two, 1, "기억")
    assert "달은 멀어?" in await told(two, 1, "기억", user=OTHER)


async def test_forgetting_everything_ends_the_buttons_too(two: System) -> None:
    """The press turns the message into what is left; what was kept for 🔁 is gone, on every instance."""
    asked = await use(two, 1, "채팅", {"질문": "달은 멀어?"})
    await shows(two, 1, "기억", "달은 멀어?")
    shown = await use(two, 1, "기억")
    discord, targets = two.sim.discord, [each.interactions for each in two.instances]
    await discord.press(targets[1], shown, f"memory:clear_all:{USER}")
    assert shown.message is not None
    assert "문답 1개와 버튼용 요청 1개" in shown.message.content and "달은 멀어?" not in shown.message.content
    again = await discord.press(targets[0], asked, f"again:{asked.id}")
    await again.final(10)
    assert again.message is not None and again.message.ephemeral and "너무 오래되어" in again.message.content


async def test_a_setting_holds_on_every_instance(two: System) -> None:
    """Saved on one, seen on the other, and it is the language that answers come in there."""
    assert "✅ Saved" in await told(two, 1, "설정", {"내설정": {"언어": "en", "비공개": True, "모델": "large"}})
    assert "`large` — yours" in await told(two, 2, "설정", {"보기": {}})

    async def heard() -> bool:
        ping = await use(two, 2, "핑")
        return ping.message is not None and "Pong" in ping.message.content

    await wait_until(heard, 5, "the other instance answers in English")
    asked = await use(two, 2, "채팅", {"질문": "why?"})
    assert asked.message is not None and asked.message.ephemeral
    assert "left today" in (await told(two, 2, "사용량")).lower()


async def test_models_are_offered_while_one_types(two: System) -> None:
    """In `/설정` as in `/채팅`, from the configured list."""
    for command, options in (("채팅", {"모델": "LAR"}), ("설정", {"내설정": {"모델": "LAR"}})):
        asked = await two.sim.discord.interact(
            two.instances[0].interactions, command, options, user_id=USER, focused="모델"
        )
        assert asked.choices == [{"name": "large", "value": "large"}]


async def test_only_managers_change_a_servers_defaults(two: System) -> None:
    """By the permissions Discord states with this very use."""
    asked = {"서버": {"비율": "16:9"}}
    assert "서버 관리" in await told(two, 1, "설정", asked, permissions=int(Permission.MANAGE_MESSAGES))
    assert "16:9" in await told(two, 1, "설정", asked, permissions=int(Permission.MANAGE_GUILD))
    await shows(two, 2, "설정", "16:9 — 서버 기본값", options={"보기": {}}, user=OTHER)
    assert "서버 기본값" not in (await told(two, 2, "설정", {"보기": {}}, place="dm")).split("-#")[0]


async def test_use_is_counted_for_whoever_used(two: System) -> None:
    """An answered question shows at both instances, and in the server's sums for those who manage it."""
    await use(two, 1, "채팅", {"질문": "달은 멀어?"})
    await shows(two, 2, "사용량", "채팅 1건")
    assert "아직 답한 것이 없어요" in await told(two, 2, "사용량", user=OTHER)
    server = await told(two, 2, "사용량", {"범위": "guild"}, user=OTHER, permissions=int(Permission.MANAGE_GUILD))
    assert f"<@{USER}>" in server and "채팅 1건" in server


@pytest.mark.parametrize("command", ["요약", "번역", "설명"])
async def test_a_message_is_answered_in_private_and_not_remembered(two: System, command: str) -> None:
    """The author sees nothing, the server sees nothing, and the user's memory stays as it was."""
    discord, target = two.sim.discord, two.instances[0].interactions
    message = discord.say("The moon is far away.", user_id=OTHER)
    asked = await discord.context_menu(target, command, message, user_id=USER)
    await asked.final(20)
    shown = asked.message
    assert shown is not None and shown.ephemeral and shown.content
    assert not shown.content.startswith("⚠️")
    assert "기억하는 대화가 없어요" in await told(two, 1, "기억")


async def test_a_message_without_text_is_refused(two: System) -> None:
    """At once, in private, without a call to the provider."""
    discord, target = two.sim.discord, two.instances[0].interactions
    message = discord.say("  ", user_id=OTHER)
    asked = await discord.context_menu(target, "요약", message, user_id=USER)
    await asked.final(10)
    assert asked.message is not None and asked.message.ephemeral and "읽을 글이 없어" in asked.message.content
    assert not [event for event in two.sim.ledger.since(0) if event["event"] == "provider_call"]
