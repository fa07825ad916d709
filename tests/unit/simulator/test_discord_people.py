"""What users can do besides slash commands, who may see and do what, and what an application is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.config import SimulatorConfig
from simulator.discord_state import Attachment
from simulator.media import png
from simulator.server import SimulatorServer
from tests.unit.simulator.bot import Bot, Webhook
from tests.unit.simulator.conftest import FAST

SELECT = {
    "type": 3, "custom_id": "ratio", "min_values": 1, "max_values": 1,
    "options": [{"label": value, "value": value} for value in ("1:1", "16:9")],
}  # fmt: skip
BUTTON = {"type": 2, "style": 1, "label": "x", "custom_id": "x"}
FORM: dict[str, Any] = {
    "type": 9,
    "data": {
        "custom_id": "form:채팅", "title": "질문",
        "components": [{"type": 18, "label": "질문", "component": {
            "type": 4, "custom_id": "질문", "style": 2, "min_length": 2, "max_length": 10, "required": True}}],
    },
}  # fmt: skip


def answer(*components: dict[str, Any], flags: int = 0) -> dict[str, Any]:
    """An immediate message with these components in a row each."""
    rows = [{"type": 1, "components": [component]} for component in components]
    return {"type": 4, "data": {"content": "hello", "components": rows, "flags": flags}}


async def test_a_message_command_brings_the_message_it_was_used_on(sim: SimulatorServer, bot: Bot) -> None:
    """`target_id` and `resolved.messages` carry text, author and files; the answer says which message it is about."""
    picture = Attachment("42", "a.txt", "text/plain", b"data")
    written = sim.discord.say("look at this", user_id=9, attachments=[picture])
    used = await sim.discord.context_menu(bot.url, "요약", written, user_id=7)
    data = bot.deliveries[0].payload["data"]
    assert (data["type"], data["name"], data["target_id"]) == (3, "요약", written.id)
    shown = data["resolved"]["messages"][written.id]
    assert (shown["content"], shown["author"]["id"], shown["attachments"][0]["size"]) == ("look at this", "9", 4)
    assert used.message is not None and used.message.metadata is not None
    assert (used.message.kind, used.message.metadata["target_message_id"]) == (23, written.id)


async def test_an_answer_says_who_asked(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """`interaction_metadata` names the asker, in the message a press brings back and in follow-ups."""
    bot.answer = lambda payload: answer(BUTTON) if payload["type"] == 2 else {"type": 6}
    asked = await sim.discord.interact(bot.url, "채팅", user_id=7)
    follow_up = (await webhook.follow_up(asked, "more")).json()
    pressed = await sim.discord.press(bot.url, asked, "x", user_id=8)
    assert pressed.state == "pressed" and pressed.is_final and asked.message is not None
    told = bot.deliveries[1].payload
    assert (told["message"]["interaction_metadata"]["user"]["id"], told["member"]["user"]["id"]) == ("7", "8")
    assert follow_up["interaction_metadata"]["original_response_message_id"] == asked.message.id
    assert follow_up["type"] == 19 and follow_up["message_reference"]["message_id"] == asked.message.id


async def test_only_the_asker_sees_a_private_answer(sim: SimulatorServer, bot: Bot) -> None:
    """Nobody else can press its button or use a message command on it."""
    bot.answer = lambda payload: answer(BUTTON, flags=64)
    asked = await sim.discord.interact(bot.url, "채팅", user_id=7)
    assert asked.message is not None and asked.message.ephemeral
    assert asked.message.seen_by("7") and not asked.message.seen_by("8")
    with pytest.raises(ValueError, match="no usable component"):
        await sim.discord.press(bot.url, asked, "x", user_id=8)
    with pytest.raises(ValueError, match="does not see"):
        await sim.discord.context_menu(bot.url, "요약", asked.message, user_id=8)
    await sim.discord.press(bot.url, asked, "x")
    assert len(bot.deliveries) == 2


async def test_a_select_takes_only_what_it_offers(sim: SimulatorServer, bot: Bot) -> None:
    """The chosen value is sent; a value that is not offered, none and two can't be chosen."""
    bot.answer = lambda payload: answer(SELECT)
    asked = await sim.discord.interact(bot.url, "이미지")
    await sim.discord.press(bot.url, asked, "ratio", values=["16:9"])
    assert bot.deliveries[1].payload["data"]["values"] == ["16:9"]
    for values in ([], ["4:3"], ["1:1", "16:9"]):
        with pytest.raises(ValueError, match="ratio"):
            await sim.discord.press(bot.url, asked, "ratio", values=values)


async def test_a_form_is_filled_in_as_the_client_lets_one(sim: SimulatorServer, bot: Bot) -> None:
    """Labelled fields are sent with their ids; what is missing, too short, too long or unknown is not sent."""
    bot.answer = lambda payload: FORM if payload["type"] == 2 else {"type": 5}
    asked = await sim.discord.interact(bot.url, "채팅", user_id=7)
    sent = await sim.discord.submit(bot.url, asked, {"질문": "안녕?"})
    (row,) = bot.deliveries[1].payload["data"]["components"]
    assert (row["type"], row["component"]["custom_id"], row["component"]["value"]) == (18, "질문", "안녕?")
    assert sent.metadata["triggering_interaction_metadata"]["id"] == asked.id
    for fields in ({}, {"질문": "?"}, {"질문": "?" * 11}, {"질문": "안녕?", "x": "y"}):
        with pytest.raises(ValueError, match=r"질문|x"):
            await sim.discord.submit(bot.url, asked, fields)


async def test_a_form_from_a_button_brings_the_message_along(sim: SimulatorServer, bot: Bot) -> None:
    """The submission of a form that a press opened carries the message, and type 7 changes it."""
    replies = {2: answer(BUTTON), 3: FORM, 5: {"type": 7, "data": {"content": "changed"}}}
    bot.answer = lambda payload: replies[payload["type"]]
    asked = await sim.discord.interact(bot.url, "설정", user_id=7)
    pressed = await sim.discord.press(bot.url, asked, "x")
    await sim.discord.submit(bot.url, pressed, {"질문": "안녕"})
    assert asked.message is not None and asked.message.content == "changed"
    assert bot.deliveries[2].payload["message"]["id"] == asked.message.id


BAD_FORMS: list[dict[str, Any]] = [
    {"components": []},
    {"title": "x" * 46},
    {"components": [{"type": 18, "label": "x"}]},
    {"components": [{"type": 18, "label": "x", "component": {"type": 4, "custom_id": "a", "style": 3}}]},
    {"components": [{"type": 18, "label": "x", "component": {
        "type": 4, "custom_id": "a", "style": 1, "min_length": 9, "max_length": 5}}]},
    {"components": [{"type": 18, "label": "x", "component": {"type": 4, "custom_id": "a", "style": 1}}] * 2},
    {"components": [{"type": 1, "components": [{"type": 4, "custom_id": "a", "style": 1}]}]},
    {"components": [{"type": 18, "label": "x", "component": {"type": 2, "custom_id": "a", "style": 1}}]},
]  # fmt: skip


@pytest.mark.parametrize("wrong", BAD_FORMS)
async def test_a_form_discord_would_refuse_is_refused(sim: SimulatorServer, bot: Bot, wrong: dict[str, Any]) -> None:
    """The user sees a failure, and the ledger says what was wrong."""
    bot.answer = lambda payload: {"type": 9, "data": {**FORM["data"], **wrong}}
    asked = await sim.discord.interact(bot.url, "채팅")
    assert asked.state == "failed" and asked.ack is not None and "Invalid Form Body" in asked.ack.reason


async def test_roles_permissions_and_age_restriction_are_told(sim: SimulatorServer, bot: Bot) -> None:
    """They stand where Discord puts them; another user who presses has only what is said of that one."""
    bot.answer = lambda payload: answer(BUTTON)
    asked = await sim.discord.interact(
        bot.url, "채팅", permissions=32, roles=["5", "6"], nsfw=True, app_permissions="2048", channel_id="1155"
    )
    await sim.discord.press(bot.url, asked, "x", user_id=8, permissions=8192)
    first, second = (delivery.payload for delivery in bot.deliveries)
    assert (first["member"]["permissions"], first["member"]["roles"]) == ("32", ["5", "6"])
    assert first["channel"]["nsfw"] is True and (first["channel_id"], first["app_permissions"]) == ("1155", "2048")
    assert (second["member"]["permissions"], second["member"]["roles"]) == ("8192", [])
    assert (second["channel_id"], second["app_permissions"], second["channel"]["nsfw"]) == ("1155", "2048", True)
    with pytest.raises(ValueError, match="place"):
        await sim.discord.interact(bot.url, "채팅", place="moon")


COMMANDS = (
    {"name": "설정", "description": "x", "default_member_permissions": "32", "contexts": [0]},
    {"name": "그림", "description": "x", "nsfw": True},
    {"name": "채팅", "description": "x", "options": [
        {"type": 3, "name": "모델", "description": "x", "autocomplete": True},
        {"type": 3, "name": "질문", "description": "x"}]},
    {"name": "채팅", "type": 3},
)  # fmt: skip


async def test_a_command_is_offered_as_it_was_registered(bot: Bot) -> None:
    """Not without its permissions, not in another place or channel; message commands have names of their own."""
    async with SimulatorServer(SimulatorConfig(seed=1, speed=FAST, commands=COMMANDS)) as sim:
        refused: list[tuple[str, dict[str, Any]]] = [
            ("설정", {}), ("설정", {"permissions": 32, "place": "dm"}), ("그림", {})
        ]  # fmt: skip
        for command, standing in refused:
            with pytest.raises(ValueError, match="offered"):
                await sim.discord.interact(bot.url, command, **standing)
        await sim.discord.interact(bot.url, "설정", permissions=8)
        await sim.discord.interact(bot.url, "그림", nsfw=True)
        await sim.discord.context_menu(bot.url, "채팅", sim.discord.say("text"))
        ids = [delivery.payload["data"]["id"] for delivery in bot.deliveries]
        assert len(set(ids)) == 3


async def test_choices_are_asked_for_while_one_types(bot: Bot) -> None:
    """Only for an option that is completed; nothing typed yet is an empty text."""
    async with SimulatorServer(SimulatorConfig(seed=1, speed=FAST, commands=COMMANDS)) as sim:
        bot.answer = lambda payload: {"type": 8, "data": {"choices": [{"name": "m", "value": "m"}]}}
        asked = await sim.discord.interact(bot.url, "채팅", focused="모델")
        assert asked.choices == [{"name": "m", "value": "m"}]
        (option,) = bot.deliveries[0].payload["data"]["options"]
        assert (option["value"], option["focused"]) == ("", True)
        with pytest.raises(ValueError, match="completed"):
            await sim.discord.interact(bot.url, "채팅", focused="질문")


async def test_a_growing_text_is_progress_until_its_cursor_is_gone(
    sim: SimulatorServer, bot: Bot, webhook: Webhook
) -> None:
    """A text that ends with the cursor is no outcome, whatever it begins with."""
    asked = await sim.discord.interact(bot.url, "채팅")
    for text in ("⏳ …", "Once ▌", "Once upon a time"):
        await webhook.say(asked, text)
    assert asked.message is not None
    assert [state.final for state in asked.message.history] == [False, False, True]


async def test_pictures_say_their_size(sim: SimulatorServer, bot: Bot, webhook: Webhook) -> None:
    """An uploaded PNG has width and height in `resolved`, and its bytes can be fetched by its address."""
    data = png("x", 1, 20, 10)
    await sim.discord.interact(bot.url, "채팅", attachments={"첨부": Attachment("77", "a.png", "image/png", data)})
    shown = bot.deliveries[0].payload["data"]["resolved"]["attachments"]["77"]
    assert (shown["width"], shown["height"], shown["ephemeral"]) == (20, 10, True)
    assert (await webhook.http.get(shown["url"])).content == data
    large = Attachment("78", "b.png", "image/png", bytes(sim.app.world.config.attachment_size_limit + 1))
    with pytest.raises(ValueError, match="larger"):
        await sim.discord.interact(bot.url, "채팅", attachments={"첨부": large})
