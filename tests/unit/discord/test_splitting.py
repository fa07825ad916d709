"""Splitting long answers: nothing lost, nothing torn, nothing over the limit."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.discord.graphemes import cut_before, utf16_length
from app.discord.splitting import LIMIT_MIN, first_part, split
from app.discord.wire import CONTENT_MAX

FENCE_LINE = re.compile(r"^[ \t]*`{3,}[^`\n]*$", re.MULTILINE)

words = st.text(alphabet=st.sampled_from("abcxyz가나다라.!?。 é\u0301👩\u200d🇰🇷👍🏽\t"), min_size=1, max_size=120)
fences = st.sampled_from(
    ["```", "```py", "```c++", "````", "  ```js", "``` not a language", "```" + "l" * 60, "```x```"]
)
blanks = st.sampled_from(["", "", " ", "\t"])
markdown = st.lists(st.one_of(words, fences, blanks), max_size=60).map("\n".join)
anything = st.one_of(
    markdown, st.text(max_size=3000), st.text(alphabet="ab `\n", max_size=3000), words.map(lambda word: word * 40)
)
limits = st.sampled_from([LIMIT_MIN, 200, 700, CONTENT_MAX])


def bare(text: str) -> str:
    """Return `text` without what a split may add or drop: fence lines, white space, invisible characters."""
    text = FENCE_LINE.sub("", text)
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def open_blocks(part: str) -> bool:
    """Return whether a code block is still open at the end, as Discord would see it."""
    inside = False
    for line in part.split("\n"):
        mark = line.strip(" \t")
        if mark.startswith("```") and len(line) <= 48 and "`" not in mark.lstrip("`"):
            inside = not inside if not inside or not mark.strip("`").strip() else inside
    return inside


@settings(max_examples=300, deadline=None)
@given(anything, limits)
@example("```py\n" + "\n" * 3000 + "x\n```", CONTENT_MAX)
@example("```\n" + " " * 3000 + "x", CONTENT_MAX)
@example("a" + "\u0301" * 5000, CONTENT_MAX)
@example("👍🏽" * 1500, CONTENT_MAX)
def test_every_part_fits_is_visible_and_keeps_its_code_blocks_closed(text: str, limit: int) -> None:
    """Whatever a model writes, Discord can take each part, and no part's code block runs into the next message."""
    for part in split(text, limit):
        assert 0 < utf16_length(part) <= limit
        assert part.strip()
        assert not open_blocks(part)
        part.encode()


@settings(max_examples=300, deadline=None)
@given(anything, limits)
def test_the_parts_hold_the_whole_text_in_order(text: str, limit: int) -> None:
    """Apart from fences and white space nothing is lost, doubled or moved."""
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert bare("\n".join(split(text, limit))) == bare(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(words, min_size=1, max_size=40).map("\n".join), limits)
def test_without_code_blocks_each_part_is_a_piece_of_the_text(text: str, limit: int) -> None:
    """The parts stand in the text as they are, one after the other, with only white space between them."""
    at = 0
    for part in split(text, limit):
        found = text.find(part, at)
        assert found >= 0
        assert bare(text[at:found]) == ""
        at = found + len(part)
    assert bare(text[at:]) == ""


def test_a_short_text_is_one_part() -> None:
    """Exactly at the limit nothing is cut; one unit more makes two parts."""
    assert split("a" * CONTENT_MAX) == ["a" * CONTENT_MAX]
    assert [len(part) for part in split("a" * (CONTENT_MAX + 1))] == [CONTENT_MAX - 4, 5]


def test_characters_beyond_the_first_plane_count_twice() -> None:
    """A thousand emoji fill a message, though Discord's API would count half of that."""
    assert len(split("😀" * 1000)) == 1
    assert len(split("😀" * 1001)) == 2


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("a" * 90 + "\n\n" + "b" * 30 + "\n" + "c" * 90, "a" * 90, "b" * 30 + "\n" + "c" * 90),
        ("a" * 90 + "\n" + "b. " * 5 + "c" * 90, "a" * 90, "b. " * 5 + "c" * 90),
        ("a " * 45 + "end. " + "b" * 10 + " " + "c" * 90, "a " * 45 + "end.", "b" * 10 + " " + "c" * 90),
        ("가나 " * 30 + "끝이다。" + "라" * 90, "가나 " * 30 + "끝이다。", "라" * 90),
        ("a" * 100 + " " + "b" * 100, "a" * 100, "b" * 100),
        ("a" * 200, "a" * 140, "a" * 60),
    ],
    ids=["paragraph", "line", "sentence", "korean or japanese sentence", "word", "character"],
)
def test_the_cut_is_at_the_best_place(text: str, first: str, second: str) -> None:
    """Paragraph before line before sentence before word before character."""
    assert split(text, LIMIT_MIN) == [first, second]


def test_a_cut_code_block_is_closed_and_reopened_with_its_language() -> None:
    """Both parts show highlighted code, and the indentation of the next line is kept."""
    body = "\n".join(f"    line {n}" for n in range(12))
    first, second = split(f"Look:\n```py\ndef f():\n{body}\n```\nDone.", LIMIT_MIN)
    assert first.startswith("Look:\n```py\ndef f():\n    line 0\n")
    assert first.endswith("\n```")
    assert second.startswith("```py\n    line ")
    assert second.endswith("```\nDone.")


def test_no_empty_code_block_is_left_at_a_cut() -> None:
    """A cut next to a fence moves it, or drops it, rather than showing an empty block."""
    for length in range(60, 150):
        before, after = f"{'a' * length}\n```py\n{'b' * 100}\n```", f"```py\n{'a' * length}\n     `````  \n{'b' * 100}"
        for part in [*split(before, LIMIT_MIN), *split(after, LIMIT_MIN)]:
            assert not re.search(r"```(py)?\s*\n\s*```", part), part


def test_a_code_block_is_closed_within_the_limit() -> None:
    """Wherever in a line the limit falls, there is room for the closing fence."""
    for limit in range(LIMIT_MIN, LIMIT_MIN + 12):
        parts = split("```py\n" + "x = 12345\n" * 50 + "```", limit)
        assert all(utf16_length(part) <= limit and part.endswith("\n```") for part in parts)
        assert all(set(part.split("\n")) == {"```py", "x = 12345", "```"} for part in parts)


def test_a_text_without_spaces_is_cut_between_characters() -> None:
    """A message of family emoji never ends in half a family."""
    family = "👩\u200d👩\u200d👧"
    parts = split(family * 300)
    assert len(parts) == 2
    assert all(part.replace(family, "") == "" for part in parts)


def test_a_code_block_the_model_left_open_is_closed() -> None:
    """An answer cut at the token limit still shows its code as code."""
    assert split("```py\nx = 1") == ["```py\nx = 1\n```"]


def test_blank_texts_have_no_parts() -> None:
    """White space and invisible characters alone are nothing to show."""
    for text in ("", " \n\t ", "\u200b\u2060\ufeff", "\n" * 5000):
        assert split(text) == []
        assert first_part(text) == ""


@pytest.mark.parametrize(
    "cluster", ["👩\u200d👩\u200d👧", "👍🏽", "🇰🇷", "e\u0301", "\u1100\u1161\u11a8", "각\u11a8", "\r\n", "นี้"]
)
def test_visible_characters_are_not_torn(cluster: str) -> None:
    """No index inside a joined emoji, a flag, an accented letter or a Jamo syllable is used for a cut."""
    text = cluster * 4
    allowed = {0, *(len(cluster) * n for n in range(1, 5))}
    if cluster == "นี้":
        allowed |= {len(cluster) * n for n in range(5)}
    for end in range(len(cluster), len(text) + 1):
        assert cut_before(text, 0, end) in allowed


def test_half_a_surrogate_pair_does_no_harm() -> None:
    """A model's broken escape becomes the replacement character, a pair in two halves one character."""
    assert split("a\ud800b \ud83d\ude00") == ["a\ufffdb 😀"]


def test_a_limit_without_room_for_fences_is_refused() -> None:
    """A caller's mistake, told at once."""
    with pytest.raises(ValueError, match="at least"):
        split("a", LIMIT_MIN - 1)
