"""What Discord accepts as the answer to an interaction's delivery."""

from __future__ import annotations

import json
from typing import Any

from simulator import discord_payloads as payloads
from simulator.discord_components import check_modal
from simulator.discord_errors import EMPTY_MESSAGE, INVALID_FORM_BODY, INVALID_JSON, DiscordProblem, Faultfinder
from simulator.discord_validate import FLAG_EPHEMERAL, check_message
from simulator.multipart import media_type

PONG, MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 1, 4, 5, 6, 7, 8, 9
RESPONSE_NAMES = {
    PONG: "pong", MESSAGE: "message", DEFERRED: "deferred", DEFERRED_UPDATE: "deferred_update", UPDATE: "update",
    CHOICES: "choices", MODAL: "modal",
}  # fmt: skip
ALLOWED = {
    payloads.PING: {PONG},
    payloads.COMMAND: {MESSAGE, DEFERRED, MODAL},
    payloads.COMPONENT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, MODAL},
    payloads.AUTOCOMPLETE: {CHOICES},
    payloads.MODAL_SUBMIT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE},
}


def parse_ack(kind: int, status: int, content_type: str, raw: bytes) -> tuple[int, dict[str, Any]]:
    """Return the response's type and data, or raise `DiscordProblem` that says why Discord would not take it."""
    if status != 200:
        raise DiscordProblem(status, INVALID_FORM_BODY, message=f"HTTP {status}")
    if media_type(content_type) != "application/json":
        raise DiscordProblem(400, INVALID_FORM_BODY, message=f"content type {content_type!r}")
    try:
        body = json.loads(raw)
    except ValueError:
        raise DiscordProblem(400, INVALID_JSON) from None
    response = body.get("type") if isinstance(body, dict) else None
    if response not in ALLOWED[kind]:
        raise DiscordProblem(400, INVALID_FORM_BODY, message=f"response type {response!r} to interaction type {kind}")
    data = body.get("data")
    if data is not None and not isinstance(data, dict):
        raise DiscordProblem(400, INVALID_FORM_BODY, message="data is not an object")
    faults = Faultfinder()
    _check_data(response, data or {}, faults)
    faults.check()
    return response, data or {}


def _check_data(response: int, data: dict[str, Any], faults: Faultfinder) -> None:
    if response in (MESSAGE, UPDATE):
        check_message(data, faults, path="data", editing=response == UPDATE)
        if response == MESSAGE and not any(data.get(name) for name in ("content", "embeds", "components", "poll")):
            raise DiscordProblem(400, EMPTY_MESSAGE)
    elif response == DEFERRED:
        if set(data) - {"flags"} or data.get("flags") not in (None, 0, FLAG_EPHEMERAL):
            faults.add("data", "INTERACTION_CALLBACK_DATA_INVALID", "Only flags 64 may be set with a defer")
    elif response == CHOICES:
        _check_choices(data.get("choices"), faults)
    elif response == MODAL:
        check_modal(data, faults)


def _check_choices(choices: Any, faults: Faultfinder) -> None:
    if not isinstance(choices, list) or len(choices) > 25:
        faults.add("data.choices", "BASE_TYPE_BAD_LENGTH", "Must be 25 or fewer in length.")
        return
    for i, choice in enumerate(choices):
        path = f"data.choices.{i}"
        if not isinstance(choice, dict) or "value" not in choice:
            faults.required(f"{path}.value")
            continue
        faults.length(f"{path}.name", str(choice.get("name") or ""), 100, 1)
        if isinstance(choice["value"], str):
            faults.length(f"{path}.value", choice["value"], 100)
