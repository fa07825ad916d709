"""How often a growing answer is shown: as often as Discord allows, and never once more."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.discord.token_states import PROGRESS_EVERY_S, RESET_MARGIN_S
from app.discord.webhook import FollowUpClient
from tests.kit.clock import FakeClock
from tests.unit.discord.conftest import Bench, MakeBench
from tests.unit.discord.scripted import API_URL, APPLICATION, TOKEN, LimitedDiscord, limited, ok


async def stream(b: Bench, seconds: float, token: str = TOKEN) -> None:
    """Show a growing answer for so long, as fast as the pace allows, then the answer and two further messages."""
    end = b.clock.elapsed + seconds
    n = 0
    while b.clock.elapsed < end:
        await b.clock.sleep(b.client.pace(token))
        n += 1
        await b.progress(f"{n} \u258c", token)
    assert await b.final(token=token)
    await b.post("part 1", token)
    await b.post("part 2", token)


def shown_at(b: Bench, token: str = TOKEN) -> list[float]:
    """Return when the growing answer was shown."""
    return [
        call.at for call in b.discord.calls
        if call.token == token and call.request.method == "PATCH" and call.json["content"].endswith("\u258c")
    ]  # fmt: skip


async def test_a_minute_of_streaming_meets_no_limit(bench: MakeBench) -> None:
    """Both of Discord's windows are enforced, and headers tell of one at a time: not one 429, and the final edit waits
    for no reset; as long as more than half of what is told is left there is an edit a second, and none much faster."""
    b = await bench(discord=LimitedDiscord)
    await stream(b, 60)
    assert isinstance(b.discord, LimitedDiscord)
    assert b.discord.refused == 0
    times = shown_at(b)
    early = [at for at in times if at < 20]
    assert len(early) >= 20
    assert all(later - sooner >= PROGRESS_EVERY_S - 1e-9 for sooner, later in pairwise(times))


async def test_a_long_limit_that_runs_out_is_spread(bench: MakeBench) -> None:
    """The last calls of a minute are not all spent at once: headers tell of it late, yet no silence is 20 s long."""
    b = await bench(discord=LimitedDiscord)
    await stream(b, 60)
    times = [*shown_at(b), 60.0]
    assert max(later - sooner for sooner, later in pairwise(times)) < 20


async def test_a_hundred_streams_at_once_meet_no_limit(bench: MakeBench) -> None:
    """A hundred tokens for twenty seconds each, final edits and further messages right after: not one 429."""
    b = await bench(discord=LimitedDiscord)
    b.discord.latency = 0.02
    await asyncio.gather(*(stream(b, 20, f"token-{n}") for n in range(100)))
    assert isinstance(b.discord, LimitedDiscord)
    assert b.discord.refused == 0
    assert min(len(shown_at(b, f"token-{n}")) for n in range(100)) >= 20
    assert b.discord.overlaps == 0


@settings(max_examples=40, deadline=None)
@example(latency=0.0, lengths=[50.0], rests=[1.0])
@given(
    latency=st.floats(0.0, 0.9),
    lengths=st.lists(st.floats(0.0, 70.0), min_size=1, max_size=4),
    rests=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=6),
)
def test_no_stream_meets_a_limit(latency: float, lengths: list[float], rests: list[float]) -> None:
    """However slow Discord answers, however long the answers and their pauses are: the pace keeps every call allowed,
    and the final edit goes out as soon as the progress edit before it is over."""

    async def run() -> None:
        clock = FakeClock()
        discord = LimitedDiscord(clock, latency=latency)
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(discord)) as http:
            b = Bench(clock, discord, FollowUpClient(http, API_URL, APPLICATION, clock))
            await asyncio.gather(*(answer(b, f"token-{n}", length) for n, length in enumerate(lengths)))
        assert discord.refused == 0
        assert discord.overlaps == 0

    async def answer(b: Bench, token: str, length: float) -> None:
        end, n = b.clock.elapsed + length, 0
        while b.clock.elapsed < end:
            n += 1
            await b.clock.sleep(max(b.client.pace(token), rests[n % len(rests)]))
            await b.progress("x \u258c", token)
        asked = b.clock.elapsed
        assert await b.final(token=token)
        assert b.clock.elapsed - asked <= latency + 0.01
        await b.post("part 1", token)
        await b.post("part 2", token)

    asyncio.run(run())


async def test_the_first_word_waits_for_nothing(bench: MakeBench) -> None:
    """Before anything was sent for a token, and for one nobody knows, the pace is at once."""
    b = await bench()
    assert b.client.pace(TOKEN) == 0
    await b.progress("\u23f3 thinking")
    before = b.clock.elapsed
    assert await b.progress("first word \u258c")
    assert b.clock.elapsed == before


async def test_the_pace_is_one_a_second(bench: MakeBench) -> None:
    """Where no limit is near: the rest of the second since the last call began."""
    b = await bench(ok(remaining=4, reset_after=2))
    b.discord.latency = 0.4
    await b.progress()
    assert b.client.pace(TOKEN) == pytest.approx(PROGRESS_EVERY_S - 0.4)


async def test_the_pace_heeds_a_429(bench: MakeBench) -> None:
    """After a limit that somebody else has used up, nobody is sent into it again; a global one stops every token."""
    b = await bench(limited(7), limited(9, everywhere=True))
    await b.progress()
    assert b.client.pace(TOKEN) == pytest.approx(7)
    await b.progress(token="other")
    assert b.client.pace("third") == pytest.approx(9)


@pytest.mark.parametrize(("remaining", "pace"), [(15, PROGRESS_EVERY_S), (14, 56 / 14), (2, 28.0), (1, 56.0)])
async def test_less_than_half_of_a_long_limit_is_spread_over_its_rest(
    bench: MakeBench, remaining: int, pace: float
) -> None:
    """Of 30 calls a minute: with 15 left as ever, with 14 every four seconds, the last one is the final edit's."""
    answer = ok(remaining=remaining, reset_after=56)
    answer.headers["X-RateLimit-Limit"] = "30"
    b = await bench(answer)
    await b.progress()
    assert b.client.pace(TOKEN) == pytest.approx(pace, abs=RESET_MARGIN_S)


async def test_a_limit_is_remembered_while_headers_tell_of_another(bench: MakeBench) -> None:
    """Symptom: a 429 although every header had calls left. Cause: the minute's limit was forgotten as soon as a
    header told of the burst's. Rule: each limit is counted down until it resets."""
    minute, burst = ok(remaining=2, reset_after=40), ok(remaining=4, reset_after=2)
    minute.headers["X-RateLimit-Limit"], burst.headers["X-RateLimit-Limit"] = "30", "5"
    b = await bench(minute, burst)
    assert await b.progress()
    assert await b.progress()
    assert not await b.progress()
    assert await b.final()
    assert b.discord.times == [0, 0, 0]
