"""How a command introduces itself to Discord: Korean by default, English localized.

Shapes: https://discord.com/developers/docs/interactions/application-commands. Every command works in servers, in the
bot's direct messages and, installed by a user, anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.discord.wire import CommandType, IntegrationType, InteractionContext, OptionType
from app.texts import Text

ENGLISH = ("en-US", "en-GB")


def slash(name: Text, description: Text, options: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return a slash command's definition; `name.ko` is the name that payloads carry."""
    definition: dict[str, Any] = {"type": int(CommandType.CHAT_INPUT), **_named(name, description)}
    definition["contexts"] = [int(context) for context in InteractionContext]
    definition["integration_types"] = [int(kind) for kind in IntegrationType]
    if options:
        definition["options"] = list(options)
    return definition


def option(kind: OptionType, name: Text, description: Text, *, required: bool = False, **more: Any) -> dict[str, Any]:
    """Return an option's definition; `more` are further fields, like `min_length` or `choices`."""
    return {"type": int(kind), **_named(name, description), "required": required, **more}


def choice(name: Text, value: str) -> dict[str, Any]:
    """Return one of an option's choices."""
    return {"name": name.ko, "name_localizations": _localized(name), "value": value}


def _named(name: Text, description: Text) -> dict[str, Any]:
    return {
        "name": name.ko,
        "name_localizations": _localized(name),
        "description": description.ko,
        "description_localizations": _localized(description),
    }


def _localized(text: Text) -> dict[str, str]:
    return {"ko": text.ko, **dict.fromkeys(ENGLISH, text.en)}
