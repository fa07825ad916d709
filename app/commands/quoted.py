"""The text of somebody's message, as Discord describes it: what a message command is used on.

Shapes: https://discord.com/developers/docs/resources/message#message-object. What is missing or of another shape is
taken for empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.discord.wire import ComponentType

LONGEST_QUOTED = 12_000
"""More than a message with all its embeds has; a bound for what is not Discord's doing."""

_DEEPEST = 8


def text_of(message: Mapping[str, Any]) -> str:
    """Return all text of a message: its own, that of what it forwards, of embeds, a poll and text components."""
    pieces = (piece.strip() for piece in _pieces(message))
    return "\n".join(piece for piece in pieces if piece)[:LONGEST_QUOTED]


def _pieces(message: Mapping[str, Any]) -> Iterator[str]:
    yield _text(message, "content")
    for snapshot in _objects(message, "message_snapshots"):
        forwarded = snapshot.get("message")
        if isinstance(forwarded, dict):
            yield _text(forwarded, "content")
            yield from _embedded(forwarded)
    yield from _embedded(message)
    poll = message.get("poll")
    if isinstance(poll, dict):
        yield _nested(poll, "question", "text")
        yield from (_nested(answer, "poll_media", "text") for answer in _objects(poll, "answers"))
    yield from _displayed(message, _DEEPEST)


def _embedded(message: Mapping[str, Any]) -> Iterator[str]:
    for embed in _objects(message, "embeds"):
        yield _nested(embed, "author", "name")
        yield _text(embed, "title")
        yield _text(embed, "description")
        for field in _objects(embed, "fields"):
            yield f"{_text(field, 'name')}: {_text(field, 'value')}".strip(": ")
        yield _nested(embed, "footer", "text")


def _displayed(parent: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Yield the texts of a message that is laid out with components."""
    for component in _objects(parent, "components") if depth else ():
        if component.get("type") == ComponentType.TEXT_DISPLAY:
            yield _text(component, "content")
        yield from _displayed(component, depth - 1)


def file_names(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the files attached to a message."""
    for attachment in _objects(message, "attachments"):
        if _text(attachment, "filename"):
            yield _text(attachment, "filename")


def _objects(parent: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    items = parent.get(name)
    yield from (item for item in items if isinstance(item, dict)) if isinstance(items, list) else ()


def _nested(parent: Mapping[str, Any], name: str, field: str) -> str:
    inner = parent.get(name)
    return _text(inner, field) if isinstance(inner, dict) else ""


def _text(parent: Mapping[str, Any], name: str) -> str:
    value = parent.get(name)
    return value if isinstance(value, str) else ""
