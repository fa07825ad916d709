"""Whatever shape a body has, validation judges it: it never breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.discord_ack import ALLOWED, parse_ack
from simulator.discord_command_rules import check_set
from simulator.discord_errors import DiscordProblem, Faultfinder
from simulator.discord_validate import check_message
from simulator.multipart import MultipartError, parse_multipart
from simulator.openai_errors import check_request
from simulator.stability_form import GENERATORS, UPSCALERS, Form, check_form

NAMES = st.sampled_from(
    ("content", "embeds", "title", "description", "fields", "name", "value", "footer", "author", "text", "image", "url",
     "color", "flags", "allowed_mentions", "parse", "users", "attachments", "id", "filename", "components", "type",
     "custom_id", "label", "style", "options", "choices", "min_length", "max_length", "placeholder", "component",
     "items", "tts", "data", "autocomplete", "name_localizations", "ko", "contexts", "required", "emoji")
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES | st.sampled_from([1, 2, 3, 4, 5, 9, 10, 12, 17, 18, 1 << 15]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=8)


@settings(max_examples=80, deadline=None)
@given(OBJECTS, st.booleans())
def test_any_message_is_judged(body: dict[str, Any], editing: bool) -> None:
    """Faults are collected under the body's own names, or there are none."""
    faults = Faultfinder()
    check_message(body, faults, editing=editing)
    assert set(faults.tree) <= {*body, "files"}


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(ALLOWED)), st.integers(0, 10), VALUES)
def test_any_answer_is_judged(kind: int, response: int, data: Any) -> None:
    """It is taken or refused, and nothing else happens."""
    raw = json.dumps({"type": response, "data": data}).encode()
    try:
        taken, _ = parse_ack(kind, 200, "application/json", raw)
    except DiscordProblem:
        return
    assert taken == response and response in ALLOWED[kind]


@settings(max_examples=80, deadline=None)
@given(st.lists(OBJECTS | VALUES, max_size=3))
def test_any_command_is_judged(commands: list[Any]) -> None:
    """A set passes or is refused with the faults of its members."""
    try:
        check_set(commands)
    except DiscordProblem as problem:
        assert problem.status == 400


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(["model", "messages", "stream", "max_tokens", "stop"]), VALUES))
def test_any_chat_request_is_judged(body: dict[str, Any]) -> None:
    """An error answer or none."""
    refused = check_request(body, 1000)
    assert refused is None or 400 <= refused.status_code < 500


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([*GENERATORS, *UPSCALERS]),
    st.dictionaries(st.sampled_from(["prompt", "seed", "strength", "mode", "creativity"]), st.text(max_size=9)),
    st.none()
    | st.sampled_from([b"", b"\xff\xd8", b"GIF89a", b"RIFF1234WEBPVP8X", b"\x89PNG\r\n\x1a\n"]).flatmap(
        lambda head: st.binary(max_size=40).map(lambda rest: head + rest)
    ),
)
def test_any_picture_form_is_judged(model: str, text: dict[str, str], image: bytes | None) -> None:
    """A list of sentences, each opening with a field's name."""
    assert all(":" in fault for fault in check_form(model, Form(text, image), "image/*"))


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["b", "", '"', "x" * 80]))
def test_any_form_body_is_read_or_refused(body: bytes, boundary: str) -> None:
    """Noise is never taken for a form."""
    with pytest.raises(MultipartError):
        parse_multipart(f"multipart/form-data; boundary={boundary}", body)


def test_a_form_keeps_every_byte() -> None:
    """Values may hold line breaks and even the boundary's letters; names and types are read."""
    data = b"\r\n--bx\r\n--\r\n\x00\xff"
    body = (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xed\x95\x9c\r\n'
        b'--b\r\nContent-Disposition: form-data; name="files[0]"; filename="\xed.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + data.replace(b"--b", b"--c") + b"\r\n--b--\r\n"
    )
    text, file = parse_multipart("multipart/form-data; boundary=b", body)
    assert (text.name, text.text, text.filename) == ("a", "한", None)
    assert file.content_type == "image/png" and file.data == data.replace(b"--b", b"--c")
