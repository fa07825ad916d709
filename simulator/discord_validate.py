"""What Discord accepts as a message: limits of content, embeds, mentions, attachments and flags.

Source: Discord's documentation of resources/message and resources/webhook, as of August 2026.
"""

from __future__ import annotations

from typing import Any

from simulator.discord_components import check_components
from simulator.discord_errors import Faultfinder

MAX_CONTENT = 2000
MAX_EMBEDS = 10
MAX_EMBED_TEXT = 6000
MAX_FILES = 10
FLAG_SUPPRESS_EMBEDS = 1 << 2
FLAG_EPHEMERAL = 1 << 6
FLAG_SUPPRESS_NOTIFICATIONS = 1 << 12
FLAG_VOICE = 1 << 13
FLAG_COMPONENTS_V2 = 1 << 15
CREATE_FLAGS = FLAG_SUPPRESS_EMBEDS | FLAG_EPHEMERAL | FLAG_SUPPRESS_NOTIFICATIONS | FLAG_VOICE | FLAG_COMPONENTS_V2
EDIT_FLAGS = FLAG_SUPPRESS_EMBEDS | FLAG_COMPONENTS_V2
EMBED_TEXTS = {"title": 256, "description": 4096, "url": 2048}
EMBED_PARTS = {"footer": ("text", 2048), "author": ("name", 256)}


def check_message(
    body: dict[str, Any], faults: Faultfinder, *, path: str = "", editing: bool = False, files: list[str] | None = None
) -> None:
    """Note everything wrong with a message body; `files` are the indexes of uploaded `files[n]`."""
    at = f"{path}." if path else ""
    content = body.get("content")
    if content is not None:
        if isinstance(content, str):
            faults.length(f"{at}content", content, MAX_CONTENT)
        else:
            faults.wrong_type(f"{at}content", "a string")
    _check_flags(body, faults, at, editing)
    _check_embeds(body.get("embeds"), faults, at)
    _check_mentions(body.get("allowed_mentions"), faults, f"{at}allowed_mentions")
    check_components(body.get("components"), faults, f"{at}components", v2=_is_v2(body))
    _check_attachments(body.get("attachments"), faults, at, files or [])
    if body.get("tts") is not None and not isinstance(body["tts"], bool):
        faults.wrong_type(f"{at}tts", "a boolean")


def _is_v2(body: dict[str, Any]) -> bool:
    flags = body.get("flags")
    return isinstance(flags, int) and bool(flags & FLAG_COMPONENTS_V2)


def _check_flags(body: dict[str, Any], faults: Faultfinder, at: str, editing: bool) -> None:
    flags = body.get("flags")
    if flags is None:
        return
    if isinstance(flags, bool) or not isinstance(flags, int):
        faults.wrong_type(f"{at}flags", "an integer")
        return
    # Ephemerality is fixed by the first response; an edit that repeats it is tolerated by Discord and changes nothing.
    allowed = EDIT_FLAGS | FLAG_EPHEMERAL if editing else CREATE_FLAGS
    if flags & ~allowed or flags < 0:
        faults.add(f"{at}flags", "MESSAGE_FLAGS_INVALID", "These flags can't be set here.")
    if flags & FLAG_COMPONENTS_V2:
        for name in ("content", "embeds", "poll"):
            if body.get(name):
                faults.add(f"{at}{name}", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                           f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2")  # fmt: skip


def _check_embeds(embeds: Any, faults: Faultfinder, at: str) -> None:
    if embeds is None:
        return
    if not isinstance(embeds, list):
        faults.wrong_type(f"{at}embeds", "a list")
        return
    if len(embeds) > MAX_EMBEDS:
        faults.add(f"{at}embeds", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_EMBEDS} or fewer in length.")
    total = sum(_check_embed(embed, faults, f"{at}embeds.{i}") for i, embed in enumerate(embeds))
    if total > MAX_EMBED_TEXT:
        faults.add(f"{at}embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _check_embed(embed: Any, faults: Faultfinder, path: str) -> int:
    """Check one embed and return how many characters count towards the common limit."""
    if not isinstance(embed, dict):
        faults.wrong_type(path, "an object")
        return 0
    total = 0
    for name, limit in EMBED_TEXTS.items():
        total += _check_text(embed.get(name), faults, f"{path}.{name}", limit) if name != "url" else 0
    for name, (key, limit) in EMBED_PARTS.items():
        part = embed.get(name)
        if part is None:
            continue
        if not isinstance(part, dict) or not part.get(key):
            faults.required(f"{path}.{name}.{key}")
        else:
            total += _check_text(part[key], faults, f"{path}.{name}.{key}", limit)
    for name in ("image", "thumbnail"):
        url = (embed.get(name) or {}).get("url", "") if isinstance(embed.get(name) or {}, dict) else None
        if embed.get(name) is not None and not _is_media_url(url):
            faults.add(f"{path}.{name}.url", "URL_TYPE_INVALID_URL", "Not a well formed URL.")
    color = embed.get("color")
    if color is not None and (not isinstance(color, int) or not 0 <= color <= 0xFFFFFF):
        faults.add(f"{path}.color", "NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215.")
    return total + _check_fields(embed.get("fields"), faults, f"{path}.fields")


def _check_fields(fields: Any, faults: Faultfinder, path: str) -> int:
    if fields is None:
        return 0
    if not isinstance(fields, list) or len(fields) > 25:
        faults.add(path, "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        return 0
    total = 0
    for i, item in enumerate(fields):
        for key, limit in (("name", 256), ("value", 1024)):
            if not isinstance(item, dict) or not item.get(key):
                faults.required(f"{path}.{i}.{key}")
            else:
                total += _check_text(item[key], faults, f"{path}.{i}.{key}", limit)
    return total


def _check_text(value: Any, faults: Faultfinder, path: str, limit: int) -> int:
    if value is None:
        return 0
    if not isinstance(value, str):
        faults.wrong_type(path, "a string")
        return 0
    faults.length(path, value, limit)
    return len(value.strip())


def _is_media_url(url: Any) -> bool:
    return isinstance(url, str) and url.startswith(("http://", "https://", "attachment://"))


def _check_mentions(mentions: Any, faults: Faultfinder, path: str) -> None:
    if mentions is None:
        return
    if not isinstance(mentions, dict):
        faults.wrong_type(path, "an object")
        return
    parse = mentions.get("parse") or []
    if not isinstance(parse, list):
        faults.wrong_type(f"{path}.parse", "a list")
        return
    for i, kind in enumerate(parse):
        if kind not in ("users", "roles", "everyone"):
            faults.choice(f"{path}.parse.{i}", kind, "('users', 'roles', 'everyone')")
    for kind in ("users", "roles"):
        ids = mentions.get(kind) or []
        if not isinstance(ids, list) or len(ids) > 100 or not all(str(i).isdigit() for i in ids):
            faults.add(f"{path}.{kind}", "BASE_TYPE_BAD_TYPE", "Must be at most 100 snowflakes.")
        elif ids and kind in parse:
            faults.add(path, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                       f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.')  # fmt: skip


def _check_attachments(attachments: Any, faults: Faultfinder, at: str, files: list[str]) -> None:
    if len(files) > MAX_FILES:
        faults.add(f"{at}files", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FILES} or fewer in length.")
    if attachments is None:
        return
    if not isinstance(attachments, list) or len(attachments) > MAX_FILES:
        faults.add(f"{at}attachments", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FILES} or fewer in length.")
        return
    for i, item in enumerate(attachments):
        path = f"{at}attachments.{i}"
        if not isinstance(item, dict) or not str(item.get("id", "")).isdigit():
            faults.required(f"{path}.id")
            continue
        # A short id is an index into files[n]; a long one is the snowflake of an attachment that is to stay.
        if len(str(item["id"])) < 15 and str(item["id"]) not in files:
            faults.add(path, "ATTACHMENT_NOT_FOUND", f"files[{item['id']}] was not uploaded")
        for name in ("filename", "description"):
            _check_text(item.get(name), faults, f"{path}.{name}", 1024)
