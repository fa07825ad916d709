"""A finished answer as bytes, for the store to keep until it is delivered: what was paid for is not paid for again."""

from __future__ import annotations

import json

from app.commands.base import Answer
from app.discord.replies import Attachment, Message

LARGEST_KEPT = 32 * 1024 * 1024
"""A larger answer is not kept: writing it would hold up every other job's transaction."""


def pack(answer: Answer) -> bytes | None:
    """Return the answer as one JSON line followed by the files' bytes; None if it is too large to be kept."""
    message = answer.message
    head = {
        "provider": answer.provider,
        "content": message.content,
        "embeds": list(message.embeds),
        "components": list(message.components),
        "files": [[a.filename, a.media_type, a.description, len(a.data)] for a in message.attachments],
    }
    packed = b"\n".join([json.dumps(head).encode(), b"".join(a.data for a in message.attachments)])
    return packed if len(packed) <= LARGEST_KEPT else None


def unpack(packed: bytes) -> Answer:
    """Return the answer that `pack` packed."""
    line, _, data = packed.partition(b"\n")
    head = json.loads(line)
    files, start = [], 0
    for filename, media_type, description, size in head["files"]:
        files.append(Attachment(filename, data[start : start + size], media_type, description))
        start += size
    message = Message(head["content"], tuple(head["embeds"]), tuple(files), tuple(head["components"]))
    return Answer(message, head["provider"])
