"""The buttons and menus that stand under messages, and what their `custom_id`s say.

A `custom_id` (at most 100 characters) is `<action>:<argument>` and all there is to know about a press: any instance
serves it, also one that was started after the message was made. Each builder returns a message's `components`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from app.discord.replies import action_row, button, select
from app.discord.wire import ButtonStyle
from app.texts import Locale, Text


class Action(StrEnum):
    """What a press asks for; the argument is a job's id unless something else is said."""

    STOP = "stop"
    AGAIN = "again"
    CONTINUE = "continue"
    VARY = "vary"
    RATIO = "ratio"
    """A select menu; its value is the ratio."""

    UPSCALE = "upscale"
    DELETE = "delete"
    """The argument is `<asker's user id>:<job id>`."""

    FORM = "form"
    """A modal; the argument is a command's name."""

    MEMORY = "memory"
    """The argument is `<what>:<user id>`, as with `SETTINGS`."""

    SETTINGS = "settings"


Components = tuple[Mapping[str, Any], ...]

_STOP = Text(ko="⏹ 멈추기", en="⏹ Stop")
_AGAIN = Text(ko="🔁 다시", en="🔁 Again")
_TRY_AGAIN = Text(ko="🔁 다시 시도", en="🔁 Try again")
_CONTINUE = Text(ko="➡️ 이어서", en="➡️ Continue")
_VARY = Text(ko="🎲 다른 그림 4장", en="🎲 4 variations")
_UPSCALE = Text(ko="⬆️ 크게", en="⬆️ Upscale")
_DELETE = Text(ko="🗑 지우기", en="🗑 Delete")
_RATIO = Text(ko="🖼 다른 비율로 다시 그리기", en="🖼 Draw it in another ratio")


def custom_id(action: Action, *arguments: str) -> str:
    """Return the `custom_id` of a component."""
    return ":".join((action, *arguments))


def read_custom_id(value: str) -> tuple[str, str]:
    """Return a `custom_id`'s action and argument; either may be empty or unknown."""
    action, _, argument = value.partition(":")
    return action, argument


def stop_row(job_id: str, locale: Locale) -> Components:
    """Return the components of a message that says what happens now: ⏹."""
    return (action_row(_button(_STOP, locale, Action.STOP, job_id)),)


def retry_row(job_id: str, locale: Locale) -> Components:
    """Return the components of a failure that may be tried once more: 🔁."""
    return (action_row(_button(_TRY_AGAIN, locale, Action.AGAIN, job_id)),)


def answer_rows(job_id: str, asker_id: str, locale: Locale, *, cut: bool = False) -> Components:
    """Return the components of a chat answer or a video: 🔁, ➡️ where the answer was `cut`, 🗑."""
    buttons = [_button(_AGAIN, locale, Action.AGAIN, job_id)]
    if cut:
        buttons.append(_button(_CONTINUE, locale, Action.CONTINUE, job_id, style=ButtonStyle.PRIMARY))
    return (action_row(*buttons, _delete(asker_id, job_id, locale)),)


def picture_rows(
    job_id: str,
    asker_id: str,
    locale: Locale,
    *,
    ratios: Mapping[str, Text],
    vary: bool = True,
    upscale: bool = True,
) -> Components:
    """Return the components of a picture: 🔁, 🎲, ⬆️, 🗑 in one row, a menu of other `ratios` (if any) in the next."""
    buttons = [_button(_AGAIN, locale, Action.AGAIN, job_id)]
    if vary:
        buttons.append(_button(_VARY, locale, Action.VARY, job_id))
    if upscale:
        buttons.append(_button(_UPSCALE, locale, Action.UPSCALE, job_id))
    row = action_row(*buttons, _delete(asker_id, job_id, locale))
    if not ratios:
        return (row,)
    return row, action_row(_ratio_menu(job_id, locale, ratios))


def _button(
    label: Text, locale: Locale, action: Action, *arguments: str, style: ButtonStyle = ButtonStyle.SECONDARY
) -> dict[str, Any]:
    return button(label.to(locale), custom_id(action, *arguments), style)


def _delete(asker_id: str, job_id: str, locale: Locale) -> dict[str, Any]:
    return _button(_DELETE, locale, Action.DELETE, asker_id, job_id)


def _ratio_menu(job_id: str, locale: Locale, ratios: Mapping[str, Text]) -> dict[str, Any]:
    options = [(name.to(locale), ratio) for ratio, name in ratios.items()]
    return select(custom_id(Action.RATIO, job_id), options, _RATIO.to(locale))
