"""Pictures in and out through every part: users' files, and what the buttons under a picture do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.providers.pictures import Measured, measure
from simulator.discord_state import Attachment, Interaction
from simulator.media import png
from tests.kit.running import System, system
from tests.kit.waiting import wait_until

USER = 12345


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[System]:
    """Two instances that share a store."""
    async with system(tmp_path, count=2, image_cooldown_s=0, video_cooldown_s=0) as running:
        yield running


def upload(name: str, data: bytes, content_type: str = "image/png") -> Attachment:
    """Return a file as a user's client uploads it."""
    return Attachment("1300000000000000001", name, content_type, data)


def button(asked: Interaction, action: str) -> str:
    """Return the custom id of the button or menu that does `action`."""
    assert asked.message is not None
    ids = [part["custom_id"] for row in asked.message.components for part in row["components"]]
    return next(str(custom_id) for custom_id in ids if custom_id.startswith(f"{action}:"))


async def press(two: System, asked: Interaction, action: str, **how: Any) -> Interaction:
    """Press on the instance that did not draw it, and wait for what comes of it."""

    async def recorded() -> bool:
        return await two.instances[0].instance.store.repeatable(asked.id, user_id=str(USER)) is not None

    await wait_until(recorded, 5, "the picture's end to be on record")
    target = two.instances[(USER + 1) % 2].interactions
    pressed = await two.sim.discord.press(target, asked, button(asked, action), **how)
    await pressed.final(20)
    assert pressed.message is not None
    return pressed


async def drawn(two: System, options: dict[str, Any] | None = None, **more: Any) -> Interaction:
    """Ask for a picture and wait for it."""
    asked: Interaction = await two.ask(USER, "이미지", {"설명": "달을 보는 고양이", **(options or {})}, **more)
    await asked.final(20)
    assert asked.message is not None and asked.message.attachments, asked.message
    return asked


def routes(two: System) -> list[str]:
    """Return the costly calls made so far, by route."""
    events = two.sim.ledger.since(0)
    return [e["route"] for e in events if e["event"] == "provider_call" and e["costly"]]


async def test_a_picture_is_drawn_in_another_ratio(two: System) -> None:
    """The menu's choice replaces the ratio; everything else stays."""
    asked = await drawn(two, {"스타일": "pixel-art"})
    pressed = await press(two, asked, "ratio", values=["16:9"])
    assert pressed.message is not None
    (file,) = pressed.message.attachments
    assert measure(file.data) == Measured("image/png", 32, 18)
    assert "달을 보는 고양이" in pressed.message.content


async def test_four_variations_are_four_pictures(two: System) -> None:
    """Four calls, four different pictures, one message."""
    asked = await drawn(two)
    pressed = await press(two, asked, "vary")
    assert pressed.message is not None
    assert len({file.data for file in pressed.message.attachments}) == 4
    assert routes(two) == ["generate.core"] * 5


async def test_a_picture_is_made_larger(two: System) -> None:
    """Fetched back from Discord's own host and enlarged: four times as wide and as high."""
    asked = await drawn(two)
    pressed = await press(two, asked, "upscale")
    assert pressed.message is not None
    (file,) = pressed.message.attachments
    assert measure(file.data) == Measured("image/jpeg", 128, 128), pressed.message.content
    assert routes(two) == ["generate.core", "upscale.fast"]


async def test_an_original_is_drawn_anew(two: System) -> None:
    """The user's picture reaches Stability's image to image."""
    asked = await drawn(two, attachments={"원본": upload("me.png", png("me", 1, 200, 100))})
    assert routes(two) == ["generate.sd3"]
    assert asked.message is not None and "Stability" in asked.message.content


async def test_a_video_begins_with_a_picture(two: System) -> None:
    """MiniMax is given the first frame as a data URL that it can read."""
    frame = upload("frame.png", png("frame", 1, 640, 480))
    asked = await two.ask(USER, "비디오", {"설명": "파도 #seconds=0"}, attachments={"첫장면": frame})
    await asked.final(20)
    assert asked.message is not None
    assert [file.filename for file in asked.message.attachments] == ["video.mp4"], asked.message.content


async def test_the_model_sees_a_picture(two: System) -> None:
    """It answers that there was one."""
    asked = await two.ask(
        USER, "채팅", {"질문": "이게 뭐야?"}, attachments={"첨부": upload("a.png", png("a", 1, 64, 64))}
    )
    await asked.final(20)
    assert asked.message is not None
    assert "그림 1장" in asked.message.content


async def test_what_is_no_picture_is_refused_at_once(two: System) -> None:
    """A private sentence in place of "thinking…", and no call; called a picture, its bytes give it away."""
    archive = upload("a.zip", b"PK", "application/zip")
    refused = await two.ask(USER, "이미지", {"설명": "고양이"}, attachments={"원본": archive})
    assert refused.ack is not None and refused.ack.type == 4
    assert refused.message is not None and refused.message.ephemeral
    assert "`a.zip`" in refused.message.content
    posing = await two.ask(USER, "이미지", {"설명": "고양이"}, attachments={"원본": upload("b.png", b"PK")})
    await posing.final(20)
    assert posing.message is not None and "`b.png`" in posing.message.content
    assert routes(two) == []


async def test_a_private_picture_is_seen_by_its_user_only(two: System) -> None:
    """By the option; what a button makes of it is private, too."""
    asked = await drawn(two, {"비공개": True})
    assert asked.message is not None and asked.message.ephemeral
    pressed = await press(two, asked, "again")
    assert pressed.message is not None and pressed.message.ephemeral
