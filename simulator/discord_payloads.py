"""Interaction payloads as Discord sends them: every documented field, for a guild, a bot DM or a user install."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT, PING = 2, 3, 4, 5, 1
GUILD_ID = "1100000000000000000"
GUILD_CHANNEL_ID = "1150000000000000000"
DM_CHANNEL_ID = "1160000000000000000"
GROUP_CHANNEL_ID = "1170000000000000000"
PERMISSIONS = "2248473465835073"
OPTION_STRING, OPTION_INTEGER, OPTION_BOOLEAN, OPTION_USER, OPTION_NUMBER, OPTION_ATTACHMENT = 3, 4, 5, 6, 10, 11
PLACES = ("guild", "dm", "user_install")
CONTEXTS = {"guild": 0, "dm": 1, "user_install": 2}
CHANNELS = {"guild": GUILD_CHANNEL_ID, "dm": DM_CHANNEL_ID, "user_install": GROUP_CHANNEL_ID}


class StandingFields(TypedDict, total=False):
    """What may be said about where a user stands; see `Standing`."""

    place: str
    permissions: str | int
    roles: Sequence[str]
    nsfw: bool
    app_permissions: str | int | None
    channel_id: str
    guild_id: str
    guild_locale: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a user stands: the place and channel, and what the user and the application may do there.

    `permissions` are bits as decimal text; `app_permissions` None leaves the channel as it is. In the place
    `user_install` (a group message) only the user installed the application, so the bot is not there.
    """

    place: str = "guild"
    permissions: str | int = PERMISSIONS
    roles: Sequence[str] = ()
    nsfw: bool = False
    app_permissions: str | int | None = None
    channel_id: str = ""
    guild_id: str = GUILD_ID
    guild_locale: str = "en-US"

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise ValueError(f"place must be one of {', '.join(PLACES)}")
        for name in ("permissions", "app_permissions"):
            value = getattr(self, name)
            if value is not None and not str(value).isdigit():
                raise ValueError(f"{name} must be a number of bits, not {value!r}")

    @property
    def channel(self) -> str:
        """Return the channel's id, the place's own unless another is named."""
        return self.channel_id or CHANNELS[self.place]

    @property
    def owners(self) -> dict[str, str]:
        """Return who installed the application here, but for the user (`authorizing_integration_owners`)."""
        return {"guild": {"0": self.guild_id}, "dm": {"0": "0"}}.get(self.place, {})


def user_object(user_id: str) -> dict[str, Any]:
    """Return a user as Discord shows one to an application."""
    return {
        "id": user_id, "username": f"user{user_id[-6:]}", "global_name": f"User {user_id[-6:]}", "avatar": None,
        "avatar_decoration_data": None, "collectibles": None, "discriminator": "0", "primary_guild": None,
        "public_flags": 0, "flags": 0,
    }  # fmt: skip


def member_object(user_id: str, standing: Standing) -> dict[str, Any]:
    """Return a guild member."""
    return {
        "user": user_object(user_id), "roles": list(standing.roles), "permissions": str(standing.permissions),
        "nick": None, "avatar": None, "banner": None, "joined_at": "2026-01-02T03:04:05.000000+00:00",
        "premium_since": None, "pending": False, "mute": False, "deaf": False, "flags": 0,
        "communication_disabled_until": None, "unusual_dm_activity_until": None,
    }  # fmt: skip


def place_fields(standing: Standing, user_id: str) -> dict[str, Any]:
    """Return what depends on where the user is; only `member` in a guild, only `user` elsewhere."""
    channel, context = standing.channel, CONTEXTS[standing.place]
    if standing.place == "guild":
        guild, locale = standing.guild_id, standing.guild_locale
        return {
            "guild_id": guild, "guild": {"id": guild, "locale": locale, "features": []},
            "guild_locale": locale, "channel_id": channel,
            "channel": {"id": channel, "type": 0, "guild_id": guild, "name": "general", "nsfw": standing.nsfw,
                        "permissions": str(standing.permissions), "parent_id": None, "position": 0,
                        "rate_limit_per_user": 0, "topic": None, "last_message_id": None, "flags": 0},
            "member": member_object(user_id, standing), "authorizing_integration_owners": standing.owners,
            "context": context,
        }  # fmt: skip
    return {
        "channel_id": channel, "channel": {"id": channel, "type": 1 if standing.place == "dm" else 3, "flags": 0},
        "user": user_object(user_id), "authorizing_integration_owners": standing.owners or {"1": user_id},
        "context": context,
    }  # fmt: skip


def frame(
    kind: int, *, interaction_id: str, token: str, application_id: str, user_id: str, standing: Standing, locale: str,
    app_permissions: int, size_limit: int,
) -> dict[str, Any]:  # fmt: skip
    """Return the fields every interaction but a PING has."""
    return {
        "id": interaction_id, "application_id": application_id, "type": kind, "token": token, "version": 1,
        "locale": locale, "app_permissions": str(app_permissions), "entitlements": [], "entitlement_sku_ids": [],
        "attachment_size_limit": size_limit, **place_fields(standing, user_id),
    }  # fmt: skip


def metadata(frame: Mapping[str, Any], user_id: str) -> dict[str, Any]:
    """Return `interaction_metadata` as messages carry it, from an interaction's own fields."""
    return {"id": frame["id"], "type": frame["type"], "user": user_object(user_id),
            "authorizing_integration_owners": frame["authorizing_integration_owners"]}  # fmt: skip


def ping(interaction_id: str, token: str, application_id: str) -> dict[str, Any]:
    """Return a PING in the shape Discord sends from its portal: no locale, no data, no context."""
    user = {**user_object("643945264868098049"), "bot": True, "system": True, "discriminator": "0000"}
    return {
        "app_permissions": "562949953601536", "application_id": application_id, "attachment_size_limit": 524288000,
        "authorizing_integration_owners": {}, "entitlements": [], "id": interaction_id, "token": token, "type": PING,
        "user": user, "version": 1,
    }  # fmt: skip


def option_type(value: object) -> int:
    """Guess an option's type from its value, for a command that is not registered."""
    if isinstance(value, bool):
        return OPTION_BOOLEAN
    if isinstance(value, int):
        return OPTION_INTEGER
    return OPTION_NUMBER if isinstance(value, float) else OPTION_STRING


def options_list(values: Mapping[str, Any], known: Mapping[str, Any], focused: str = "") -> list[dict[str, Any]]:
    """Return `data.options`; a nested mapping is a subcommand. `known` maps names to registered options."""
    result: list[dict[str, Any]] = []
    for name, value in values.items():
        registered = known.get(name, {})
        if isinstance(value, Mapping):
            below = {option["name"]: option for option in registered.get("options", [])}
            children = options_list(value, below, focused)
            result.append({"name": name, "type": registered.get("type", 1), "options": children})
            continue
        option = {"name": name, "type": registered.get("type", option_type(value)), "value": value}
        result.append({**option, "focused": True} if name == focused else option)
    return result


def message_object(message_id: str, channel_id: str, kind: int) -> dict[str, Any]:
    """Return the fields every message has; the caller adds author and what it says."""
    return {"id": message_id, "channel_id": channel_id, "type": kind, "mention_roles": [], "pinned": False,
            "tts": False}  # fmt: skip


def bot_author(application_id: str) -> dict[str, Any]:
    """Return the application's own user."""
    return {**user_object(application_id), "username": "quartet", "global_name": None, "bot": True}


def to_bytes(payload: dict[str, Any], shuffle: random.Random | None = None) -> bytes:
    """Serialise as Discord does, keys sorted; with `shuffle` in any order, which receivers must stand too."""
    if shuffle is not None:
        return json.dumps(_shuffled(payload, shuffle), ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        items = list(value.items())
        rng.shuffle(items)
        return {key: _shuffled(item, rng) for key, item in items}
    return [_shuffled(item, rng) for item in value] if isinstance(value, list) else value
