"""The 🔁 button: offered where nobody knows whether a video was made, served once, for its user only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulator.discord_state import Interaction
from tests.kit.running import System, system
from tests.kit.waiting import wait_until

USER, OTHER = 12345, 67890


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[System]:
    """Two instances that share a store."""
    async with system(tmp_path, count=2, video_cooldown_s=0) as running:
        yield running


async def unknown_video(two: System) -> tuple[Interaction, str]:
    """Have a video's create call cut off; returns the interaction and its button's id."""
    two.sim.app.world.faults.add(
        {"target": "minimax", "kind": "done_then_drop", "route": "video_generation", "count": 1}
    )
    asked = await two.ask(USER, "비디오", {"설명": "파도를 타는 고양이"})
    await asked.final(20)
    assert asked.message is not None and not asked.message.attachments

    async def recorded() -> bool:
        store = two.instances[0].instance.store
        return await store.repeatable(asked.id, user_id=str(USER)) is not None

    await wait_until(recorded, 5, "the end is on record")
    return asked, asked.message.components[0]["components"][0]["custom_id"]


async def press(two: System, instance: int, asked: Interaction, button: str, user: int = USER) -> Interaction:
    """Press the button, the press being routed to any instance."""
    target = two.instances[instance - 1].interactions
    return await two.sim.discord.press(target, asked, button, user_id=user)


async def test_does_the_job_again_once(two: System) -> None:
    """The press is answered with the video, from another instance too; a second press gets a private word."""
    asked, button = await unknown_video(two)
    pressed = await press(two, 1, asked, button)
    await pressed.final(20)
    assert pressed.message is not None
    assert [file.filename for file in pressed.message.attachments] == ["video.mp4"]
    assert "파도를 타는 고양이" in pressed.message.content

    second = await press(two, 2, asked, button)
    assert second.ack is not None and second.ack.type == 4
    assert second.message is not None and second.message.ephemeral
    created = [e for e in two.sim.ledger.since(0) if e["event"] == "provider_call" and e["costly"]]
    assert len(created) == 2


async def test_is_for_its_user_only(two: System) -> None:
    """Somebody else's press gets a private word and makes nothing; the user can still press afterwards."""
    asked, button = await unknown_video(two)
    refused = await press(two, 1, asked, button, user=OTHER)
    assert refused.message is not None and refused.message.ephemeral
    pressed = await press(two, 2, asked, button)
    await pressed.final(20)
    assert pressed.message is not None and pressed.message.attachments
