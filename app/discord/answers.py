"""What Discord gets for its request: a status and a JSON body, and the ones that are always the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.discord import replies
from app.discord.replies import Message
from app.texts import Locale, Text


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status and a JSON body; `label` names for the metrics what this was."""

    status: int
    body: bytes
    label: str


UNAUTHORIZED: Final = Reply(401, b'{"error":"unauthorized"}', "unauthorized")
DRAINING: Final = Reply(503, b'{"error":"draining"}', "draining")
SILENT: Final = Reply(503, b'{"error":"the store does not answer"}', "store_silent")
PONG: Final = Reply(200, replies.PONG, "pong")
DEFERRED: Final = Reply(200, replies.deferred(), "deferred")
DEFERRED_PRIVATE: Final = Reply(200, replies.deferred(ephemeral=True), "deferred")
NOTED: Final = Reply(200, replies.DEFERRED_UPDATE, "noted")
"""The answer to a press whose effect shows elsewhere."""

NO_CHOICES: Final = Reply(200, replies.autocomplete([]), "autocomplete")


def deferred(private: bool) -> Reply:
    """Return "thinking…", for everybody or for the user alone."""
    return DEFERRED_PRIVATE if private else DEFERRED


def private(text: Text, locale: Locale, label: str) -> Reply:
    """Return a sentence that only the user sees."""
    return Reply(200, replies.immediate(Message(text.to(locale)), ephemeral=True), label)
