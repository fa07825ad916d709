"""`/이미지` beyond one picture from words: styles, originals, variations, larger ones, and stopping."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.commands.drawing import seeds
from app.commands.image import RATIOS, STYLES, VARIATIONS
from app.discord.replies import Message
from app.errors import (
    PictureTooLarge,
    ProviderBadInput,
    ProviderError,
    ProviderKeyRejected,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnavailable,
)
from app.jobs.job import JobState, Outcome
from app.userdata.preferences import Preferences
from app.userdata.usage import Usage
from app.worker.kept import unpack
from tests.kit.waiting import wait_until
from tests.unit.commands_jobs.kitchen import Kitchen, asking
from tests.unit.commands_jobs.test_attachments import URL, png
from tests.unit.providers.subjects import png_head

ASKED = {"설명": "고양이", "비율": "16:9"}
VARY = {"action": "vary", "of": "9"}


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


def actions(message: Message) -> list[str]:
    """Return what the buttons and menus under a message do, in order."""
    return [part["custom_id"].partition(":")[0] for row in message.components for part in row["components"]]


def used(kitchen: Kitchen) -> Usage:
    """Return what the job took, as it was kept."""
    result = kitchen.bench.store.rows["1"].job.result
    assert result is not None
    return unpack(result).usage


async def test_options_go_before_preferences(kitchen: Kitchen) -> None:
    """Without an option the user's own choice holds, without that the default; a choice no longer offered is none."""
    kitchen.preferred = Preferences(ratio="9:16", style="anime")
    await kitchen.ask("image", {"설명": "고양이"})
    await kitchen.ask("image", {"설명": "고양이", "비율": "3:2", "스타일": "line-art"}, job_id="2")
    kitchen.preferred = Preferences(ratio="5:4", style="baroque")
    await kitchen.ask("image", {"설명": "고양이"}, job_id="3")
    drawn = [(request.aspect_ratio, request.style) for request in kitchen.stability.requests]
    assert drawn == [("9:16", "anime"), ("3:2", "line-art"), ("1:1", None)]


async def test_a_picture_has_its_buttons(kitchen: Kitchen) -> None:
    """All there is to do with it, and every ratio but its own; the cost is counted by the operator's price."""
    message = await kitchen.ask("image", ASKED)
    assert actions(message) == ["again", "vary", "upscale", "delete", "ratio"]
    menu = message.components[1]["components"][0]
    assert [option["value"] for option in menu["options"]] == [ratio for ratio in RATIOS if ratio != "16:9"]
    assert used(kitchen) == Usage(images=1, micro_usd=30_000)


async def test_an_original_is_drawn_anew(kitchen: Kitchen) -> None:
    """Its bytes go to the provider that can; there is no other ratio to offer, since its own is kept."""
    kitchen.shelf.files[URL] = png_head(640, 480)
    message = await kitchen.ask("image", {**ASKED, "원본": "11"}, files=png(640, 480))
    (request,) = kitchen.stability.requests
    assert (request.source, request.strength) == (png_head(640, 480), 0.65)
    assert actions(message) == ["again", "vary", "upscale", "delete"]


@pytest.mark.parametrize("error", [ProviderKeyRejected("401"), ProviderUnavailable("503")], ids=lambda e: str(e))
async def test_nobody_else_is_asked_to_draw_from_a_picture(kitchen: Kitchen, error: ProviderError) -> None:
    """MiniMax can't, so it is not asked; a key that is not accepted is told as what it means to the user."""
    kitchen.shelf.files[URL] = png_head(640, 480)
    kitchen.stability.script = [error]
    message = await kitchen.ask("image", {**ASKED, "원본": "11"}, files=png(640, 480))
    assert kitchen.minimax.requests == []
    assert kitchen.outcome == (Outcome.FAILED, type(error).__name__)
    assert ("Stability AI만" in message.content) is isinstance(error, ProviderKeyRejected)


@pytest.mark.parametrize(("usable", "waits"), [("stability", True), ("minimax", False)])
async def test_only_a_key_that_can_draw_it_is_waited_for(kitchen: Kitchen, usable: str, waits: bool) -> None:
    """Another instance's MiniMax key is no reason to send a drawing from a picture back to the queue."""
    kitchen.shelf.files[URL] = png_head(640, 480)
    kitchen.stability.script = [ProviderKeyRejected("401", provider="stability")]
    keys = {name: key for name, key in kitchen.keys.snapshots().items() if name == usable}
    await kitchen.bench.other(2, keys=keys)
    body = asking("1", {**ASKED, "원본": "11"}, files=png(640, 480))
    await kitchen.bench.runner.run(await kitchen.bench.lease("1", "image", payload=body))
    assert (kitchen.bench.store.rows["1"].state is JobState.WAITING) is waits


async def test_four_variations_come_in_one_message(kitchen: Kitchen) -> None:
    """The same words with four seeds, each a call of its own; a variation is not made larger, since there are four."""
    kitchen.stability.script = [b"one", b"two", b"three", b"four", b"unused"]
    message = await kitchen.ask("image", ASKED, derived=VARY)
    assert [file.filename for file in message.attachments] == [f"image-{n}.png" for n in (1, 2, 3, 4)]
    assert {file.data for file in message.attachments} == {b"one", b"two", b"three", b"four"}
    requests = kitchen.stability.requests
    assert {(request.prompt, request.aspect_ratio) for request in requests} == {("고양이", "16:9")}
    assert {request.seed for request in requests} == set(seeds("1", VARIATIONS))
    assert actions(message) == ["again", "vary", "delete", "ratio"]
    assert "가운데" not in message.content
    assert used(kitchen) == Usage(images=4, micro_usd=120_000)


async def test_the_other_provider_helps_out_with_variations(kitchen: Kitchen) -> None:
    """What one can't draw the other does, each by itself, and both are named."""
    kitchen.stability.script = [b"one", ProviderRateLimited("429")]
    message = await kitchen.ask("image", ASKED, derived=VARY)
    assert sorted(file.data for file in message.attachments) == [b"mini", b"mini", b"mini", b"one"]
    assert "Stability · Minimax" in message.content


async def test_fewer_variations_are_shown_and_counted(kitchen: Kitchen) -> None:
    """Two refused, one too large: what there is comes with a line that says so, and what was drawn is counted."""
    kitchen.stability.script = [b"one", b"x" * 1001, ProviderRefused("policy")]
    message = await kitchen.ask("image", ASKED, derived=VARY, size_limit=1000)
    assert [file.data for file in message.attachments] == [b"one"]
    assert message.content.endswith("나머지는 그리지 못했거나 여기 첨부하기에 너무 커요.")
    assert "4장 가운데 1장" in message.content
    assert used(kitchen).images == 2


async def test_variations_fit_into_one_request(kitchen: Kitchen) -> None:
    """Symptom in waiting: four pictures, each within the limit for a file, of 28 MB together, and a 413 from Discord.

    Rule: as many as fit are sent, and the line says so; where one file may be larger than that, so may all.
    """
    kitchen.stability.script = [bytes(7_000_000)]
    message = await kitchen.ask("image", ASKED, derived=VARY, size_limit=10_000_000)
    assert len(message.attachments) == 3
    assert "4장 가운데 3장" in message.content
    message = await kitchen.ask("image", ASKED, derived=VARY, size_limit=50_000_000, job_id="2")
    assert len(message.attachments) == 4


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([ProviderRefused("policy")], "ProviderRefused"),
        ([b"x" * 1001], "PictureTooLarge"),
        ([ProviderRefused("policy"), ProviderKeyRejected("401")], "ProviderRefused"),
        ([RuntimeError("a bug"), ProviderRefused("policy")], "RuntimeError"),
    ],
)
async def test_no_variation_at_all_is_a_failure(kitchen: Kitchen, script: list[Any], error: str) -> None:
    """The sentence is that of what went wrong; a failure that does not concern a key decides."""
    kitchen.stability.script, kitchen.minimax.script = script, [ProviderKeyRejected("401")]
    await kitchen.ask("image", ASKED, derived=VARY, size_limit=1000)
    assert kitchen.outcome[1] == error


def test_seeds_differ_and_stay() -> None:
    """A job that is run again draws the same, and another job something else; all fit both providers."""
    assert seeds("1", 4) == seeds("1", 4)
    assert len({*seeds("1", 4), *seeds("2", 4)}) == 8
    assert all(1 <= seed < 2**31 for seed in seeds("1", 100))


async def test_stopped_variations_keep_those_that_are_done(kitchen: Kitchen) -> None:
    """Stop pressed after one picture: that one is shown, and the other calls are ended."""
    ended = []

    async def slow() -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return b"never"

    kitchen.stability.script = [b"one", slow]
    job = await kitchen.bench.lease("1", "image", payload=asking("1", ASKED, derived=VARY))
    running = asyncio.create_task(kitchen.run(job))
    await wait_until(lambda: len(kitchen.stability.requests) == VARIATIONS, 5, "the calls to be made")
    kitchen.bench.runner.stop("1")
    message = await running
    assert [file.data for file in message.attachments] == [b"one"]
    assert "4장 가운데 1장" in message.content
    assert "⏹" in message.content
    assert ended == ["cancelled"] * 3


async def test_variations_stopped_before_any_is_done_say_so(kitchen: Kitchen) -> None:
    """Nothing to show is no answer: the runner's sentence stands."""

    async def slow() -> bytes:
        await asyncio.Event().wait()
        return b"never"

    kitchen.stability.script = [slow]
    job = await kitchen.bench.lease("1", "image", payload=asking("1", ASKED, derived=VARY))
    running = asyncio.create_task(kitchen.run(job))
    await wait_until(lambda: len(kitchen.stability.requests) == VARIATIONS, 5, "the calls to be made")
    kitchen.bench.runner.stop("1")
    message = await running
    assert message.attachments == ()
    assert kitchen.outcome[0] is Outcome.STOPPED


def pressed(size: int = 500) -> dict[str, Any]:
    """Return what the upscale button says of the picture."""
    return {"action": "upscale", "of": "9", "image": {"url": URL, "size": size, "content_type": "image/png"}}


async def test_a_picture_is_made_larger(kitchen: Kitchen) -> None:
    """Fetched from Discord, given to the one that can; not offered to be made larger still."""
    kitchen.shelf.files[URL] = png_head(1024, 1024)
    kitchen.stability.upscale_script = [png_head(2048, 2048)]
    message = await kitchen.ask("image", ASKED, derived=pressed())
    assert kitchen.stability.enlarged == [(png_head(1024, 1024), "고양이")]
    assert (kitchen.stability.requests, kitchen.minimax.requests) == ([], [])
    assert message.attachments[0].data == png_head(2048, 2048)
    assert "1024×1024 → 2048×2048" in message.content
    assert actions(message) == ["again", "vary", "delete"]
    assert used(kitchen) == Usage(images=1, enlarged=1)


async def test_what_can_not_be_made_larger_is_told(kitchen: Kitchen) -> None:
    """The provider's no becomes a sentence about the picture, not about the words."""
    kitchen.shelf.files[URL] = png_head(4000, 4000)
    kitchen.stability.upscale_script = [ProviderBadInput("too large")]
    message = await kitchen.ask("image", ASKED, derived=pressed())
    assert "더 크게 만들 수 없어요" in message.content
    assert kitchen.outcome == (Outcome.FAILED, "ProviderBadInput")


async def test_only_stability_makes_pictures_larger(kitchen: Kitchen) -> None:
    """Its key is not accepted: the user hears that nobody else can."""
    kitchen.shelf.files[URL] = png_head(1024, 1024)
    kitchen.stability.upscale_script = [ProviderKeyRejected("401", provider="stability")]
    message = await kitchen.ask("image", ASKED, derived=pressed())
    assert "Stability AI만" in message.content


@pytest.mark.parametrize("image", [None, "x", {}, {"url": 7}])
async def test_a_press_without_a_picture_is_told(kitchen: Kitchen, image: Any) -> None:
    """A recorded press that names no picture ends in a sentence."""
    await kitchen.ask("image", ASKED, derived={**pressed(), "image": image})
    assert kitchen.outcome == (Outcome.FAILED, "AttachmentUnavailable")


async def test_a_larger_picture_too_large_to_attach_is_told(kitchen: Kitchen) -> None:
    """The limit holds here, too."""
    kitchen.shelf.files[URL] = png_head(1024, 1024)
    kitchen.stability.upscale_script = [b"x" * 1001]
    message = await kitchen.ask("image", ASKED, derived=pressed(), size_limit=1000)
    assert PictureTooLarge.sentence.ko in message.content


def test_there_are_as_many_styles_as_a_menu_likes() -> None:
    """At most twelve, each in both languages, named as Stability names them."""
    assert 0 < len(STYLES) <= 12
    assert all(name.ko and name.en for name in STYLES.values())
