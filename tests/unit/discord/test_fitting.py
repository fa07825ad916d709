"""Laying a long answer out over messages and files: nothing lost, nothing open, nothing over a limit."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.discord.graphemes import utf16_length
from app.discord.splitting import FILES_MAX, FULL_TEXT_FILENAME, MESSAGES_MAX, fit, sound, with_whole
from app.discord.wire import ATTACHMENTS_MAX, CONTENT_MAX
from app.texts import Locale
from tests.unit.discord.test_splitting import anything, bare, open_blocks

TABLE = "| 이름 | 값 |\n|---|:-:|\n| a | 1 |\n| b | 2 |"
CODE = "```python\n" + "x = '값'\n" * 400 + "```"

tables = st.integers(1, 30).map(lambda n: "| h | i |\n|---|---|\n" + "| a | b |\n" * n)
codes = st.tuples(st.sampled_from(["py", "c++", "", "rust"]), st.integers(1, 400)).map(
    lambda pair: f"```{pair[0]}\n" + "line\n" * pair[1] + "```"
)
answers = st.lists(st.one_of(anything, tables, codes), max_size=12).map("\n\n".join)


def letters(text: str) -> list[str]:
    """Return the characters of a text that a reader would miss."""
    return sorted(c for c in bare(text) if unicodedata.category(c)[0] in "LN")


@settings(max_examples=200, deadline=None)
@given(answers)
@example(("| a |\n|---|\n" + "| b |\n" * 3 + "\n") * 30)
@example(CODE + "\n\n" + TABLE)
def test_every_message_can_be_sent(text: str) -> None:
    """Whatever the model wrote: at most three messages, none blank, too long or with an open block, ten files each."""
    fitted = fit(text, Locale.KO)
    messages = [fitted.message, *fitted.parts]
    assert len(messages) <= MESSAGES_MAX
    for message in messages:
        assert 0 < utf16_length(message.content) <= CONTENT_MAX
        assert message.content.strip()
        assert not open_blocks(message.content)
        names = [file.filename for file in message.attachments]
        assert len(names) == len(set(names)) <= ATTACHMENTS_MAX


@settings(max_examples=200, deadline=None)
@given(answers)
@example(CODE + "\n\n" + TABLE)
def test_nothing_is_lost_over_messages_and_files(text: str) -> None:
    """Each letter stands in a message or a file, as often as the model wrote it; or the whole is a file."""
    fitted = fit(text, Locale.EN)
    messages = [fitted.message, *fitted.parts]
    files = {file.filename: file.data.decode() for message in messages for file in message.attachments}
    if FULL_TEXT_FILENAME in files:
        assert files[FULL_TEXT_FILENAME] == sound(text)
        return
    if not bare(text):
        return
    shown = "\n".join(message.content for message in messages)
    for name in files:
        for kind in ("table", "code"):
            shown = shown.replace(f"-# 📎 The {kind} is in {name}", "")
    assert letters("\n".join([shown, *files.values()])) == letters(sound(text))


@settings(max_examples=100, deadline=None)
@given(answers, st.integers(0, 3000))
def test_the_files_stay_within_the_limit(text: str, size_limit: int) -> None:
    """Where hardly anything may be attached, tables stay in the text and the whole is cut."""
    fitted = fit(text, Locale.EN, size_limit=size_limit)
    for message in (fitted.message, *fitted.parts):
        assert sum(len(file.data) for file in message.attachments) <= size_limit


def test_a_fitting_answer_is_shown_as_it_is() -> None:
    """One message: no note, no file, no further part."""
    fitted = fit("짧은 답", Locale.KO)
    assert (fitted.message.content, fitted.message.attachments) == ("짧은 답", ())
    assert (fitted.parts, fitted.whole) == ((), "")


def test_an_answer_for_three_messages_is_three_messages() -> None:
    """Split at sentences, nothing attached; the whole goes along for the case that a part can't be sent."""
    text = "문장입니다. " * 800
    fitted = fit(text, Locale.KO)
    assert len(fitted.parts) == 2
    assert fitted.whole == text
    assert all(message.content.endswith(".") for message in (fitted.message, *fitted.parts))
    assert not any(message.attachments for message in (fitted.message, *fitted.parts))


@pytest.mark.parametrize(("locale", "word"), [(Locale.KO, "첨부한"), (Locale.EN, "attached")])
def test_a_very_long_answer_is_shown_in_part_and_attached_whole(locale: Locale, word: str) -> None:
    """Beyond three messages: one, which fits and ends with a note in the user's language, and every byte in a file."""
    text = "# 제목\n\n" + "문장입니다. " * 2000
    fitted = fit(text, locale)
    assert fitted.parts == ()
    assert utf16_length(fitted.message.content) <= CONTENT_MAX
    assert fitted.message.content.startswith("# 제목\n\n문장입니다.")
    assert word in fitted.message.content.rsplit("\n\n", 1)[1]
    (attachment,) = fitted.message.attachments
    assert attachment.filename == FULL_TEXT_FILENAME
    assert attachment.media_type == "text/markdown; charset=utf-8"
    assert attachment.data.decode() == text


def test_the_note_stands_outside_the_code_block() -> None:
    """Code that is cut is closed, and only then explained."""
    message = fit("```py\n" + "x = 1\n" * 200 + "```\n\n" + "Sentence. " * 1000, Locale.EN).message
    content, note = message.content.rsplit("\n\n", 1)
    assert content.startswith("```py\nx = 1")
    assert not open_blocks(content)
    assert note.startswith("-# ")


def test_a_table_becomes_a_file_that_the_text_names() -> None:
    """Discord shows no tables: the text around it stays, a short line stands in its place."""
    fitted = fit(f"앞\n\n{TABLE}\n\n뒤", Locale.KO)
    assert fitted.message.content == "앞\n\n-# 📎 표는 table-1.md에 있어요\n\n뒤"
    (file,) = fitted.message.attachments
    assert (file.filename, file.data.decode()) == ("table-1.md", TABLE + "\n")


@pytest.mark.parametrize(
    "text", ["a | b\nc | d", "a\n---\nb", "```\n" + TABLE + "\n```", "| a |\n\n|---|", "x || y", "a | b\n- item"]
)
def test_what_is_no_table_stays(text: str) -> None:
    """Pipes in sentences, rules, tables shown as code: none is taken out."""
    fitted = fit(text, Locale.EN)
    assert (fitted.message.content, fitted.message.attachments) == (text, ())


@pytest.mark.parametrize(
    ("language", "name"),
    [("python", "code-1.py"), ("rust", "code-1.rs"), ("C++", "code-1.cpp"), ("", "code-1.txt"), ("zig", "code-1.zig"),
     ("weird.name", "code-1.txt")],
)  # fmt: skip
def test_long_code_becomes_a_file_by_its_language(language: str, name: str) -> None:
    """The explanation stays in one message; the file holds the code without its fences."""
    code = "x = 1\n" * 400
    fitted = fit(f"Look:\n\n```{language}\n{code}```\n\nDone.", Locale.EN)
    assert fitted.parts == ()
    assert fitted.message.content == f"Look:\n\n-# 📎 The code is in {name}\n\nDone."
    (file,) = fitted.message.attachments
    assert (file.filename, file.data.decode()) == (name, code)


def test_code_that_fits_stays_in_the_message() -> None:
    """Code of 1,800 characters that is the whole answer is easier to read where it is."""
    code = "```py\n" + "x = 1\n" * 300 + "```"
    assert fit(code, Locale.EN).message.content == code


def test_a_file_goes_with_the_message_that_names_it() -> None:
    """The code of an answer in two messages is attached where the reader meets its name."""
    fitted = fit("a. " * 700 + "\n\n" + CODE + "\n\nend", Locale.EN)
    (part,) = fitted.parts
    assert [file.filename for file in part.attachments] == ["code-1.py"]
    assert fitted.message.attachments == ()


def test_at_most_nine_files_leave_room_for_the_whole() -> None:
    """The tenth table stays in the text, so that the whole can be attached later."""
    fitted = fit("\n\n".join([TABLE] * 12), Locale.EN)
    assert len(fitted.message.attachments) == FILES_MAX
    assert len(with_whole(fitted.message, "all", Locale.EN).attachments) == ATTACHMENTS_MAX


def test_the_whole_can_be_added_to_any_message() -> None:
    """A full message makes room for the note; files and buttons stay."""
    message = fit("a" * CONTENT_MAX, Locale.KO).message
    whole = with_whole(message, "전부", Locale.KO)
    assert utf16_length(whole.content) <= CONTENT_MAX
    assert whole.attachments[-1].data.decode() == "전부"


def test_an_empty_answer_says_so() -> None:
    """Discord refuses an empty message, so the user is told."""
    assert fit(" \n", Locale.EN).message.content == "-# The answer was empty."
