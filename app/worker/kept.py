"""A job's last word as bytes, for the store to keep until it is delivered.

What was paid for is not paid for again. And since keeping takes the current lease, there is at most one last word:
whoever delivers it, and however often, sends the very same edit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from app.discord.replies import Attachment, Message
from app.jobs.job import Outcome


@dataclass(frozen=True, slots=True)
class Ended:
    """A job's last message, and what is recorded with it."""

    message: Message
    outcome: Outcome
    provider: str = ""
    error: str = ""
    repeatable: bool = False


def pack(ended: Ended) -> bytes:
    """Return one JSON line followed by the files' bytes."""
    message = ended.message
    head = {
        "outcome": ended.outcome.value,
        "provider": ended.provider,
        "error": ended.error,
        "repeatable": ended.repeatable,
        "content": message.content,
        "embeds": list(message.embeds),
        "components": list(message.components),
        "files": [[a.filename, a.media_type, a.description, len(a.data)] for a in message.attachments],
    }
    return b"\n".join([json.dumps(head).encode(), b"".join(a.data for a in message.attachments)])


def unpack(packed: bytes) -> Ended:
    """Return what `pack` packed."""
    line, _, data = packed.partition(b"\n")
    head = json.loads(line)
    files, start = [], 0
    for filename, media_type, description, size in head["files"]:
        files.append(Attachment(filename, data[start : start + size], media_type, description))
        start += size
    message = Message(head["content"], tuple(head["embeds"]), tuple(files), tuple(head["components"]))
    return Ended(message, Outcome(head["outcome"]), head["provider"], head["error"], head["repeatable"])
