"""Interaction payloads as Discord sends them: every documented field, for a guild, a bot DM or a user install."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT, PING = 2, 3, 4, 5, 1
GUILD_ID = "1100000000000000000"
GUILD_CHANNEL_ID = "1150000000000000000"
DM_CHANNEL_ID = "1160000000000000000"
PERMISSIONS = "2248473465835073"
OPTION_STRING, OPTION_INTEGER, OPTION_BOOLEAN, OPTION_USER, OPTION_NUMBER, OPTION_ATTACHMENT = 3, 4, 5, 6, 10, 11
PLACES = ("guild", "dm", "user_install")


def user_object(user_id: str) -> dict[str, Any]:
    """Return a user as Discord shows one to an application."""
    return {
        "id": user_id, "username": f"user{user_id[-6:]}", "global_name": f"User {user_id[-6:]}", "avatar": None,
        "avatar_decoration_data": None, "collectibles": None, "discriminator": "0", "primary_guild": None,
        "public_flags": 0, "flags": 0,
    }  # fmt: skip


def member_object(user_id: str) -> dict[str, Any]:
    """Return a guild member."""
    return {
        "user": user_object(user_id), "roles": [], "permissions": PERMISSIONS, "nick": None, "avatar": None,
        "banner": None, "joined_at": "2026-01-02T03:04:05.000000+00:00", "premium_since": None, "pending": False,
        "mute": False, "deaf": False, "flags": 0, "communication_disabled_until": None,
        "unusual_dm_activity_until": None,
    }  # fmt: skip


def place_fields(place: str, user_id: str, guild_locale: str = "en-US") -> dict[str, Any]:
    """Return what depends on where the user is; only `member` in a guild, only `user` elsewhere."""
    if place == "guild":
        return {
            "guild_id": GUILD_ID, "guild": {"id": GUILD_ID, "locale": guild_locale, "features": []},
            "guild_locale": guild_locale, "channel_id": GUILD_CHANNEL_ID,
            "channel": {"id": GUILD_CHANNEL_ID, "type": 0, "guild_id": GUILD_ID, "name": "general", "nsfw": False,
                        "permissions": PERMISSIONS, "parent_id": None, "position": 0, "rate_limit_per_user": 0,
                        "topic": None, "last_message_id": None, "flags": 0},
            "member": member_object(user_id), "authorizing_integration_owners": {"0": GUILD_ID}, "context": 0,
        }  # fmt: skip
    if place not in PLACES:
        raise ValueError(f"place must be one of {', '.join(PLACES)}")
    owners, context = ({"0": "0"}, 1) if place == "dm" else ({"1": user_id}, 2)
    return {
        "channel_id": DM_CHANNEL_ID, "channel": {"id": DM_CHANNEL_ID, "type": 1 if place == "dm" else 3, "flags": 0},
        "user": user_object(user_id), "authorizing_integration_owners": owners, "context": context,
    }  # fmt: skip


def frame(
    kind: int, *, interaction_id: str, token: str, application_id: str, user_id: str, place: str, locale: str,
    guild_locale: str, size_limit: int,
) -> dict[str, Any]:  # fmt: skip
    """Return the fields every interaction but a PING has."""
    return {
        "id": interaction_id, "application_id": application_id, "type": kind, "token": token, "version": 1,
        "locale": locale, "app_permissions": PERMISSIONS, "entitlements": [], "entitlement_sku_ids": [],
        "attachment_size_limit": size_limit, **place_fields(place, user_id, guild_locale),
    }  # fmt: skip


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


def message_object(message_id: str, channel_id: str, application_id: str) -> dict[str, Any]:
    """Return the fixed fields of a message the application wrote; the caller adds what it says."""
    author = {**user_object(application_id), "username": "quartet", "global_name": None, "bot": True}
    return {
        "id": message_id, "channel_id": channel_id, "type": 20, "author": author, "application_id": application_id,
        "webhook_id": application_id, "mentions": [], "mention_roles": [], "pinned": False, "tts": False,
    }  # fmt: skip


def filled(row: dict[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return a modal's row as it is submitted, with the typed values."""

    def fill(component: dict[str, Any]) -> dict[str, Any]:
        name = component.get("custom_id", "")
        return {"type": component.get("type"), "id": 2, "custom_id": name, "value": fields.get(name, "")}

    if row.get("type") == 18:
        return {"type": 18, "id": 1, "component": fill(row["component"])}
    return {"type": row.get("type"), "id": 1, "components": [fill(child) for child in row.get("components", [])]}


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
