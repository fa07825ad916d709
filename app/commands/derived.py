"""What a button, a menu or a form stands for: a slash command's payload, made of the press and of what was asked first.

A press is an interaction of its own, with its own token, its own user and its own answer. Its body with the original
command's `data` becomes the new job's payload, so that from here on it is a command like any other. What makes it
different stands in one field of ours, `DERIVED_FIELD`, which `Interaction.derived` reads:

    {"action": "again" | "continue" | "vary" | "ratio" | "upscale" | "form", "of": "<original job's id>"}

`continue` has `text`, what the message said so far; `upscale` has `image`, the message's first picture: `url`, `size`
in bytes and `content_type`, as Discord describes it; `form` has no `of`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.commands.buttons import Action, custom_id, read_custom_id
from app.commands.image import RATIO_OPTION
from app.commands.options import PRIVATE
from app.discord.models import DERIVED_FIELD, Interaction, MalformedInteraction, read_json
from app.discord.replies import encode
from app.discord.wire import CONTENT_MAX, CUSTOM_ID_MAX, CommandType, InteractionType, OptionType
from app.texts import Text

REPEATING: Final = frozenset({Action.AGAIN, Action.CONTINUE, Action.VARY, Action.RATIO, Action.UPSCALE})
"""The actions that make a new job of one that is done."""

_NO_PICTURE = Text(
    ko="크게 만들 그림이 이 메시지에 없고, 비용은 들지 않았어요. 그림을 새로 그려 주세요.",
    en="There is no picture in this message to enlarge. This cost nothing; please have one drawn anew.",
)
_NO_CHOICE = Text(
    ko="고른 값이 없고, 비용은 들지 않았어요. 메뉴에서 다시 골라 주세요.",
    en="Nothing was chosen. This cost nothing; please choose from the menu again.",
)
_NO_TEXT = Text(
    ko="이어서 쓸 내용이 이 메시지에 없고, 비용은 들지 않았어요. 질문을 새로 입력해 주세요.",
    en="There is nothing in this message to go on from. This cost nothing; please ask anew.",
)


_REMEMBERED: Final = ("id", "application_id", "type", "token", "data", DERIVED_FIELD)


@dataclass(frozen=True, slots=True)
class Derived:
    """The command a press stands for: parsed JSON, and the same as a raw body."""

    payload: Mapping[str, Any]
    body: bytes


def repeated(press: Interaction, original: bytes, action: Action, of: str) -> Derived | Text:
    """Return the command that a press stands for, given the original's raw body; or what is missing in the press.

    What was asked for in private is answered in private again, whatever its user prefers by now.
    """
    command = read_json(original)
    if not isinstance(command, dict) or not isinstance(command.get("data"), dict):
        raise MalformedInteraction("expected a command as JSON object")
    data: dict[str, Any] = command["data"]
    facts: dict[str, Any] = {"action": action.value, "of": of}
    match action:
        case Action.AGAIN:
            # Doing a variation again is varying again: what made the original different makes this one, too.
            facts = command.get(DERIVED_FIELD) or facts
        case Action.CONTINUE:
            facts["text"] = _answer_in(press.message)
            if not facts["text"]:
                return _NO_TEXT
        case Action.RATIO:
            if not press.values:
                return _NO_CHOICE
            data = _with_option(data, RATIO_OPTION, OptionType.STRING, press.values[0])
        case Action.UPSCALE:
            if (image := next(_pictures_in(press.message), None)) is None:
                return _NO_PICTURE
            facts["image"] = image
    if press.message_is_private and data.get("type", CommandType.CHAT_INPUT) == CommandType.CHAT_INPUT:
        data = _with_option(data, PRIVATE, OptionType.BOOLEAN, True)
    return _command(press, data, facts)


def remembered(interaction: Interaction) -> bytes:
    """Return what of a command is worth keeping once it is answered: what was asked, by whom, and the token with which
    the answer's parts can be deleted for a while. It can be parsed as the interaction that it was."""
    payload = interaction.payload
    kept = {name: payload[name] for name in _REMEMBERED if name in payload}
    return encode({**kept, "user": {"id": interaction.user_id}})


def said_private(interaction: Interaction, body: bytes) -> bytes:
    """Return the body of a command that is answered in private, saying so itself even where that was its user's habit.

    Habits change until the job runs, and other instances may know of an older one; who sees the answer was settled when
    it was deferred, and nothing private may go along with an answer that others see.
    """
    if interaction.command_type != CommandType.CHAT_INPUT or isinstance(interaction.options.get(PRIVATE), bool):
        return body
    data = _with_option(interaction.data, PRIVATE, OptionType.BOOLEAN, True)
    return encode({**interaction.payload, "data": data})


def form_id(interaction: Interaction) -> str:
    """Return the `custom_id` of the form a command opens; what was entered already comes back with it, if it fits.

    Discord keeps nothing of a command once a form has answered it. Switches are short, and come first: that the answer
    was to be private must not get lost for a long model's name.
    """
    carried: dict[str, Any] = {}
    made = custom_id(Action.FORM, interaction.command)
    simple = [(name, value) for name, value in interaction.options.items() if isinstance(value, str | bool)]
    for name, value in sorted(simple, key=lambda option: not isinstance(option[1], bool)):
        packed = json.dumps({**carried, name: value}, ensure_ascii=False, separators=(",", ":"))
        longer = custom_id(Action.FORM, interaction.command, packed)
        if len(longer) <= CUSTOM_ID_MAX:
            made, carried = longer, {**carried, name: value}
    return made


def form_command(value: str) -> str:
    """Return the name of the command a form's `custom_id` names; empty if it is no form."""
    action, argument = read_custom_id(value)
    return argument.partition(":")[0] if action == Action.FORM else ""


def submitted(form: Interaction) -> Derived:
    """Return the command that a filled-in form stands for: fields and carried values as options."""
    name, _, packed = read_custom_id(form.custom_id)[1].partition(":")
    data: Mapping[str, Any] = {"name": name, "type": int(CommandType.CHAT_INPUT), "options": []}
    for option, value in {**_carried(packed), **form.fields}.items():
        kind = OptionType.BOOLEAN if isinstance(value, bool) else OptionType.STRING
        data = _with_option(data, option, kind, value)
    return _command(form, data, {"action": Action.FORM.value})


def _carried(packed: str) -> Mapping[str, Any]:
    try:
        carried = json.loads(packed) if packed else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(carried, dict):
        return {}
    return {name: value for name, value in carried.items() if isinstance(value, str | bool)}


def _command(press: Interaction, data: Mapping[str, Any], facts: Mapping[str, Any]) -> Derived:
    kept = {name: value for name, value in press.payload.items() if name not in ("message", "data")}
    payload = {**kept, "type": int(InteractionType.APPLICATION_COMMAND), "data": data, DERIVED_FIELD: facts}
    return Derived(payload, encode(payload))


def _with_option(data: Mapping[str, Any], name: str, kind: OptionType, value: object) -> dict[str, Any]:
    options = data.get("options")
    others = [option for option in options if option.get("name") != name] if isinstance(options, list) else []
    return {**data, "options": [*others, {"name": name, "type": int(kind), "value": value}]}


def _answer_in(message: Mapping[str, Any]) -> str:
    """Return what a message says, without the small print that we put under it."""
    content = message.get("content")
    lines = content[:CONTENT_MAX].rstrip().split("\n") if isinstance(content, str) else []
    while lines and (not lines[-1].strip() or lines[-1].startswith("-# ")):
        lines.pop()
    return "\n".join(lines)


def _pictures_in(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    attachments = message.get("attachments")
    for attachment in attachments if isinstance(attachments, list) else ():
        if not isinstance(attachment, dict):
            continue
        url, size, kind = (attachment.get(name) for name in ("url", "size", "content_type"))
        if isinstance(url, str) and type(size) is int and isinstance(kind, str) and kind.startswith("image/"):
            yield {"url": url, "size": size, "content_type": kind}
