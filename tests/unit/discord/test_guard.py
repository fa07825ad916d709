"""The invalid-response guard: Discord bans an address for 10,000 responses of 401, 403 and 429 in ten minutes."""

from __future__ import annotations

import asyncio
import itertools

import httpx2
import pytest

from app.discord.rate_limits import InvalidResponseGuard
from app.errors import AnswerGone, AnswerRejected, DiscordUnavailable
from tests.kit.clock import FakeClock
from tests.unit.discord.conftest import Bench, MakeBench
from tests.unit.discord.scripted import error, limited


async def test_only_what_discord_counts_is_counted(bench: MakeBench) -> None:
    """401, 403 and 429 count, a shared 429 and a 404 don't; after ten minutes nothing is left."""
    b = await bench(error(401, 50027), error(403, 50013), limited(1), limited(1, scope="shared"), error(404, 10008))
    for token, ending in (("a", AnswerGone), ("b", AnswerRejected), ("c", AnswerGone)):
        with pytest.raises(ending):
            await b.final(token=token)
    assert b.client.invalid_responses == 3
    await b.clock.sleep(601)
    assert b.client.invalid_responses == 0


async def spoil(b: Bench, times: int) -> None:
    """Let `times` finals end in a 401."""
    b.discord.answers[:0] = [error(401, 50027) for _ in range(times)]
    for _ in range(times):
        with pytest.raises(AnswerGone):
            await b.final(token=f"spoilt-{len(b.discord.calls)}")


async def test_a_strained_guard_withholds_progress_and_tries_one_final_first(bench: MakeBench) -> None:
    """From 60 % of the limit on no progress is sent; one final waits and tries, the others go after its success."""
    b = await bench(invalid_limit=10)
    await spoil(b, 5)
    assert await b.progress()
    await spoil(b, 1)
    assert not await b.progress(token="other")
    calls = len(b.discord.calls)
    await asyncio.gather(*(b.final(token=f"good-{n}") for n in range(4)))
    times = b.discord.times[calls:]
    assert len(times) == 4
    assert times == [times[0]] * 4


async def test_no_ten_minutes_hold_more_invalid_responses_than_the_limit(bench: MakeBench) -> None:
    """With every token dead and 200 answers to give, ten at a time, no window sees more than 25 invalid responses."""
    b = await bench(*[error(401, 50027) for _ in range(200)])
    queue = [f"token-{n}" for n in range(200)]

    async def worker() -> None:
        while queue:
            with pytest.raises((AnswerGone, DiscordUnavailable)):
                await b.final(token=queue.pop())

    await asyncio.gather(*(worker() for _ in range(10)))
    times = b.discord.times
    assert all(sum(start <= at < start + 600 for at in times) <= 25 for start in times)
    assert b.clock.elapsed <= 14 * 60


async def test_answers_go_on_when_discord_takes_them_again(bench: MakeBench) -> None:
    """After a bad spell a good answer waits seconds, not minutes."""
    b = await bench(invalid_limit=10)
    await spoil(b, 7)
    before = b.clock.elapsed
    assert await b.final(token="good")
    assert b.clock.elapsed - before <= 8


async def test_a_success_ends_the_gap(bench: MakeBench) -> None:
    """Of three answers after a bad spell only the first waits for the grown gap: Discord takes them again."""
    b = await bench(invalid_limit=10)
    await spoil(b, 9)
    calls = len(b.discord.calls)
    for n in range(3):
        assert await b.final(token=f"good-{n}")
    first, second, third = b.discord.times[calls:]
    assert first - b.discord.times[calls - 1] == 16
    assert first == second == third


async def test_finals_of_a_strained_guard_never_overlap(bench: MakeBench) -> None:
    """A call that takes longer than the gap is awaited: its response may be the one that closes the guard."""
    b = await bench(invalid_limit=10)
    await spoil(b, 6)
    calls = len(b.discord.calls)
    b.discord.latency = 5.0
    await asyncio.gather(*(b.final(token=f"good-{n}") for n in range(3)))
    times = b.discord.times[calls:]
    assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(times))


async def test_a_global_limit_met_while_waiting_for_a_turn_is_obeyed(bench: MakeBench) -> None:
    """The token whose turn comes after another's global 429 waits for its end too."""
    b = await bench(invalid_limit=10)
    await spoil(b, 6)
    b.discord.answers = [limited(30, everywhere=True)]
    started, calls = b.clock.elapsed, len(b.discord.calls)
    await asyncio.gather(b.final(token="one"), b.final(token="two"))
    first, *later = b.discord.times[calls:]
    assert len(later) == 2
    assert all(at - first >= 30 for at in later)
    assert first - started <= 8


async def test_the_gap_doubles_with_each_further_invalid_response() -> None:
    """Four seconds, then eight; a success ends it, and the next invalid response begins anew with one."""
    clock = FakeClock()
    guard = InvalidResponseGuard(clock, limit=20)
    for _ in range(12):
        guard.saw_invalid()
    starts = []
    for _ in range(3):
        async with guard.turn(deadline=clock.monotonic() + 100):
            starts.append(clock.elapsed)
            guard.saw_invalid()
    guard.saw_success()
    async with guard.turn(deadline=clock.monotonic() + 100):
        starts.append(clock.elapsed)
    async with guard.turn(deadline=clock.monotonic() + 100):
        guard.saw_invalid()
    async with guard.turn(deadline=clock.monotonic() + 100):
        starts.append(clock.elapsed)
    assert starts == [0, 4, 12, 12, 13]


async def test_a_500_costs_no_invalid_response(bench: MakeBench) -> None:
    """Server errors never strain the guard."""
    b = await bench(*[httpx2.Response(500) for _ in range(30)])
    assert await b.final()
    assert b.client.invalid_responses == 0
