"""`/비디오`: paid for once, followed to its end, by the key that made it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.balancing.budget import KeySnapshot
from app.errors import (
    ProviderBadAnswer,
    ProviderError,
    ProviderKeyRejected,
    ProviderNotReached,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    VideoTaskFailed,
    VideoUnknown,
)
from app.jobs.job import JobState, Outcome
from app.providers.base import VideoFile, VideoStage, VideoStatus
from tests.unit.commands_jobs.kitchen import Kitchen
from tests.unit.worker.bench_worker import payload

ASKED = {"설명": "파도"}


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


async def test_the_file_is_attached(kitchen: Kitchen) -> None:
    """Created once, polled until done, fetched, and the pin is gone in the end."""
    message = await kitchen.serve("video", ASKED)
    (file,) = message.attachments
    assert (file.filename, file.media_type, file.data) == ("video.mp4", "video/mp4", b"video")
    assert (kitchen.studio.created, kitchen.studio.polled) == (1, ["task-1", "task-1"])
    assert kitchen.bench.store.calls.count("checkpoint") == 2
    assert kitchen.bench.store.rows["1"].pinned is None


async def test_steps_are_recorded_around_the_create_call(kitchen: Kitchen) -> None:
    """Before it that it may happen, after it the task, tied to this instance."""
    row: dict[str, Any] = {}

    async def create() -> str:
        row["during"] = dict(kitchen.bench.store.rows["1"].job.checkpoint)
        return "task-9"

    async def poll() -> VideoStatus:
        stored = kitchen.bench.store.rows["1"]
        row["after"] = (dict(stored.job.checkpoint), stored.pinned)
        return VideoStatus(VideoStage.SUCCEEDED, "f")

    kitchen.studio.create_script, kitchen.studio.poll_script = [create], [poll]
    await kitchen.serve("video", ASKED)
    assert row["during"] == {"step": "submitting"}
    assert row["after"] == ({"step": "submitted", "task_id": "task-9"}, 1)


@pytest.mark.parametrize("error", [ProviderTimeout("60 s"), ProviderUnavailable("reset"), ProviderBadAnswer("cut")])
async def test_an_unclear_create_is_told_and_never_repeated(kitchen: Kitchen, error: ProviderError) -> None:
    """Nobody knows whether it was made, so nobody pays twice."""
    kitchen.studio.create_script = [error]
    message = await kitchen.serve("video", ASKED)
    assert VideoUnknown.sentence.ko in message.content
    assert kitchen.studio.created == 1


@pytest.mark.parametrize(
    "error", [ProviderRefused("policy"), ProviderQuotaExhausted("1008"), ProviderNotReached("no connection")]
)
async def test_a_clear_no_leaves_nothing_behind(kitchen: Kitchen, error: ProviderError) -> None:
    """The provider said no, so the sentence says that, and the checkpoint is cleared."""
    kitchen.studio.create_script = [error]
    message = await kitchen.serve("video", ASKED)
    assert error.sentence.ko in message.content
    assert kitchen.bench.store.rows["1"].job.checkpoint == {}


async def test_a_rate_limit_on_creating_sends_the_job_back_clean(kitchen: Kitchen) -> None:
    """Another run may create it: nothing was made."""
    kitchen.studio.create_script = [ProviderRateLimited("429", retry_after=5), "task-2"]
    await kitchen.bench.runner.run(await kitchen.bench.lease("1", "video", payload=payload("1", ASKED)))
    assert kitchen.bench.store.rows["1"].state is JobState.WAITING
    assert kitchen.bench.store.rows["1"].job.checkpoint == {}


async def test_a_crash_between_call_and_record_is_told(kitchen: Kitchen) -> None:
    """Found in `submitting`: no second create call, whoever finds it."""
    job = await kitchen.bench.lease("1", "video", payload=payload("1", ASKED))
    await kitchen.bench.store.checkpoint(job, {"step": "submitting"})
    message = await kitchen.run(await kitchen.bench.crash(job))
    assert VideoUnknown.sentence.ko in message.content
    assert kitchen.studio.created == 0


async def test_a_submitted_task_is_only_polled_after_a_crash(kitchen: Kitchen) -> None:
    """What was paid for is followed to its end."""
    job = await kitchen.bench.lease("1", "video", payload=payload("1", ASKED))
    await kitchen.bench.store.checkpoint(job, {"step": "submitted", "task_id": "old-task"}, pin=True)
    message = await kitchen.run(await kitchen.bench.crash(job))
    assert message.attachments
    assert (kitchen.studio.created, set(kitchen.studio.polled)) == (0, {"old-task"})


async def test_polls_that_fail_say_nothing_of_the_task(kitchen: Kitchen) -> None:
    """Time-outs, 5xx, 429 and garbage between the polls don't end it."""
    kitchen.studio.poll_script = [
        ProviderTimeout("20 s"), ProviderUnavailable("503"), ProviderRateLimited("429"), ProviderBadAnswer("cut"),
        VideoStatus(VideoStage.SUCCEEDED, "f"),
    ]  # fmt: skip
    kitchen.studio.retrieve_script = [ProviderUnavailable("503"), VideoFile("https://files.test/v.mp4", None)]
    message = await kitchen.serve("video", ASKED)
    assert message.attachments
    assert kitchen.studio.created == 1


@pytest.mark.parametrize("error", [VideoTaskFailed("1000"), ProviderRefused("1027")])
async def test_a_task_that_failed_is_told(kitchen: Kitchen, error: ProviderError) -> None:
    """With the reason the provider gave, and without a second task."""
    kitchen.studio.poll_script = [VideoStatus(VideoStage.QUEUED), error]
    message = await kitchen.serve("video", ASKED)
    assert error.sentence.ko in message.content
    assert kitchen.studio.created == 1


@pytest.mark.parametrize("error", [ProviderKeyRejected("401"), ProviderQuotaExhausted("no credit")])
async def test_a_key_rejected_in_mid_poll_ends_it(kitchen: Kitchen, error: ProviderError) -> None:
    """Symptom: one video job kept an instance leasing, polling and handing back in a circle without a pause.

    Cause: another instance had a usable key, so the job went back; but it was pinned, and came straight back here.
    Rule: a task can't be followed by another key, so such an error ends it.
    """
    await kitchen.bench.other(2, keys={"minimax": KeySnapshot()})
    kitchen.studio.poll_script = [error]
    message = await kitchen.serve("video", ASKED)
    assert VideoTaskFailed.sentence.ko in message.content
    assert len(kitchen.studio.polled) == 1


async def test_a_task_that_takes_too_long_is_told_in_time(kitchen: Kitchen) -> None:
    """The sentence comes before the token's end."""
    kitchen.studio.poll_script = [VideoStatus(VideoStage.PROCESSING)]
    message = await kitchen.serve("video", ASKED)
    assert ProviderTimeout.sentence.ko in message.content
    assert 800 < kitchen.clock.elapsed < 865


async def test_nothing_is_created_that_could_not_be_delivered(kitchen: Kitchen) -> None:
    """With little time left nobody pays, and no create call can be cut off unheard."""
    job = await kitchen.bench.lease("1", "video", payload=payload("1", ASKED), expires_at=kitchen.clock.now() + 20 + 89)
    await kitchen.run(job)
    assert kitchen.studio.created == 0
    assert kitchen.outcome == (Outcome.FAILED, "ProviderTimeout")


@pytest.mark.parametrize(
    ("retrieved", "downloaded", "fetched"),
    [
        (VideoFile("https://files.test/v.mp4", 10**9), b"never", 0),
        (VideoFile("https://files.test/v.mp4", None), None, 1),
        (VideoFile("https://files.test/v.mp4", 5), ProviderUnavailable("cut"), 1),
    ],
    ids=["known too large", "found too large", "download failed"],
)
async def test_what_can_not_be_attached_is_linked(
    kitchen: Kitchen, retrieved: VideoFile, downloaded: object, fetched: int
) -> None:
    """The paid video is not thrown away: its link is given, and says how long it lives."""
    kitchen.studio.retrieve_script, kitchen.studio.download_script = [retrieved], [downloaded]
    message = await kitchen.serve("video", ASKED)
    assert "https://files.test/v.mp4" in message.content and "1시간" in message.content
    assert (message.attachments, kitchen.studio.fetched) == ((), fetched)
    assert kitchen.outcome == (Outcome.ANSWERED, "")


async def test_a_cancelled_create_is_found_as_unknown(kitchen: Kitchen) -> None:
    """An orderly stop in mid-call is no different from a crash: told, never repeated."""
    reached = asyncio.Event()

    async def hang() -> str:
        reached.set()
        await asyncio.Event().wait()
        return ""

    kitchen.studio.create_script = [hang]
    job = await kitchen.bench.lease("1", "video", payload=payload("1", ASKED))
    task = asyncio.create_task(kitchen.bench.runner.run(job))
    await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    message = await kitchen.run(await kitchen.bench.crash(job))
    assert VideoUnknown.sentence.ko in message.content
    assert kitchen.studio.created == 1
