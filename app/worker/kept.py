"""A job's last word as bytes, for the store to keep until it is delivered.

What was paid for is not paid for again. And since keeping takes the current lease, there is at most one last word:
whoever delivers it, and however often, sends the very same messages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from app.discord.replies import Attachment, Message
from app.jobs.job import Outcome, Repeat
from app.userdata.conversations import Turn
from app.userdata.usage import NO_USAGE, Usage

_FORMER = {True: Repeat.ONCE, False: Repeat.NONE}


@dataclass(frozen=True, slots=True)
class Ended:
    """A job's last message, what follows it, and what is recorded with it.

    `parts` are posted after `message`. `whole` is the text of all of them, for the case that a part can't be posted;
    empty if it is no more than the messages' own contents. `turn` is what is remembered, `usage` what it took.
    """

    message: Message
    outcome: Outcome
    provider: str = ""
    error: str = ""
    repeat: Repeat = Repeat.NONE
    parts: tuple[Message, ...] = ()
    whole: str = ""
    turn: Turn | None = None
    usage: Usage = NO_USAGE


def pack(ended: Ended) -> bytes:
    """Return one JSON line followed by the files' bytes."""
    messages = (ended.message, *ended.parts)
    head = {
        "outcome": ended.outcome.value,
        "provider": ended.provider,
        "error": ended.error,
        "repeat": ended.repeat.value,
        "messages": [_describe(message) for message in messages],
        "whole": ended.whole,
        "turn": asdict(ended.turn) if ended.turn else None,
        "usage": asdict(ended.usage),
    }
    files = b"".join(a.data for message in messages for a in message.attachments)
    return b"\n".join([json.dumps(head).encode(), files])


def unpack(packed: bytes) -> Ended:
    """Return what `pack` packed, in this version or in 0.1's, which knew one message and nothing to remember."""
    line, _, data = packed.partition(b"\n")
    head = json.loads(line)
    messages, start = [], 0
    for described in head.get("messages", [head]):
        messages.append(_restore(described, data[start:]))
        start += sum(len(a.data) for a in messages[-1].attachments)
    turn = head.get("turn")
    return Ended(
        message=messages[0],
        outcome=Outcome(head["outcome"]),
        provider=head["provider"],
        error=head["error"],
        repeat=Repeat(head["repeat"]) if "repeat" in head else _FORMER[head["repeatable"]],
        parts=tuple(messages[1:]),
        whole=head.get("whole", ""),
        turn=Turn(**turn) if turn else None,
        usage=Usage(**head.get("usage", {})),
    )


def _describe(message: Message) -> dict[str, Any]:
    return {
        "content": message.content,
        "embeds": list(message.embeds),
        "components": list(message.components),
        "files": [[a.filename, a.media_type, a.description, len(a.data)] for a in message.attachments],
    }


def _restore(described: Mapping[str, Any], data: bytes) -> Message:
    """Return the message whose files' bytes `data` starts with."""
    files, start = [], 0
    for filename, media_type, description, size in described["files"]:
        files.append(Attachment(filename, data[start : start + size], media_type, description))
        start += size
    return Message(described["content"], tuple(described["embeds"]), tuple(files), tuple(described["components"]))
