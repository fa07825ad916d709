"""What one interaction went through, and what counts as a second answer.

The promise is one outcome. It stands in the original message, which a long answer may go on from in at most two further
messages. Hence, after the first final state of any message, every other visible change is a fault but these:

- a *part*: a new message, POSTed after an edit (or the first answer) made the original final, that says something no
  other message of the interaction says, as long as there are three messages at most;
- the *whole*: once, the original with the same beginning as before and a Markdown file attached, which takes the
  place of a part nobody knows to have arrived;
- a *deletion*, once somebody has pressed a button under one of its messages;
- the *late answer*: one message the bot posts to the channel with the interaction's id as its nonce, whose files are
  not those the user has already.

`twice` is a second final state, `changed_after_final` any change to a message that was there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from simulator.ledger import Event

MAX_MESSAGES = 3
WHOLE_SUFFIX = ".md"


@dataclass(slots=True)
class _Shown:
    """What a message shows: a digest of all that is visible, the text's first characters, whether it is taken away."""

    visible: str
    head: str
    deleted: bool


@dataclass(slots=True)
class Story:
    """One interaction as the ledger tells it; times are the ledger's `t`."""

    sent: int = 0
    first_sent_t: float = 0.0
    user: str = ""
    answered_copies: int = 0
    accepted: bool = False
    owed: bool = False
    wait_until: float = 0.0
    gone: bool = False
    taken_away: bool = False
    pressed: bool = False
    parts: int = 0
    posted: set[str] = field(default_factory=set)
    _messages: dict[str, _Shown] = field(default_factory=dict)
    _closed: set[str] = field(default_factory=set)
    _original: str = ""
    _finals: int = 0
    _original_final: bool = False
    _whole_attached: bool = False
    _files: set[str] = field(default_factory=set)

    @property
    def outcome(self) -> bool:
        """Say whether the user has been told the end."""
        return bool(self._finals or self.posted)

    @property
    def open_messages(self) -> bool:
        """Say whether some message shows progress."""
        return bool(self._messages.keys() - self._closed)

    def see(self, event: Event) -> Iterator[str]:
        """Take in what a message shows now; yield the faults, `twice` and `changed_after_final`."""
        message, final = event["message"], bool(event.get("final"))
        before = self._messages.get(message)
        after = _Shown(event["visible"], event.get("head", ""), bool(event.get("deleted")))
        if event.get("path") == "original" or (event["event"] == "acked" and not self._original):
            self._original = message
        if final or after.deleted:
            self._closed.add(message)
        if before is not None and before.visible == after.visible:
            return
        excused = self._is_part(event, before) or self._is_whole(event, before) or (after.deleted and self.pressed)
        self._messages[message] = after
        if self._finals and not excused:
            if final:
                yield "twice"
            if before is not None:
                yield "changed_after_final"
        self._finals += final
        self._files |= _digests(event)
        # A final follow-up is no edit of the original, even where Discord makes it one: no part may come after it.
        self._original_final = self._original_final or (final and message == self._original and _in_place(event))

    def post(self, event: Event) -> bool:
        """Take in a message the bot posted for this interaction; say whether it repeats an answer."""
        if event.get("deleted") or event.get("repeated"):
            return False
        known = bool(self._files & _digests(event))
        known = known or any(shown.visible == event["visible"] for shown in self._messages.values())
        self.posted.add(event["message"])
        self._files |= _digests(event)
        return known or len(self.posted) > 1

    def _is_part(self, event: Event, before: _Shown | None) -> bool:
        if before is not None or event.get("path") != "followup" or not event.get("final") or not self._original_final:
            return False
        there = [shown for shown in self._messages.values() if not shown.deleted]
        if any(shown.visible == event["visible"] for shown in there) or len(there) >= MAX_MESSAGES:
            return False
        self.parts += 1
        return True

    def _is_whole(self, event: Event, before: _Shown | None) -> bool:
        if before is None or event["message"] != self._original or not event.get("final") or self._whole_attached:
            return False
        names = [str(item["filename"]) for item in event.get("files") or []]
        self._whole_attached = event.get("head", "") == before.head and any(n.endswith(WHOLE_SUFFIX) for n in names)
        return self._whole_attached


def _in_place(event: Event) -> bool:
    return event["event"] == "acked" or event.get("path") == "original"


def _digests(event: Event) -> set[str]:
    return {item["digest"] for item in event.get("files") or [] if item.get("digest")}
