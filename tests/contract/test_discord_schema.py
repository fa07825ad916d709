"""What goes out, held against Discord's own published schema (https://github.com/discord/discord-api-spec).

The schema is not part of this repository: set QUARTET_DISCORD_OPENAPI to the path of its `openapi.json`.
The checks in the second half need no schema and always run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.discord import wire
from app.discord.graphemes import utf16_length
from app.discord.replies import (
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
    modal,
    post_payload,
    select,
    text_input,
    updated,
)
from app.discord.splitting import fit
from app.texts import Locale

PICTURE = Attachment("img.png", b"\x89PNG", "image/png", "물결")
MESSAGES = {
    "text": Message("안녕하세요 🌊"),
    "embed and picture": Message(
        embeds=({"title": "t", "description": "d", "color": 0x5865F2, "image": {"url": "attachment://img.png"}},),
        attachments=(PICTURE,),
    ),
    "menu": Message("비율", components=(action_row(select("ratio:1", [("가로", "16:9")], "비율", chosen="16:9")),)),
    "button": Message("실패했어요", components=(action_row(button("다시", "retry:1")),)),
    "long answer": fit("문장입니다. " * 2000, Locale.KO).message,
    "long code": fit("```py\n" + "x = '값'\n" * 2000 + "```", Locale.EN).message,
    "emoji": fit("👩\u200d👩\u200d👧" * 900, Locale.EN).message,
    "empty": fit("", Locale.KO).message,
}
RESPONSES = {
    "CreateMessageInteractionCallbackRequest": [
        deferred(),
        deferred(ephemeral=True),
        immediate(MESSAGES["button"], True),
    ],
    "UpdateMessageInteractionCallbackRequest": [DEFERRED_UPDATE, updated(MESSAGES["button"])],
    "PongInteractionCallbackRequest": [PONG],
    "ModalInteractionCallbackRequest": [
        modal(
            "form:채팅",
            "질문하기",
            [
                text_input("질문", "질문", description="길게 써도 돼요", placeholder="…", min_length=1),
                text_input("이름", "이름", style=wire.TextInputStyle.SHORT, value="v", required=False, max_length=9),
            ],
        )
    ],
    "ApplicationCommandAutocompleteCallbackRequest": [autocomplete([("가로", "16:9")]), autocomplete([])],
}


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """Return the schemas of Discord's OpenAPI document."""
    path = os.environ.get("QUARTET_DISCORD_OPENAPI", "")
    if not path or not Path(path).is_file():
        pytest.skip("QUARTET_DISCORD_OPENAPI does not name Discord's openapi.json")
    components: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))["components"]
    return components


def faults(components: dict[str, Any], name: str, value: object) -> list[str]:
    assert name in components["schemas"], f"Discord's schema has no {name} any more"
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})
    return [error.message for error in validator.iter_errors(value)]


@pytest.mark.parametrize("name", MESSAGES)
def test_edits_are_valid_for_discord(schemas: dict[str, Any], name: str) -> None:
    """`PATCH …/messages/@original` takes each of our messages."""
    payload = json.loads(encode(edit_payload(MESSAGES[name])))
    assert faults(schemas, "IncomingWebhookUpdateRequestPartial", payload) == []


@pytest.mark.parametrize("name", MESSAGES)
def test_posts_are_valid_for_discord(schemas: dict[str, Any], name: str) -> None:
    """`POST /webhooks/{application}/{token}` takes each as a further message, `POST /channels/…` as late."""
    message = MESSAGES[name]
    further = json.loads(encode(post_payload(message, ephemeral=True)))
    assert faults(schemas, "IncomingWebhookRequestPartial", further) == []
    late = {**post_payload(message, user_id="123456789012345678"), "nonce": "1" * 20, "enforce_nonce": True}
    assert faults(schemas, "MessageCreateRequest", json.loads(encode(late))) == []


@pytest.mark.parametrize("name", RESPONSES)
def test_interaction_responses_are_valid_for_discord(schemas: dict[str, Any], name: str) -> None:
    """Each type of response fits the schema of its type."""
    for raw in RESPONSES[name]:
        assert faults(schemas, name, json.loads(raw)) == []


def test_the_schema_would_notice(schemas: dict[str, Any]) -> None:
    """A message over the limit is a fault: the checks above can fail."""
    payload = edit_payload(Message("a" * (wire.CONTENT_MAX + 1)))
    assert faults(schemas, "IncomingWebhookUpdateRequestPartial", payload)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (wire.InteractionType, "InteractionTypes"),
        (wire.ResponseType, "InteractionCallbackTypes"),
        (wire.OptionType, "ApplicationCommandOptionType"),
        (wire.ComponentType, "MessageComponentTypes"),
        (wire.ChannelType, "ChannelTypes"),
        (wire.InteractionContext, "InteractionContextType"),
        (wire.IntegrationType, "ApplicationIntegrationType"),
    ],
)
def test_our_numbers_are_discords(schemas: dict[str, Any], ours: Any, theirs: str) -> None:
    """Each name we use stands for the number Discord gives it."""
    published = {entry["title"]: entry["const"] for entry in schemas["schemas"][theirs]["oneOf"]}
    assert {member.name: member.value for member in ours}.items() <= published.items()


# Without the schema: the limits Discord's documentation states.


@pytest.mark.parametrize("name", MESSAGES)
def test_edits_keep_to_the_documented_limits(name: str) -> None:
    """Something to show, within every limit, pinging nobody, with ids that match the files."""
    message = MESSAGES[name]
    payload = json.loads(encode(edit_payload(message)))
    assert set(payload) == {"content", "embeds", "components", "attachments", "allowed_mentions"}
    assert payload["allowed_mentions"] == {"parse": []}
    assert utf16_length(payload["content"]) <= wire.CONTENT_MAX
    assert payload["content"].strip() or payload["embeds"] or payload["attachments"]
    assert [a["id"] for a in payload["attachments"]] == [str(n) for n in range(len(message.attachments))]
    names = {a["filename"] for a in payload["attachments"]}
    assert all(embed["image"]["url"].removeprefix("attachment://") in names for embed in payload["embeds"])
    assert all(len(a.data) <= wire.ATTACHMENT_SIZE_DEFAULT for a in message.attachments)


def test_only_known_response_types_go_out() -> None:
    """Every response has a documented type, and nobody is pinged by one that carries a message."""
    for raw in (response for group in RESPONSES.values() for response in group):
        body = json.loads(raw)
        wire.ResponseType(body["type"])
        if "content" in body.get("data", {}):
            assert body["data"]["allowed_mentions"] == {"parse": []}
