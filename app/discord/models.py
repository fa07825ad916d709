"""An incoming interaction, read from its raw JSON body.

Fields as documented in https://discord.com/developers/docs/interactions/receiving-and-responding; whatever else Discord
sends is ignored. In a guild the user stands in `member.user`, elsewhere in `user`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from pydantic_core import from_json

from app.discord.wire import ATTACHMENT_SIZE_DEFAULT, IntegrationType, InteractionType, MessageFlag, Permission
from app.texts import Locale, locale_of

DISCORD_EPOCH_MS = 1_420_070_400_000

DERIVED_FIELD = "quartet"
"""The one field of a recorded payload that is ours and not Discord's."""

_LONGEST_SNOWFLAKE = 20


class MalformedInteraction(ValueError):
    """The body is no interaction; the message says what was expected."""


@dataclass(slots=True)
class Interaction:
    """One interaction. Ids are decimal strings; `options` holds the values by option name, in the default names.

    `type` is the number Discord sent, known or not. `focused` names the option that an autocomplete asks about.
    Nobody changes one, yet it is not frozen: each request makes one, and then it takes a third of the time.
    """

    id: str
    type: int
    token: str
    application_id: str
    user_id: str
    locale: Locale
    command: str
    options: Mapping[str, Any]
    focused: str | None
    custom_id: str
    guild_id: str | None
    channel_id: str | None
    attachment_size_limit: int
    resolved: Mapping[str, Any]
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def created_at(self) -> float:
        """When Discord made the interaction, seconds since the epoch."""
        return made_at(self.id)

    # What only some interactions are asked for is read from the payload when it is asked for.

    @property
    def data(self) -> Mapping[str, Any]:
        """What was used: the command, the component or the modal."""
        return _object(self.payload, "data")

    @property
    def command_type(self) -> int:
        """The command's type (`CommandType`); 1, a slash command, unless Discord says otherwise."""
        kind = self.data.get("type")
        return kind if type(kind) is int else 1

    @property
    def target_message(self) -> Mapping[str, Any]:
        """The message a message command was used on; empty for other commands."""
        return _object(_object(self.resolved, "messages"), str(self.data.get("target_id", "")))

    @property
    def message(self) -> Mapping[str, Any]:
        """The message whose component was used."""
        return _object(self.payload, "message")

    @property
    def message_is_private(self) -> bool:
        """Whether only the user sees the message whose component was used."""
        flags = self.message.get("flags")
        return type(flags) is int and bool(flags & MessageFlag.EPHEMERAL)

    @property
    def moderates(self) -> bool:
        """Whether the user may delete others' messages here; nobody may outside of servers."""
        allowed = Permission.MANAGE_MESSAGES | Permission.ADMINISTRATOR
        return self.guild_id is not None and bool(self.permissions & allowed)

    @property
    def asker_id(self) -> str | None:
        """Whose command made the message whose component was used; None if Discord does not say."""
        asker = _object(_object(self.message, "interaction_metadata"), "user").get("id")
        return asker if is_snowflake(asker) else None

    @property
    def values(self) -> Sequence[str]:
        """What was chosen in a select menu."""
        values = self.data.get("values")
        return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []

    @property
    def fields(self) -> Mapping[str, str]:
        """What was entered in a modal, by the fields' custom ids; in labels as in (deprecated) action rows."""
        return dict(_entered(self.data.get("components")))

    @property
    def role_ids(self) -> Sequence[str]:
        """The roles the user has in the server; none elsewhere."""
        roles = _object(self.payload, "member").get("roles")
        return [role for role in roles if is_snowflake(role)] if isinstance(roles, list) else []

    @property
    def permissions(self) -> int:
        """The user's permissions in the channel, as bits (`Permission`); 0 outside of servers."""
        return _bits(_object(self.payload, "member").get("permissions"))

    @property
    def app_permissions(self) -> int:
        """The application's permissions where it was used, as bits."""
        return _bits(self.payload.get("app_permissions"))

    @property
    def age_restricted(self) -> bool:
        """Whether the channel is for adults only."""
        return _object(self.payload, "channel").get("nsfw") is True

    @property
    def bot_present(self) -> bool:
        """Whether the bot itself is in the server or the direct message, and not only a user's installation."""
        return str(int(IntegrationType.GUILD_INSTALL)) in _object(self.payload, "authorizing_integration_owners")

    @property
    def derived(self) -> Mapping[str, Any]:
        """What a button or a form made of the command it stands for (`app/commands/derived.py`); empty for others."""
        return _object(self.payload, DERIVED_FIELD)


def made_at(snowflake: str) -> float:
    """Return when Discord made an id, seconds since the epoch (reference#snowflakes)."""
    return ((int(snowflake) >> 22) + DISCORD_EPOCH_MS) / 1000


def interaction_type(payload: object) -> int:
    """Return the `type` of a parsed body; raise `MalformedInteraction` if it has none."""
    if not isinstance(payload, dict):
        raise MalformedInteraction("expected a JSON object")
    kind = payload.get("type")
    if type(kind) is not int:
        raise MalformedInteraction("type: expected an integer")
    return kind


def read_json(body: bytes) -> object:
    """Parse a body; raise `MalformedInteraction` if it is no JSON."""
    try:
        return from_json(body, cache_strings="keys")
    except (ValueError, RecursionError) as error:
        raise MalformedInteraction("expected JSON") from error


def parse(payload: object) -> Interaction:
    """Read an interaction other than a PING; raise `MalformedInteraction` naming the first field that is wrong."""
    kind = interaction_type(payload)
    assert isinstance(payload, dict)
    data = _mapping(payload, "data")
    options, focused = _options(data.get("options") or [])
    return Interaction(
        id=_snowflake(payload, "id"),
        type=kind,
        token=_text(payload, "token"),
        application_id=_snowflake(payload, "application_id"),
        user_id=_user_id(payload),
        locale=locale_of(_optional_text(payload, "locale") or _optional_text(payload, "guild_locale")),
        command=_text(data, "name") if kind in _NAMED else "",
        options=options,
        focused=focused,
        custom_id=_text(data, "custom_id") if kind in _WITH_CUSTOM_ID else "",
        guild_id=_optional_text(payload, "guild_id"),
        channel_id=_optional_text(payload, "channel_id"),
        attachment_size_limit=_size_limit(payload),
        resolved=_mapping(data, "resolved"),
        payload=payload,
    )


_NAMED = (InteractionType.APPLICATION_COMMAND, InteractionType.APPLICATION_COMMAND_AUTOCOMPLETE)
_WITH_CUSTOM_ID = (InteractionType.MESSAGE_COMPONENT, InteractionType.MODAL_SUBMIT)


def _mapping(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedInteraction(f"{name}: expected an object")
    return value


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _bits(value: object) -> int:
    return int(value) if is_snowflake(value) else 0  # permissions are written like ids: up to 64 bits in decimal


def _entered(components: object) -> Iterator[tuple[str, str]]:
    for component in components if isinstance(components, list) else ():
        if not isinstance(component, dict):
            continue
        custom_id, value = component.get("custom_id"), component.get("value")
        if isinstance(custom_id, str) and isinstance(value, str):
            yield custom_id, value
        yield from _entered(component.get("components"))
        if isinstance(component.get("component"), dict):
            yield from _entered([component["component"]])


def _text(parent: Mapping[str, Any], name: str) -> str:
    value = parent.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedInteraction(f"{name}: expected a text")
    return value


def _optional_text(parent: Mapping[str, Any], name: str) -> str | None:
    value = parent.get(name)
    return value if isinstance(value, str) else None


def is_snowflake(value: object) -> TypeGuard[str]:
    """Return whether `value` is an id as Discord writes it: a string of up to 20 ASCII digits."""
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_SNOWFLAKE


def _snowflake(parent: Mapping[str, Any], name: str) -> str:
    value = parent.get(name)
    if not is_snowflake(value):
        raise MalformedInteraction(f"{name}: expected an id of up to 20 digits")
    return value


def _user_id(payload: Mapping[str, Any]) -> str:
    holder = _mapping(payload, "member") or payload
    return _snowflake(_mapping(holder, "user"), "id")


def _size_limit(payload: Mapping[str, Any]) -> int:
    value = payload.get("attachment_size_limit")
    return value if type(value) is int and value > 0 else ATTACHMENT_SIZE_DEFAULT


def _options(options: object) -> tuple[Mapping[str, Any], str | None]:
    """Flatten the options; those of a subcommand stand in the `options` of the one option that names it."""
    values: dict[str, Any] = {}
    focused = None
    if not isinstance(options, list):
        raise MalformedInteraction("options: expected a list")
    for option in options:
        if not isinstance(option, dict) or not isinstance(option.get("name"), str):
            raise MalformedInteraction("options: expected objects with a name")
        if "options" in option:
            nested, nested_focus = _options(option["options"])
            values |= nested
            focused = nested_focus or focused
        elif "value" in option:
            values[option["name"]] = option["value"]
            focused = option["name"] if option.get("focused") is True else focused
    return values, focused
