"""The 🔁 button under an answer that did not come about: the same command once more, with one press.

The button carries nothing but the job's id (`custom_id`, at most 100 characters), so any instance can serve it; what
was asked is kept in the store with the job that ended repeatable. A press is an interaction of its own, with its own
token and its own answer: its body with the original command's `data` becomes the new job's payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.discord.models import MalformedInteraction, read_json
from app.discord.replies import action_row, button, encode
from app.discord.wire import InteractionType
from app.texts import Locale, Text

PREFIX = "again:"

_LABEL = Text(ko="🔁 다시 시도", en="🔁 Try again")


def again_button(job_id: str, locale: Locale) -> tuple[Mapping[str, Any], ...]:
    """Return a message's components: one button that does the job again."""
    return (action_row(button(_LABEL.to(locale), PREFIX + job_id)),)


def job_named(custom_id: str) -> str | None:
    """Return the id of the job a button's `custom_id` names; None if the button is another."""
    return custom_id.removeprefix(PREFIX) if custom_id.startswith(PREFIX) else None


def as_command(press: object, original: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the press as the command it stands for, with the original's `data`: parsed, and as a raw JSON body."""
    command = read_json(original)
    if not isinstance(press, dict) or not isinstance(command, dict):
        raise MalformedInteraction("expected a JSON object")
    kept = {name: value for name, value in press.items() if name not in ("message", "data")}
    stands_for = {**kept, "type": int(InteractionType.APPLICATION_COMMAND), "data": command.get("data")}
    return stands_for, encode(stands_for)
