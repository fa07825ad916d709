"""`/비디오`: the picture it begins with, and what a stop costs at each step."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import ProviderRateLimited, ProviderUnavailable, VideoUnknown
from app.jobs.job import JobState, Outcome
from app.providers.base import VideoStage, VideoStatus
from app.userdata.usage import Usage
from app.worker.kept import unpack
from tests.kit.waiting import wait_until
from tests.unit.commands_jobs.kitchen import Kitchen, asking
from tests.unit.commands_jobs.test_attachments import URL, png
from tests.unit.commands_jobs.test_drawing import actions
from tests.unit.providers.subjects import png_head

ASKED = {"설명": "파도"}


class Pause:
    """A step that waits until it is let go on, then returns or raises what it was made with."""

    def __init__(self, outcome: object) -> None:
        self.begun, self.over = asyncio.Event(), asyncio.Event()
        self.outcome = outcome

    async def __call__(self) -> object:
        self.begun.set()
        await self.over.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


def used(kitchen: Kitchen) -> Usage:
    """Return what the job took, as it was kept."""
    result = kitchen.bench.store.rows["1"].job.result
    assert result is not None
    return unpack(result).usage


async def stopped_in(kitchen: Kitchen, pause: Pause) -> asyncio.Task[None]:
    """Run the job up to `pause` and press stop there."""
    job = await kitchen.bench.lease("1", "video", payload=asking("1", ASKED))
    running = asyncio.create_task(kitchen.bench.runner.run(job))
    await wait_until(pause.begun.is_set, 5, "the step to begin")
    kitchen.bench.runner.stop("1")
    return running


async def test_a_video_begins_with_the_picture(kitchen: Kitchen) -> None:
    """Fetched before anything is recorded as being paid for, and sent as what its bytes are."""
    kitchen.shelf.files[URL] = png_head(640, 480)
    await kitchen.ask("video", {**ASKED, "첫장면": "11"}, files=png(640, 480))
    (request,) = kitchen.studio.requests
    assert request.prompt == "파도"
    assert request.first_frame.startswith("data:image/png;base64,")


async def test_a_video_has_its_buttons_and_is_counted(kitchen: Kitchen) -> None:
    """Again and delete; one video, at the operator's price."""
    message = await kitchen.ask("video", ASKED)
    assert actions(message) == ["again", "delete"]
    assert used(kitchen) == Usage(videos=1, micro_usd=500_000)


async def test_a_first_frame_that_is_gone_costs_nothing(kitchen: Kitchen) -> None:
    """No create call was made, and none is thought to have been: the checkpoint is empty."""
    await kitchen.ask("video", {**ASKED, "첫장면": "11"}, files=png(640, 480))
    assert kitchen.studio.created == 0
    assert kitchen.bench.store.rows["1"].job.checkpoint == {}


async def test_a_stop_before_the_order_is_free(kitchen: Kitchen) -> None:
    """While the first frame is still being fetched nothing has been ordered, and nothing is after."""
    pause = Pause(None)

    async def fetch(url: str, *, max_bytes: int, timeout_s: float) -> bytes:
        await pause()
        raise AssertionError("it was stopped")

    kitchen.shelf.fetch = fetch  # type: ignore[method-assign]
    body = asking("1", {**ASKED, "첫장면": "11"}, files=png(640, 480))
    job = await kitchen.bench.lease("1", "video", payload=body)
    running = asyncio.create_task(kitchen.run(job))
    await wait_until(pause.begun.is_set, 5, "the file to be fetched")
    kitchen.bench.runner.stop("1")
    message = await running
    assert "비용은 들지 않았어요" in message.content
    assert kitchen.studio.created == 0
    assert kitchen.outcome[0] is Outcome.STOPPED


async def test_a_stop_during_the_order_waits_for_what_it_cost(kitchen: Kitchen) -> None:
    """Cut off, nobody would know whether it was paid; heard out, the user does. Nothing is polled after."""
    pause = Pause("task-1")
    kitchen.studio.create_script = [pause]
    running = await stopped_in(kitchen, pause)
    await asyncio.sleep(0)
    assert not running.done()
    pause.over.set()
    await running
    (message,) = kitchen.bench.discord.finals
    assert "비용이 들었어요" in message.content
    assert (kitchen.studio.created, kitchen.studio.polled) == (1, [])
    assert kitchen.outcome[1] == "Stopped"
    assert used(kitchen).videos == 1


async def test_a_stopped_order_that_was_lost_is_unknown(kitchen: Kitchen) -> None:
    """The answer never came: that is told, as it would be without a stop."""
    pause = Pause(ProviderUnavailable("reset"))
    kitchen.studio.create_script = [pause]
    running = await stopped_in(kitchen, pause)
    pause.over.set()
    await running
    (message,) = kitchen.bench.discord.finals
    assert VideoUnknown.sentence.ko in message.content


async def test_a_stopped_order_that_was_declined_leaves_nothing_behind(kitchen: Kitchen) -> None:
    """The provider said no, so nothing was paid and no task is followed; the job may go back, to be ended there."""
    pause = Pause(ProviderRateLimited("429", retry_after=5))
    kitchen.studio.create_script = [pause]
    running = await stopped_in(kitchen, pause)
    pause.over.set()
    await running
    row = kitchen.bench.store.rows["1"]
    assert (row.state, row.job.checkpoint) == (JobState.WAITING, {})


async def test_a_stop_after_the_order_ends_the_wait(kitchen: Kitchen) -> None:
    """The poll under way is ended; the user hears that it was paid for, and it counts."""
    pause = Pause(VideoStatus(VideoStage.PROCESSING))
    kitchen.studio.poll_script = [pause]
    running = await stopped_in(kitchen, pause)
    await running
    (message,) = kitchen.bench.discord.finals
    assert "비용이 들었어요" in message.content
    assert actions(message) == ["again", "delete"]
    assert used(kitchen) == Usage(videos=1, micro_usd=500_000)


async def test_the_end_of_the_process_is_no_stop(kitchen: Kitchen) -> None:
    """A drain during the order ends the call, and the job is found in `submitting`: unknown, never ordered again."""
    pause = Pause("task-1")
    kitchen.studio.create_script = [pause]
    job = await kitchen.bench.lease("1", "video", payload=asking("1", ASKED))
    running = asyncio.create_task(kitchen.bench.runner.run(job))
    await wait_until(pause.begun.is_set, 5, "the step to begin")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    row = kitchen.bench.store.rows["1"]
    assert (row.state, row.job.checkpoint) == (JobState.WAITING, {"step": "submitting"})
    await kitchen.run(await kitchen.bench.lease("1"))
    assert kitchen.outcome == (Outcome.FAILED, "VideoUnknown")
    assert kitchen.studio.created == 1
