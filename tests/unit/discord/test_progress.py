"""Progress edits: best effort, never in the final answer's way."""

from __future__ import annotations

import asyncio
import contextlib

import httpx2
import pytest

from app.discord.token_states import CLOSED_TOKEN_MEMORY_S, GENERATION_S, RESET_MARGIN_S
from app.errors import AnswerGone
from tests.kit.waiting import wait_turns_until
from tests.unit.discord.conftest import MakeBench
from tests.unit.discord.scripted import TOKEN, error, limited, ok


@pytest.mark.parametrize(
    "failure",
    [
        limited(0.1),
        httpx2.Response(500),
        httpx2.ConnectError("refused"),
        error(404, 10015),
        error(400, 50035),
        error(413, 40005),
    ],
)
async def test_progress_that_fails_is_dropped(bench: MakeBench, failure: httpx2.Response | Exception) -> None:
    """One call, no exception, and the final edit goes out afterwards."""
    b = await bench(failure)
    assert await b.progress() is False
    assert len(b.discord.calls) == 1
    assert await b.final()


async def test_progress_learns_that_the_message_was_deleted(bench: MakeBench) -> None:
    """The worker hears it in time to stop paying for an answer nobody will see; nothing more is sent."""
    b = await bench(error(404, 10008))
    with pytest.raises(AnswerGone):
        await b.progress()
    with pytest.raises(AnswerGone):
        await b.final()
    assert len(b.discord.calls) == 1


async def test_progress_waits_a_second_at_most(bench: MakeBench) -> None:
    """A short reset is waited for, a longer one drops the edit without a call."""
    b = await bench(ok(remaining=0, reset_after=0.8), ok(remaining=0, reset_after=1.2))
    assert await b.progress("1")
    assert await b.progress("2")
    assert b.discord.times == pytest.approx([0, 0.8 + RESET_MARGIN_S])
    assert not await b.progress("3")
    assert b.discord.times == pytest.approx([0, 0.8 + RESET_MARGIN_S])


async def test_progress_leaves_one_call_for_the_final_edit(bench: MakeBench) -> None:
    """With one call left before the reset, progress is dropped and the final edit goes out at once."""
    b = await bench(ok(remaining=1, reset_after=60))
    assert await b.progress("1")
    assert not await b.progress("2")
    assert await b.final("3")
    assert b.discord.contents == ["1", "3"]
    assert b.clock.elapsed == 0


async def test_a_final_edit_waits_for_progress_in_flight_and_overtakes_what_waits(bench: MakeBench) -> None:
    """Of three progress edits and a final one, the first and the final are sent, one after the other."""
    b = await bench()
    b.discord.latency = 0.5
    progress = [asyncio.create_task(b.progress(f"progress {n}")) for n in range(3)]
    await wait_turns_until(lambda: len(b.discord.calls) == 1, description="progress in flight")
    assert await b.final()
    assert [await task for task in progress] == [True, False, False]
    assert b.discord.contents == ["progress 0", "answer"]
    assert b.discord.times == [0, 0.5]
    assert b.discord.overlaps == 0


async def test_no_progress_after_the_final_edit(bench: MakeBench) -> None:
    """A progress edit that comes late does not overwrite the answer, whether the final one runs or is done."""
    b = await bench(httpx2.Response(500))
    final = asyncio.create_task(b.final())
    await wait_turns_until(lambda: len(b.discord.calls) == 1, description="final edit begun")
    assert not await b.progress()
    assert await final
    assert not await b.progress()
    assert b.discord.contents == ["answer", "answer"]


async def test_cancelled_progress_is_over_before_the_final_edit_starts(bench: MakeBench) -> None:
    """Symptom: the answer was replaced by its own beginning. Cause: a cancelled progress call that Discord had
    already received was applied after the final one. Rule: a call in flight keeps the token until it has ended."""
    b = await bench()
    b.discord.latency = 2.0
    progress = asyncio.create_task(b.progress())
    await wait_turns_until(lambda: len(b.discord.calls) == 1, description="progress in flight")
    progress.cancel()
    assert await b.final()
    with contextlib.suppress(asyncio.CancelledError):
        await progress
    assert progress.cancelled()
    assert b.discord.times == [0, 2]
    assert b.discord.overlaps == 0


async def test_calls_for_one_token_keep_their_order_and_others_run_beside(bench: MakeBench) -> None:
    """Forty tokens with three edits each: never two calls at once for a token, and no token waits for another."""
    b = await bench()
    b.discord.latency = 0.5

    async def job(token: str) -> None:
        assert await b.progress("1", token)
        assert await b.progress("2", token)
        assert await b.final("3", token)

    await asyncio.gather(*(job(f"token-{n}") for n in range(40)))
    for n in range(40):
        contents = [call.json["content"] for call in b.discord.calls if call.token == f"token-{n}"]
        assert contents == ["1", "2", "3"]
    assert b.discord.overlaps == 0
    assert b.clock.elapsed == pytest.approx(1.5)


async def test_finished_tokens_leave_nothing_behind(bench: MakeBench) -> None:
    """After a hundred jobs of every ending no token is open, and little more than a minute later none is known."""
    endings = [ok(), error(404, 10008), error(400, 50035), limited(0.1), httpx2.Response(500)]
    b = await bench(*endings * 20)
    for n in range(100):
        with contextlib.suppress(Exception):
            await b.final(token=f"token-{n}")
    assert b.client.open_tokens == 0
    assert b.client.remembered_tokens == 100
    await b.clock.sleep(CLOSED_TOKEN_MEMORY_S - 1)
    assert b.client.remembered_tokens > 0
    await b.clock.sleep(1 + GENERATION_S)
    assert b.client.remembered_tokens == 0


async def test_a_job_that_moved_away_is_forgotten_when_its_token_dies(bench: MakeBench) -> None:
    """Progress without a final edit, because another instance took over: the state goes with the token."""
    b = await bench()
    assert await b.progress(token=TOKEN)
    assert b.client.open_tokens == 1
    await b.clock.sleep(14 * 60)
    assert b.client.open_tokens == 0
    assert b.client.remembered_tokens == 0
