"""What a model is told, by itself: estimates, what fits, whose wish counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.commands.prompting import (
    LONGEST_REMEMBERED,
    as_remembered,
    estimate_tokens,
    fitting,
    system_prompt,
    turn_tokens,
    with_material,
)
from app.userdata.conversations import Turn
from app.userdata.preferences import NO_PREFERENCES, Preferences


def turns(*answers: str) -> list[Turn]:
    """Return one turn for each answer, oldest first."""
    return [Turn(str(n), "5", "dm", float(n), f"{n}?", answer) for n, answer in enumerate(answers)]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("The quick brown fox jumps over the lazy dog.", 10, 12),
        ("안녕하세요, 오늘 날씨가 어때요?", 13, 20),
        ("こんにちは世界", 7, 7),
        ("你好世界", 4, 4),
        ("Привет, мир", 4, 6),
        ("👍🎉", 4, 4),
    ],
)
def test_an_estimate_is_near_and_rather_too_high(text: str, least: int, most: int) -> None:
    """Within what common tokenizers count for such a text, or a little above."""
    assert least <= estimate_tokens(text) <= most


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(one: str, two: str) -> None:
    """So a text that fits still fits when it is shortened."""
    assert estimate_tokens(one + two) >= max(estimate_tokens(one), estimate_tokens(two))


@given(st.lists(st.text(max_size=80), max_size=12), st.integers(0, 200))
def test_what_fits_is_the_newest_in_order(answers: list[str], tokens: int) -> None:
    """A whole tail of the conversation, never more than the budget; the rest is counted."""
    asked = turns(*answers)
    found = fitting(asked, tokens)
    kept = len(found.turns)
    assert list(found.turns) == [(turn.question, turn.answer) for turn in asked[len(asked) - kept :]]
    assert sum(turn_tokens(*turn) for turn in found.turns) <= tokens
    assert found.dropped == len(asked) - kept
    if found.dropped:
        nearest = asked[-kept - 1]
        used = sum(turn_tokens(*turn) for turn in found.turns)
        assert used + turn_tokens(nearest.question, nearest.answer) > tokens, "the next one would have fitted"


def test_a_long_turn_ends_what_goes_along() -> None:
    """Older turns that would fit are not taken over a hole."""
    assert fitting(turns("short", "long " * 500, "new"), 100).turns == (("2?", "new"),)


def test_a_persona_comes_behind_the_operators_prompt() -> None:
    """Which stays whole; without a persona nothing is added."""
    assert system_prompt("be brief", NO_PREFERENCES) == "be brief"
    prompt = system_prompt("be brief", Preferences(persona="  like a pirate "))
    assert prompt.startswith("be brief\n\n") and prompt.endswith("\nlike a pirate")


def test_a_question_is_kept_within_bounds() -> None:
    """A file's text can be long; pictures are not kept, and the model is told so."""
    long = as_remembered("x" * (LONGEST_REMEMBERED + 1), 0)
    assert len(long) == LONGEST_REMEMBERED and long.endswith("[…]")
    assert as_remembered("what is this?", 2) == "what is this?\n[attached: 2 picture(s), not kept]"
    assert as_remembered("why?", 0) == "why?"


def test_material_follows_the_question() -> None:
    """Or stands alone, or is absent."""
    assert with_material("why?", "File") == "why?\n\nFile"
    assert with_material("why?", "") == "why?"
