"""Discord's side of messages: how an answer, an edit or a follow-up becomes what the user sees."""

from __future__ import annotations

import mimetypes
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from nacl.signing import SigningKey

from simulator import discord_payloads as payloads
from simulator.discord_channel_state import ChannelBook
from simulator.discord_components import numbered
from simulator.discord_errors import EMPTY_MESSAGE, DiscordProblem
from simulator.discord_limits import InvalidRequests, WindowLimits
from simulator.discord_state import (
    CHAT_COMMAND,
    CONTEXT_COMMAND,
    DEFAULT,
    FLAG_EPHEMERAL,
    FLAG_LOADING,
    REPLY,
    Attachment,
    Edit,
    Interaction,
    Memory,
    Message,
)  # fmt: skip
from simulator.media import png_size
from simulator.multipart import Part
from simulator.world import World


class DiscordWorld:
    """Everything Discord knows about one application. `is_final` decides whether a message is an outcome."""

    def __init__(self, world: World) -> None:
        self.world = world
        config = world.config
        seed = world.seed.to_bytes(32, "big", signed=False)
        self.signing_key = SigningKey(seed) if config.seed is not None else SigningKey.generate()
        self.public_key = self.signing_key.verify_key.encode().hex()
        self.memory = Memory(config.keep_interactions, config.token_lifetime_s)
        windows = ((config.webhook_burst, config.webhook_burst_s), (config.webhook_minute, config.webhook_minute_s))
        self.limits = WindowLimits(windows, "webhook")
        self.invalid = InvalidRequests(config.invalid_request_limit)
        self.channels = ChannelBook(config)
        self.commands: dict[str, dict[str, dict[str, Any]]] = {}
        self.cdn_url = ""
        self.is_final: Callable[[Message], bool] = self._no_progress_mark

    def _no_progress_mark(self, message: Message) -> bool:
        # An embed, a file or nothing but buttons is an outcome; only the text's two marks say that more is to come.
        return not (message.thinking or message.deleted or message.empty or self.is_progress(message.content))

    def is_progress(self, text: str) -> bool:
        """Say whether a text's marks say that more is to come."""
        config = self.world.config
        return text.startswith(config.progress_mark) or text.rstrip().endswith(config.cursor_mark)

    def new_message(self, interaction: Interaction, *, flags: int = 0, thinking: bool = False) -> Message:
        """Make an empty message of the application in the interaction's channel."""
        first = interaction.original
        answers_command = first is None and interaction.kind == payloads.COMMAND
        by_menu = "target_message_id" in interaction.metadata
        kind = (CONTEXT_COMMAND if by_menu else CHAT_COMMAND) if answers_command else REPLY
        made = Message(self.memory.ids.next(), interaction.channel_id, flags=flags, thinking=thinking, kind=kind,
                       viewer_id=interaction.user_id, metadata=dict(interaction.metadata))  # fmt: skip
        if first is not None and made.metadata is not None:
            made.metadata["original_response_message_id"] = first.id
        replied = first or interaction.source
        made.reply_to = replied.id if replied is not None and kind == REPLY else ""
        return self.memory.keep_message(made)

    def user_message(
        self, user_id: str, channel_id: str, content: str, attachments: Sequence[Attachment] = ()
    ) -> Message:
        """Make a message a user wrote; it can be looked at and used by message commands."""
        kept = [self.memory.keep_file(attachment) for attachment in attachments]
        made = Message(self.memory.ids.next(), channel_id, content=content, attachments=kept, author_id=user_id,
                       kind=DEFAULT)  # fmt: skip
        return self.memory.keep_message(made)

    async def write(
        self, interaction: Interaction | None, message: Message, body: dict[str, Any], files: list[Part], *, new: bool
    ) -> None:
        """Apply a validated body to a message; an empty result is refused with 50006."""
        content = message.content if "content" not in body else body["content"] or ""
        attachments = self._attachments(message, body, files)
        embeds = message.embeds if "embeds" not in body else body["embeds"] or []
        components = message.components if "components" not in body else body["components"] or []
        if not (content or attachments or embeds or components):
            raise DiscordProblem(400, EMPTY_MESSAGE)
        message.content, message.attachments = content, attachments
        message.embeds = [self._with_files(embed, attachments) for embed in embeds]
        message.components, _ = numbered(components)
        kept = message.flags & FLAG_EPHEMERAL
        wanted = int(body.get("flags") or 0)
        message.flags = (wanted if new else (wanted & ~FLAG_EPHEMERAL) | kept) & ~FLAG_LOADING
        message.pings = pings(content, body.get("allowed_mentions"))
        if not new and not message.thinking:
            message.edited_wall = time.time()
        message.thinking = False
        await self.note(interaction, message)

    async def delete(self, interaction: Interaction | None, message: Message) -> None:
        """Take a message away."""
        message.deleted = True
        await self.note(interaction, message)

    async def note(self, interaction: Interaction | None, message: Message) -> None:
        """Add the message's state to its history and wake up whoever waits."""
        final = self.is_final(message)
        names = tuple(attachment.filename for attachment in message.attachments)
        seen = message.visible_digest()
        state = Edit(time.monotonic(), time.time(), message.content, seen, final, message.deleted, names)
        message.history.append(state)
        if interaction is not None:
            await self.settle(interaction, message)

    async def settle(self, interaction: Interaction, message: Message) -> None:
        """Count a message as the interaction's outcome if it is final, and wake up whoever waits."""
        if message.history[-1].final and interaction.final_t is None:
            interaction.final_t = time.monotonic()
            interaction.state = "answered"
        await interaction.announce()

    def _attachments(self, message: Message, body: dict[str, Any], files: list[Part]) -> list[Attachment]:
        listed = body.get("attachments", ...)
        if listed is ...:
            kept = list(message.attachments)
        else:
            wanted = {str(item["id"]) for item in listed or []}
            kept = [attachment for attachment in message.attachments if attachment.id in wanted]
        described = {str(item["id"]): item for item in (listed if isinstance(listed, list) else [])}
        fresh = [self._stored(part, described.get(_index(part), {})) for part in files]
        return kept + fresh

    def _stored(self, part: Part, item: dict[str, Any]) -> Attachment:
        filename = str(item.get("filename") or part.filename or "file")
        guessed = part.content_type if part.content_type != "text/plain" else mimetypes.guess_type(filename)[0]
        attachment = Attachment(self.memory.ids.next(), filename, guessed or "text/plain", part.data)
        attachment.description = item.get("description")
        return self.memory.keep_file(attachment)

    def _with_files(self, embed: dict[str, Any], attachments: list[Attachment]) -> dict[str, Any]:
        """Replace `attachment://name` by the file's address, as Discord does."""
        urls = {f"attachment://{a.filename}": self.file_url(a) for a in attachments}
        shown = {"type": "rich", **embed}
        for name in ("image", "thumbnail"):
            part = embed.get(name)
            if isinstance(part, dict) and part.get("url") in urls:
                shown[name] = {**part, "url": urls[part["url"]]}
        return shown

    def file_url(self, attachment: Attachment) -> str:
        """Return the address of a file."""
        return f"{self.cdn_url}/discord/cdn/attachments/{attachment.id}/{attachment.filename}"

    def render(self, message: Message) -> dict[str, Any]:
        """Return the message object of the API."""
        flags = message.flags | (FLAG_LOADING if message.thinking else 0)
        base = payloads.message_object(message.id, message.channel_id, message.kind)
        return {
            **base, **self._authorship(message),
            "content": message.content, "embeds": message.embeds, "components": message.components,
            "attachments": [self.render_attachment(a) for a in message.attachments], "flags": flags,
            "timestamp": iso(message.created_wall), "mention_everyone": "everyone" in message.pings,
            "mentions": [payloads.user_object(user) for user in _mentioned(message)],
            "edited_timestamp": iso(message.edited_wall) if message.edited_wall else None,
        }  # fmt: skip

    def _authorship(self, message: Message) -> dict[str, Any]:
        """Return author, origin and what the message answers."""
        application = self.world.config.application_id
        if message.author_id:
            return {"author": payloads.user_object(message.author_id)}
        shown: dict[str, Any] = {"author": payloads.bot_author(application), "application_id": application}
        if message.metadata is not None:
            shown |= {"webhook_id": application, "interaction_metadata": message.metadata}
        if message.reply_to:
            shown["message_reference"] = {"type": 0, "channel_id": message.channel_id, "message_id": message.reply_to}
        return shown if message.nonce is None else {**shown, "nonce": message.nonce}

    def render_attachment(self, attachment: Attachment) -> dict[str, Any]:
        """Return the attachment object of the API."""
        url = self.file_url(attachment)
        shown = {"id": attachment.id, "filename": attachment.filename, "size": attachment.size, "url": url,
                 "proxy_url": url, "content_type": attachment.content_type}  # fmt: skip
        if size := png_size(attachment.data):
            shown |= {"width": size[0], "height": size[1]}
        return {**shown, "description": attachment.description} if attachment.description else shown


def pings(content: str, allowed: dict[str, Any] | None) -> list[str]:
    """Return who a message really notifies; without `allowed_mentions` a webhook's default parses users."""
    rules = {"parse": ["users"]} if allowed is None else allowed
    parse = rules.get("parse") or []
    found = []
    if "everyone" in parse and re.search(r"@(everyone|here)", content):
        found.append("everyone")
    for kind, pattern in (("users", r"<@!?(\d+)>"), ("roles", r"<@&(\d+)>")):
        named = {str(i) for i in rules.get(kind) or []}
        found += [i for i in re.findall(pattern, content) if kind in parse or i in named]
    return found


def _mentioned(message: Message) -> list[str]:
    named = dict.fromkeys(re.findall(r"<@!?(\d+)>", message.content))
    return [user for user in named if message.author_id or user in message.pings]


def iso(wall: float) -> str:
    """Return seconds since the epoch as Discord writes times."""
    return datetime.fromtimestamp(wall, UTC).isoformat()


def _index(part: Part) -> str:
    match = re.fullmatch(r"files\[(\d+)\]", part.name)
    return match.group(1) if match else ""
