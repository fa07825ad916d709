"""What Discord remembers: interactions, the messages users see, and the files in them."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from simulator.discord_payloads import Standing
from simulator.ledger import digest

DISCORD_EPOCH_MS = 1_420_070_400_000
FLAG_EPHEMERAL = 64
FLAG_LOADING = 128
DEFAULT, REPLY, CHAT_COMMAND, CONTEXT_COMMAND = 0, 19, 20, 23


class Snowflakes:
    """Makes ids that grow with time, as Discord's do: milliseconds since 2015, then a running number."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> str:
        """Return a new id."""
        fresh = (int(time.time() * 1000) - DISCORD_EPOCH_MS) << 22
        self._last = max(self._last + 1, fresh)
        return str(self._last)


@dataclass(slots=True)
class Attachment:
    """A file in a message."""

    id: str
    filename: str
    content_type: str
    data: bytes = field(repr=False)
    description: str | None = None

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return len(self.data)

    def brief(self) -> dict[str, Any]:
        """Return name, type, size and digest, for the ledger."""
        return {"filename": self.filename, "content_type": self.content_type, "size": self.size,
                "digest": digest(self.data)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edit:
    """One state a message was in: when (monotonic and wall seconds), what it said, and whether that was final."""

    t: float
    wall: float
    content: str
    visible: str
    final: bool
    deleted: bool = False
    attachments: tuple[str, ...] = ()


@dataclass(slots=True)
class Message:
    """What a user sees. `thinking` is the notice Discord itself shows between a defer and the first edit."""

    id: str
    channel_id: str
    content: str = ""
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    thinking: bool = False
    deleted: bool = False
    pings: list[str] = field(default_factory=list)
    history: list[Edit] = field(default_factory=list)
    created_wall: float = field(default_factory=time.time)
    edited_wall: float | None = None
    author_id: str = ""
    """A user's id; empty for the application's own messages."""
    kind: int = DEFAULT
    metadata: dict[str, Any] | None = None
    reply_to: str = ""
    nonce: str | int | None = None
    viewer_id: str = ""
    """Whose interaction made it: the only one who sees it if it is ephemeral."""

    @property
    def empty(self) -> bool:
        """Say whether there is nothing to see."""
        return not (self.content or self.embeds or self.components or self.attachments)

    @property
    def ephemeral(self) -> bool:
        """Say whether only the invoking user sees it."""
        return bool(self.flags & FLAG_EPHEMERAL)

    def seen_by(self, user_id: str) -> bool:
        """Say whether a user sees it."""
        return not self.deleted and (not self.ephemeral or user_id == self.viewer_id)

    def visible_digest(self) -> str:
        """Return a digest of all a user can see; equal digests mean no visible change."""
        files = [(a.filename, digest(a.data)) for a in self.attachments]
        return digest(repr((self.content, self.embeds, self.components, files, self.deleted)))


@dataclass(slots=True)
class Ack:
    """One answer to one delivery. `ms` counts from the first byte sent; `ok` means Discord took it."""

    copy: int
    ms: float
    status: int | None
    type: int | None
    ok: bool
    reason: str = ""
    data: dict[str, Any] | None = None
    served_by: str = ""


@dataclass(slots=True)
class Interaction:
    """One interaction from the user's act to what the user sees in the end.

    `state`: `sent`, `failed` (the user saw "did not respond"), `deferred`, `answered`, `modal`, `choices`, `pong`,
    `pressed` (a press that was taken without a word: type 6).
    """

    id: str
    token: str
    kind: int
    user_id: str
    command: str
    body: bytes = field(repr=False)
    standing: Standing = field(default_factory=Standing)
    metadata: dict[str, Any] = field(default_factory=dict, repr=False)
    source: Message | None = field(default=None, repr=False)
    """The message whose button was pressed, also of the form that a press led to."""
    state: str = "sent"
    sent_t: float = field(default_factory=time.monotonic)
    sent_wall: float = field(default_factory=time.time)
    acked_t: float | None = None
    acks: list[Ack] = field(default_factory=list)
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    late: list[Message] = field(default_factory=list)
    """What the bot posted to the channel for it, with its id as the nonce."""
    choices: list[dict[str, Any]] | None = None
    modal: dict[str, Any] | None = None
    final_t: float | None = None
    changed: asyncio.Condition = field(default_factory=asyncio.Condition, repr=False)

    @property
    def channel_id(self) -> str:
        """Return the channel's id."""
        return self.standing.channel

    @property
    def user_install_only(self) -> bool:
        """Say whether only the user installed the application where this happened."""
        return "0" not in self.standing.owners

    @property
    def payload(self) -> dict[str, Any]:
        """Return what is delivered; only its bytes are kept, for there may be very many interactions."""
        return dict(json.loads(self.body))

    @property
    def message(self) -> Message | None:
        """Return the visible original message, or None where there is none (any more)."""
        return None if self.original is None or self.original.deleted else self.original

    @property
    def messages(self) -> list[Message]:
        """Return every message of this interaction that still exists, original first."""
        candidates = [self.original, *self.followups]
        return [message for message in candidates if message is not None and not message.deleted]

    @property
    def ack(self) -> Ack | None:
        """Return the answer Discord took, else the last one."""
        taken = next((ack for ack in self.acks if ack.ok), None)
        return taken or (self.acks[-1] if self.acks else None)

    @property
    def is_final(self) -> bool:
        """Say whether the user has an outcome: a final message, a form, choices, or a failure notice."""
        return self.final_t is not None or self.state in ("failed", "modal", "choices", "pong", "pressed")

    async def final(self, timeout: float = 30.0) -> Interaction:
        """Wait until there is a final outcome; `TimeoutError` says what the user sees instead."""
        try:
            async with asyncio.timeout(timeout), self.changed:
                await self.changed.wait_for(lambda: self.is_final)
        except TimeoutError:
            shown = self.message.content[:80] if self.message else None
            raise TimeoutError(
                f"interaction {self.id} ({self.command}) not final after {timeout} s: {self.state}, {shown!r}"
            ) from None
        return self

    async def until_edits(self, count: int, timeout: float = 30.0) -> Interaction:
        """Wait until the original message has been through at least `count` states."""
        async with asyncio.timeout(timeout), self.changed:
            await self.changed.wait_for(lambda: self.original is not None and len(self.original.history) >= count)
        return self

    async def announce(self) -> None:
        """Wake up whoever waits for a change."""
        async with self.changed:
            self.changed.notify_all()


class Memory:
    """Finds interactions by id and token, files by id.

    Beyond `keep` it forgets the oldest whose tokens are dead, beyond five times that the oldest of all.
    """

    def __init__(self, keep: int, token_lifetime_s: float) -> None:
        self._keep = keep
        self._lifetime_s = token_lifetime_s
        self.ids = Snowflakes()
        self.interactions: OrderedDict[str, Interaction] = OrderedDict()
        self._by_token: dict[str, Interaction] = {}
        self.files: OrderedDict[str, Attachment] = OrderedDict()
        self.messages: OrderedDict[str, Message] = OrderedDict()

    def keep_message(self, message: Message) -> Message:
        """Make a message findable by its id."""
        self.messages[message.id] = message
        while len(self.messages) > 2 * self._keep:
            self.messages.popitem(last=False)
        return message

    def new_token(self, interaction_id: str) -> str:
        """Return an interaction token; like the real ones it opens with the interaction's id."""
        raw = f"interaction:{interaction_id}:{secrets.token_urlsafe(60)}"
        return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")

    def add(self, interaction: Interaction) -> None:
        """Remember an interaction."""
        self.interactions[interaction.id] = interaction
        self._by_token[interaction.token] = interaction
        while len(self.interactions) > self._keep:
            oldest = next(iter(self.interactions.values()))
            alive = time.monotonic() - oldest.sent_t < self._lifetime_s
            if alive and len(self.interactions) <= 5 * self._keep:
                break
            del self.interactions[oldest.id]
            self._by_token.pop(oldest.token, None)

    def by_token(self, token: str) -> Interaction | None:
        """Return the interaction a token belongs to."""
        return self._by_token.get(token)

    def keep_file(self, attachment: Attachment) -> Attachment:
        """Make a file reachable through the CDN path."""
        self.files[attachment.id] = attachment
        while len(self.files) > self._keep:
            self.files.popitem(last=False)
        return attachment


def interaction_id_of(token: str) -> str | None:
    """Return the interaction id in a token of the right form, even if nobody remembers it."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
        word, snowflake, _ = raw.split(":", 2)
    except ValueError:
        return None
    return snowflake if word == "interaction" and snowflake.isdigit() else None


def age_s(snowflake: str) -> float:
    """Return how many seconds ago an id was made."""
    return time.time() - ((int(snowflake) >> 22) + DISCORD_EPOCH_MS) / 1000
