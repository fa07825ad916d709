"""What Discord is told: messages, and interaction responses as the bytes that go out.

Everything a model or a user wrote is sent with `allowed_mentions: {"parse": []}`, so no answer can ping anybody; an
edit without that field would fall back to Discord's default and ping users after all
(https://discord.com/developers/docs/resources/message#allowed-mentions-object).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.discord.wire import (
    TEXT_INPUT_MAX,
    ButtonStyle,
    ComponentType,
    MessageFlag,
    ResponseType,
    TextInputStyle,
)

NO_MENTIONS: Final[Mapping[str, Any]] = {"parse": []}
JSON_MEDIA_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along; `description` is its alternative text, at most 1,024 characters."""

    filename: str
    data: bytes
    media_type: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """What a user sees: content of at most 2,000 characters, embeds and components in Discord's own shapes, files.

    An embed shows one of the files by the URL `attachment://<filename>`.
    """

    content: str = ""
    embeds: tuple[Mapping[str, Any], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    components: tuple[Mapping[str, Any], ...] = ()


def encode(payload: object) -> bytes:
    """Return compact JSON as UTF-8. Half a surrogate pair, which UTF-8 can't hold, becomes a question mark."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def edit_payload(message: Message) -> dict[str, Any]:
    """Return the body of an edit that replaces every part of the message.

    Parts that are absent are sent empty, because Discord keeps what an edit doesn't mention: the buttons of a
    progress message would stay under the answer. `attachments[].id` is n of the multipart field `files[n]`.
    """
    return {
        "content": message.content,
        "embeds": list(message.embeds),
        "components": list(message.components),
        "attachments": [_describe(n, attachment) for n, attachment in enumerate(message.attachments)],
        "allowed_mentions": dict(NO_MENTIONS),
    }


def post_payload(message: Message, *, ephemeral: bool = False, user_id: str | None = None) -> dict[str, Any]:
    """Return the body that posts a new message; `user_id` is the one user it may ping."""
    payload = {name: value for name, value in edit_payload(message).items() if value}
    if user_id is not None:
        payload["allowed_mentions"] = {**NO_MENTIONS, "users": [user_id]}
    if ephemeral:
        payload["flags"] = int(MessageFlag.EPHEMERAL)
    return payload


def _describe(n: int, attachment: Attachment) -> dict[str, str]:
    described = {"id": str(n), "filename": attachment.filename}
    if attachment.description:
        described["description"] = attachment.description
    return described


def multipart_fields(
    message: Message, payload: Mapping[str, Any] | None = None
) -> list[tuple[str, tuple[str | None, bytes, str]]]:
    """Return a message (by default: its edit) as multipart fields: `payload_json`, then `files[0]`, `files[1]`, …

    Source: https://discord.com/developers/docs/reference#uploading-files
    """
    described = edit_payload(message) if payload is None else payload
    files = [(f"files[{n}]", (a.filename, a.data, a.media_type)) for n, a in enumerate(message.attachments)]
    return [("payload_json", (None, encode(described), JSON_MEDIA_TYPE)), *files]


# Interaction responses: the body of the 200 that Discord gets for its POST.

PONG: Final = encode({"type": ResponseType.PONG})
DEFERRED: Final = encode({"type": ResponseType.DEFERRED_CHANNEL_MESSAGE_WITH_SOURCE})
DEFERRED_EPHEMERAL: Final = encode(
    {"type": ResponseType.DEFERRED_CHANNEL_MESSAGE_WITH_SOURCE, "data": {"flags": MessageFlag.EPHEMERAL}}
)
DEFERRED_UPDATE: Final = encode({"type": ResponseType.DEFERRED_UPDATE_MESSAGE})


def deferred(ephemeral: bool = False) -> bytes:
    """Return a type 5: "thinking…" now, the answer later. Whether only the user sees it is settled here for good."""
    return DEFERRED_EPHEMERAL if ephemeral else DEFERRED


def immediate(message: Message, ephemeral: bool = False) -> bytes:
    """Return a type 4: the whole answer at once. It can't carry files: those need a follow-up."""
    data = _response_data(message)
    if ephemeral:
        data["flags"] = int(MessageFlag.EPHEMERAL)
    return encode({"type": ResponseType.CHANNEL_MESSAGE_WITH_SOURCE, "data": data})


def updated(message: Message) -> bytes:
    """Return a type 7: the message whose component was used becomes `message`; who saw it is who sees it."""
    return encode({"type": ResponseType.UPDATE_MESSAGE, "data": _response_data(message)})


def modal(custom_id: str, title: str, fields: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a type 9: a form with a title (at most 45 characters) and one to five fields (`text_input`)."""
    data = {"custom_id": custom_id, "title": title, "components": list(fields)}
    return encode({"type": ResponseType.MODAL, "data": data})


def _response_data(message: Message) -> dict[str, Any]:
    if message.attachments:
        raise ValueError("an interaction response carries no files; defer, then edit")
    data = edit_payload(message)
    del data["attachments"]
    return data


def autocomplete(choices: Sequence[tuple[str, str | int | float]]) -> bytes:
    """Return a type 8: up to 25 (name, value) pairs to choose from."""
    return encode(
        {
            "type": ResponseType.APPLICATION_COMMAND_AUTOCOMPLETE_RESULT,
            "data": {"choices": [{"name": name, "value": value} for name, value in choices]},
        }
    )


# Components.


def button(label: str, custom_id: str, style: ButtonStyle = ButtonStyle.SECONDARY) -> dict[str, Any]:
    """Return a button that sends `custom_id` (1 to 100 characters) back; its label has at most 80 characters."""
    return {"type": int(ComponentType.BUTTON), "style": int(style), "label": label, "custom_id": custom_id}


def link_button(label: str, url: str) -> dict[str, Any]:
    """Return a button that opens `url` (at most 512 characters) and sends nothing."""
    return {"type": int(ComponentType.BUTTON), "style": int(ButtonStyle.LINK), "label": label, "url": url}


def action_row(*components: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of up to five buttons."""
    return {"type": int(ComponentType.ACTION_ROW), "components": list(components)}


def select(
    custom_id: str, options: Sequence[tuple[str, str]], placeholder: str = "", *, chosen: str | None = None
) -> dict[str, Any]:
    """Return a menu of up to 25 (label, value) pairs, to stand alone in a row; `chosen` is the value set before."""
    listed = [
        {"label": label, "value": value, **({"default": True} if value == chosen else {})} for label, value in options
    ]
    menu = {"type": int(ComponentType.STRING_SELECT), "custom_id": custom_id, "options": listed}
    return {**menu, "placeholder": placeholder} if placeholder else menu


def text_input(
    custom_id: str,
    label: str,
    *,
    description: str = "",
    style: TextInputStyle = TextInputStyle.PARAGRAPH,
    value: str = "",
    placeholder: str = "",
    required: bool = True,
    min_length: int = 0,
    max_length: int = TEXT_INPUT_MAX,
) -> dict[str, Any]:
    """Return a modal's text field in its label (at most 45 characters, the description 100).

    Source: https://discord.com/developers/docs/components/reference#label
    """
    field: dict[str, Any] = {
        "type": int(ComponentType.TEXT_INPUT),
        "custom_id": custom_id,
        "style": int(style),
        "required": required,
        "max_length": max_length,
    }
    field |= {name: text for name, text in (("value", value), ("placeholder", placeholder)) if text}
    if min_length:
        field["min_length"] = min_length
    labelled: dict[str, Any] = {"type": int(ComponentType.LABEL), "label": label, "component": field}
    return {**labelled, "description": description} if description else labelled
