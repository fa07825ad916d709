"""What is remembered of a token after its answer, and how little that takes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping

import pytest

from app.discord.token_states import CLOSED_TOKEN_MEMORY_S, GENERATION_S, RESET_MARGIN_S, TokenState, TokenStates
from tests.kit.clock import FakeClock

RESET_S = 2.0
LIMITS = {
    "x-ratelimit-bucket": "abcd1234",
    "x-ratelimit-limit": "5",
    "x-ratelimit-reset-after": str(RESET_S),
}
AFTER_RESET_S = RESET_S + RESET_MARGIN_S + 0.01
LIFE_S = 840.0


class Answers:
    """Tokens whose answers are given on a clock that the tests set on."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.states = TokenStates(self.clock)

    def enter(self, token: str) -> TokenState:
        return self.states.enter(token, self.clock.monotonic() + LIFE_S)

    def give(self, token: str, *, remaining: int = 4, **known: bool) -> None:
        """Give a token's final answer; Discord says how many calls remain, and this becomes known of it."""
        now, state = self.clock.monotonic(), self.enter(token)
        state.called(now)
        state.final_started = True
        state.learn({**LIMITS, "x-ratelimit-remaining": str(remaining)}, now)
        for name, value in known.items():
            setattr(state, name, value)
        self.states.leave(state)


@pytest.fixture
def answers() -> Answers:
    """Return the states of no token yet."""
    return Answers()


@pytest.mark.parametrize("known", [{"gone": True}, {"ephemeral": True}, {"ephemeral": False}, {"unanswered": True}])
async def test_what_matters_later_outlives_the_limits(answers: Answers, known: Mapping[str, bool]) -> None:
    """Long after its limits have reset an answered token is still known as answered, and by what was learnt of it."""
    answers.give("a", **known)
    await answers.clock.sleep(CLOSED_TOKEN_MEMORY_S - 1)
    answers.give("b")
    for state in (answers.states.of("a"), answers.enter("a"), answers.states.of("a")):
        assert state is not None
        assert state.final_started
        assert {name: getattr(state, name) for name in known} == known


async def test_limits_are_remembered_until_they_reset(answers: Answers) -> None:
    """An answered token without calls left has to wait for its reset, also if nobody was there meanwhile."""
    answers.give("a", remaining=0)
    await answers.clock.sleep(RESET_S)
    answers.give("b")
    assert answers.enter("a").ready_at() > answers.clock.monotonic()
    answers.give("c", remaining=0)
    await answers.clock.sleep(AFTER_RESET_S)
    answers.give("d")
    assert answers.enter("c").ready_at() <= answers.clock.monotonic()


async def test_a_token_in_use_again_keeps_its_state(answers: Answers) -> None:
    """Who calls for an answered token shares one state with all who call meanwhile, however long that takes; after the
    last of them it is remembered for another minute."""
    answers.give("a")
    await answers.clock.sleep(AFTER_RESET_S)
    first = answers.enter("a")
    await answers.clock.sleep(CLOSED_TOKEN_MEMORY_S + GENERATION_S)
    assert answers.enter("a") is first
    assert (answers.states.open, len(answers.states)) == (1, 1)
    answers.states.leave(first)
    answers.states.leave(first)
    assert (answers.states.open, len(answers.states)) == (0, 1)
    await answers.clock.sleep(CLOSED_TOKEN_MEMORY_S - 1)
    assert len(answers.states) == 1
    await answers.clock.sleep(1 + GENERATION_S)
    assert len(answers.states) == 0


async def test_ten_thousand_answered_tokens_take_little(answers: Answers) -> None:
    """Besides the token's own text an answered one takes less than 100 bytes.

    Symptom: an instance held 16 MiB more at 160 interactions a second, and with every rise of their rate still more.
    Cause: each finished token kept its lock and its limits for up to 90 s. Rule: what is held at the rate of
    interactions is held small.
    """
    tokens = [f"token-{number}" for number in range(10_000)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for token in tokens:
            answers.give(token)
        await answers.clock.sleep(AFTER_RESET_S)
        assert len(answers.states) == len(tokens)
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held < 100 * len(tokens)
