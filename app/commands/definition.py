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
    definition = {"type": int(CommandType.CHAT_INPUT), **_named(name, description), **_everywhere()}
    if options:
        definition["options"] = list(options)
    return definition


def message_command(name: Text) -> dict[str, Any]:
    """Return the definition of a command in a message's menu (Apps); those have no description and no options."""
    return {"type": int(CommandType.MESSAGE), **_called(name), **_everywhere()}


def option(kind: OptionType, name: Text, description: Text, *, required: bool = False, **more: Any) -> dict[str, Any]:
    """Return an option's definition; `more` are further fields, like `min_length` or `choices`."""
    return {"type": int(kind), **_named(name, description), "required": required, **more}


def completed(name: Text, description: Text, *, required: bool = False, **more: Any) -> dict[str, Any]:
    """Return a text option whose choices are asked for while the user types (`autocomplete`)."""
    return option(OptionType.STRING, name, description, required=required, autocomplete=True, **more)


def attachment(name: Text, description: Text, *, required: bool = False) -> dict[str, Any]:
    """Return an option that takes a file; its value is the id of one of `resolved.attachments`."""
    return option(OptionType.ATTACHMENT, name, description, required=required)


def boolean(name: Text, description: Text, *, required: bool = False) -> dict[str, Any]:
    """Return an option that is true or false."""
    return option(OptionType.BOOLEAN, name, description, required=required)


def subcommand(name: Text, description: Text, options: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return a subcommand; a command that has one is not usable without."""
    return {"type": int(OptionType.SUB_COMMAND), **_named(name, description), "options": list(options)}


def choice(name: Text, value: str) -> dict[str, Any]:
    """Return one of an option's choices."""
    return {"name": name.ko, "name_localizations": _localized(name), "value": value}


def _named(name: Text, description: Text) -> dict[str, Any]:
    described = {"description": description.ko, "description_localizations": _localized(description)}
    return {**_called(name), **described}


def _called(name: Text) -> dict[str, Any]:
    return {"name": name.ko, "name_localizations": _localized(name)}


def _everywhere() -> dict[str, Any]:
    return {
        "contexts": [int(context) for context in InteractionContext],
        "integration_types": [int(kind) for kind in IntegrationType],
    }


def _localized(text: Text) -> dict[str, str]:
    return {"ko": text.ko, **dict.fromkeys(ENGLISH, text.en)}
