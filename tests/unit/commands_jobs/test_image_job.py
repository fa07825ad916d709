"""`/이미지`: one provider, then the other, and an honest word where neither can."""

from __future__ import annotations

import pytest

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
from tests.unit.commands_jobs.kitchen import Kitchen
from tests.unit.worker.bench_worker import payload

ASKED = {"설명": "고양이", "비율": "16:9"}


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


async def test_the_first_provider_draws(kitchen: Kitchen) -> None:
    """Its picture is attached with the words as its description, and the other is not asked."""
    message = await kitchen.serve("image", ASKED)
    (file,) = message.attachments
    assert (file.data, file.filename, file.description) == (b"stable", "image.png", "고양이")
    assert [(r.prompt, r.aspect_ratio) for r in kitchen.stability.requests] == [("고양이", "16:9")]
    assert kitchen.minimax.requests == []


@pytest.mark.parametrize(
    "error", [ProviderUnavailable("503"), ProviderRateLimited("429"), ProviderKeyRejected("401")], ids=lambda e: str(e)
)
async def test_what_the_first_can_not_the_second_can(kitchen: Kitchen, error: ProviderError) -> None:
    """Down, at its limit or rejected: the picture comes from MiniMax, with the same words and ratio."""
    kitchen.stability.script = [error]
    message = await kitchen.serve("image", ASKED)
    assert message.attachments[0].data == b"mini"
    assert "Minimax" in message.content
    assert kitchen.minimax.requests == kitchen.stability.requests[:1]


@pytest.mark.parametrize("error", [ProviderRefused("policy"), ProviderBadInput("too odd")])
async def test_a_refusal_is_not_carried_elsewhere(kitchen: Kitchen, error: ProviderError) -> None:
    """What one content policy refused is not tried on another provider."""
    kitchen.stability.script = [error]
    message = await kitchen.serve("image", ASKED)
    assert error.sentence.ko in message.content
    assert kitchen.minimax.requests == []


async def test_a_dead_key_and_a_failing_provider_end_at_once(kitchen: Kitchen) -> None:
    """Symptom: a job was tried at MiniMax over and over for a quarter of an hour, each time at a cost.

    Cause: the first failure concerned a key, so the job went back to the queue, and to this instance again. Rule: a
    failure that does not concern a key decides.
    """
    kitchen.stability.script = [ProviderKeyRejected("401")]
    kitchen.minimax.script = [ProviderUnavailable("503")]
    await kitchen.serve("image", ASKED)
    assert kitchen.outcome == (Outcome.FAILED, "ProviderUnavailable")
    assert len(kitchen.minimax.requests) == 3


async def test_two_resting_keys_send_the_job_back(kitchen: Kitchen) -> None:
    """Nobody sees anything of it; the job waits for the first key that is well again."""
    for painter in (kitchen.stability, kitchen.minimax):
        painter.script = [ProviderRateLimited("429", retry_after=10)]
    await kitchen.bench.runner.run(await kitchen.bench.lease("1", "image", payload=payload("1", ASKED)))
    row = kitchen.bench.store.rows["1"]
    assert (row.state, row.job.attempts, kitchen.bench.discord.finals) == (JobState.WAITING, 0, [])


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False)])
async def test_a_picture_too_large_is_called_that(kitchen: Kitchen, size: int, fits: bool) -> None:
    """Symptom: "an answer that could not be read" for a picture that was merely too large for this server.

    Rule: the sentence names the true reason; up to the limit, the last byte included, it is sent.
    """
    kitchen.stability.script = [b"x" * size]
    message = await kitchen.serve("image", ASKED, size_limit=1000)
    assert bool(message.attachments) is fits
    assert (PictureTooLarge.sentence.ko in message.content) is not fits
