"""What the simulated Discord hands out, held against Discord's own published schema.

The schema (https://github.com/discord/discord-api-spec) is not part of this repository: set QUARTET_DISCORD_OPENAPI to
the path of its `openapi.json`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from simulator.config import SimulatorConfig
from simulator.discord_state import Attachment
from simulator.media import png
from simulator.server import SimulatorServer
from tests.contract.test_discord_schema import faults, schemas
from tests.unit.simulator.bot import Bot, Webhook

__all__ = ["schemas"]  # the fixture

PICTURE = png("x", 1, 20, 20)
ROWS = [
    {"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "b"}]},
    {"type": 1, "components": [{"type": 3, "custom_id": "s", "options": [{"label": "a", "value": "a"}]}]},
]


@pytest.fixture
async def stage() -> AsyncIterator[tuple[SimulatorServer, Bot, Webhook]]:
    """A simulator, and an application that defers commands and answers presses at once."""
    async with Bot() as bot, SimulatorServer(SimulatorConfig(seed=1)) as sim:
        bot.answer = lambda payload: {"type": 5} if payload["type"] == 2 else {"type": 4, "data": {"content": "x"}}
        webhook = Webhook(sim)
        async with webhook.http:
            yield sim, bot, webhook


async def test_every_kind_of_message_is_one_of_discords(
    stage: tuple[SimulatorServer, Bot, Webhook], schemas: dict[str, Any]
) -> None:
    """Edits, files, follow-ups, posts of the bot, users' own messages, and answers to presses and menus."""
    sim, bot, webhook = stage
    asked = await sim.discord.interact(bot.url, "채팅", user_id=7)
    body = {
        "content": "<@7> hi",
        "components": ROWS,
        "embeds": [{"title": "t", "image": {"url": "attachment://a.png"}}],
    }
    shown = [(await webhook.upload(asked, body, {"files[0]": ("a.png", PICTURE, "image/png")})).json()]
    shown.append((await webhook.follow_up(asked, "more")).json())
    shown.append((await webhook.post(asked.channel_id, {"content": "late", "nonce": asked.id})).json())
    written = sim.discord.say("<@5>", user_id=9, attachments=[Attachment("77", "a.png", "image/png", PICTURE)])
    used = await sim.discord.context_menu(bot.url, "요약", written, user_id=8)
    await webhook.say(used, "short")
    pressed = await sim.discord.press(bot.url, asked, "b")
    made = [message for message in (written, used.message, pressed.message) if message is not None]
    shown += [sim.app.discord.render(message) for message in made]
    assert len(shown) == 6
    for message in shown:
        assert faults(schemas, "MessageResponse", message) == []
