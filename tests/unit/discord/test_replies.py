"""What goes out, byte by byte."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.discord.replies import (
    DEFERRED,
    DEFERRED_UPDATE,
    PONG,
    Attachment,
    Message,
    action_row,
    autocomplete,
    button,
    deferred,
    edit_payload,
    encode,
    immediate,
    link_button,
    modal,
    multipart_fields,
    post_payload,
    select,
    text_input,
    updated,
)
from app.discord.wire import USER_AGENT, ButtonStyle, TextInputStyle


def test_the_constant_answers() -> None:
    """A ping gets a pong; a deferral says only whether it is ephemeral."""
    assert PONG == b'{"type":1}'
    assert DEFERRED == deferred() == b'{"type":5}'
    assert deferred(ephemeral=True) == b'{"type":5,"data":{"flags":64}}'
    assert DEFERRED_UPDATE == b'{"type":6}'


@pytest.mark.parametrize("ephemeral", [False, True])
def test_an_immediate_answer_pings_nobody(ephemeral: bool) -> None:
    """Type 4 in UTF-8, with mentions off, and flagged only if it is ephemeral."""
    raw = immediate(Message("@everyone 안녕", embeds=({"description": "🌊"},)), ephemeral)
    assert "안녕".encode() in raw
    body = json.loads(raw)
    assert body["type"] == 4
    assert body["data"]["content"] == "@everyone 안녕"
    assert body["data"]["embeds"] == [{"description": "🌊"}]
    assert body["data"]["allowed_mentions"] == {"parse": []}
    assert body["data"].get("flags") == (64 if ephemeral else None)


def test_an_update_replaces_the_buttons() -> None:
    """After a retry button was used, the message has no buttons unless the new one brings some."""
    assert json.loads(updated(Message("다시 하는 중"))) == {
        "type": 7,
        "data": {"content": "다시 하는 중", "embeds": [], "components": [], "allowed_mentions": {"parse": []}},
    }


def test_a_response_with_files_is_refused() -> None:
    """Files need a follow-up; forgetting that is a mistake of the caller's, not a silently lost file."""
    with pytest.raises(ValueError, match="no files"):
        immediate(Message("x", attachments=(Attachment("a.png", b"", "image/png"),)))


def test_autocomplete_offers_pairs() -> None:
    """Names are what is shown, values what comes back."""
    assert json.loads(autocomplete([("가로", "16:9"), ("둘", 2)])) == {
        "type": 8,
        "data": {"choices": [{"name": "가로", "value": "16:9"}, {"name": "둘", "value": 2}]},
    }


def test_every_edit_replaces_everything() -> None:
    """Also an edit of plain text says that there are no embeds, components and files."""
    assert edit_payload(Message("a")) == {
        "content": "a",
        "embeds": [],
        "components": [],
        "attachments": [],
        "allowed_mentions": {"parse": []},
    }


def test_attachment_ids_are_the_numbers_of_their_fields() -> None:
    """`attachments[].id` "1" is `files[1]`; a description is sent only where there is one."""
    message = Message(
        attachments=(Attachment("a.png", b"1", "image/png", "물결"), Attachment("b.mp4", b"2", "video/mp4"))
    )
    assert edit_payload(message)["attachments"] == [
        {"id": "0", "filename": "a.png", "description": "물결"},
        {"id": "1", "filename": "b.mp4"},
    ]
    fields = dict(multipart_fields(message))
    assert fields["files[0]"] == ("a.png", b"1", "image/png")
    assert fields["files[1]"] == ("b.mp4", b"2", "video/mp4")
    assert fields["payload_json"][0] is None
    assert json.loads(fields["payload_json"][1]) == edit_payload(message)


def test_buttons_have_discords_shape() -> None:
    """A row holds buttons that send an id back or open a link."""
    row: dict[str, Any] = action_row(
        button("다시", "retry:1", ButtonStyle.PRIMARY), link_button("문서", "https://a.test")
    )
    assert json.loads(encode(row)) == {
        "type": 1,
        "components": [
            {"type": 2, "style": 1, "label": "다시", "custom_id": "retry:1"},
            {"type": 2, "style": 5, "label": "문서", "url": "https://a.test"},
        ],
    }


def test_a_new_message_says_only_what_it_has() -> None:
    """It pings nobody, or one user; it is private if asked for."""
    assert post_payload(Message("a")) == {"content": "a", "allowed_mentions": {"parse": []}}
    assert post_payload(Message("a"), ephemeral=True, user_id="5") == {
        "content": "a",
        "allowed_mentions": {"parse": [], "users": ["5"]},
        "flags": 64,
    }


def test_a_form_has_its_fields_in_labels() -> None:
    """Type 9, with text inputs (4) in labels (18) and no word of what was not given."""
    short = text_input("b", "이름", style=TextInputStyle.SHORT, required=False, min_length=1, max_length=9)
    long = text_input("a", "질문", description="무엇이든", value="v", placeholder="p")
    assert json.loads(modal("form:채팅", "제목", [long, short])) == {
        "type": 9,
        "data": {
            "custom_id": "form:채팅",
            "title": "제목",
            "components": [
                {
                    "type": 18,
                    "label": "질문",
                    "description": "무엇이든",
                    "component": {
                        "type": 4, "custom_id": "a", "style": 2, "required": True, "max_length": 4000, "value": "v",
                        "placeholder": "p",
                    },
                },
                {
                    "type": 18,
                    "label": "이름",
                    "component": {
                        "type": 4, "custom_id": "b", "style": 1, "required": False, "min_length": 1, "max_length": 9,
                    },
                },
            ],
        },
    }  # fmt: skip


def test_a_menu_shows_what_was_chosen() -> None:
    """Labels are shown, values sent back; one may be set from the start."""
    assert select("ratio:1", [("가로", "16:9"), ("세로", "9:16")], "비율", chosen="9:16") == {
        "type": 3,
        "custom_id": "ratio:1",
        "options": [{"label": "가로", "value": "16:9"}, {"label": "세로", "value": "9:16", "default": True}],
        "placeholder": "비율",
    }
    assert "placeholder" not in select("ratio:1", [("가로", "16:9")])


def test_what_utf8_cannot_hold_does_not_stop_an_answer() -> None:
    """Half a surrogate pair is replaced, everything else is kept."""
    assert encode({"content": "a\ud800b 😀"}) == '{"content":"a?b 😀"}'.encode()


def test_the_user_agent_names_this_version() -> None:
    """Discord asks for `DiscordBot ($url, $version)`; the version is the project's."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert USER_AGENT.startswith("DiscordBot (https://")
    assert USER_AGENT.endswith(f", {project['version']})")
