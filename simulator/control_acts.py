"""What the control API lets a user do: read from JSON, done by `DiscordClient`. See simulator/README.md."""

from __future__ import annotations

import base64
from typing import Any

from simulator.discord_client import DiscordClient
from simulator.discord_payloads import StandingFields
from simulator.discord_state import Attachment, Interaction, Message
from simulator.discord_world import DiscordWorld

MAX_COPIES = 1000


class BadRequest(ValueError):
    """The control request itself is wrong."""


class Acts:
    """Performs what a request body says. Raises `BadRequest`, or `ValueError` where no client would let a user."""

    def __init__(self, discord: DiscordWorld, client: DiscordClient) -> None:
        self.discord = discord
        self.client = client

    async def perform(self, target: str, body: dict[str, Any]) -> Interaction:
        """Use a command or a menu, press, choose, submit, complete, or deliver again."""
        if not 1 <= int(body.get("copies", 1)) <= MAX_COPIES:
            raise BadRequest(f"copies must be between 1 and {MAX_COPIES}")
        if "again" in body:
            return await self.client.resend(target, self.find(str(body["again"])), int(body.get("copies", 1)))
        if "press" in body:
            return await self._press(target, body)
        if "submit" in body:
            source = self.find(str(body.get("of")))
            return await self.client.submit(target, source, body["submit"], **_how(body), **_standing(body))
        if not body.get("command"):
            raise BadRequest("one of command, press, submit, again is required")
        if "context_menu" in body:
            message = self._target(body["context_menu"], body)
            return await self.client.context_menu(target, str(body["command"]), message,
                                                  user_id=body.get("user_id") or 0, **_how(body),
                                                  **_standing(body))  # fmt: skip
        return await self.client.interact(
            target, str(body["command"]), body.get("options") or {}, user_id=body.get("user_id") or 0,
            focused=str(body.get("autocomplete") or body.get("focused") or ""),
            attachments={name: self._upload(item) for name, item in (body.get("attachments") or {}).items()},
            **_how(body), **_standing(body),
        )  # fmt: skip

    def say(self, body: dict[str, Any]) -> Message:
        """Write a user's own message: `content`, `user_id`, `attachments` (a list)."""
        files = [self._upload(item) for item in body.get("attachments") or []]
        return self.client.say(str(body.get("content") or ""), user_id=body.get("user_id") or 0, attachments=files,
                               **_standing(body))  # fmt: skip

    def find(self, interaction_id: str) -> Interaction:
        """Return an interaction by its id."""
        found = self.discord.memory.interactions.get(interaction_id)
        if found is None:
            raise BadRequest(f"no interaction {interaction_id}")
        return found

    async def _press(self, target: str, body: dict[str, Any]) -> Interaction:
        source = self.find(str(body.get("of")))
        message, wanted = None, body.get("message_id")
        if wanted is not None:
            shown = [*source.messages, *(late for late in source.late if not late.deleted)]
            message = next((one for one in shown if one.id == str(wanted)), None)
            if message is None:
                raise BadRequest(f"interaction {source.id} has no message {wanted}")
        return await self.client.press(target, source, str(body["press"]), message=message, values=body.get("values"),
                                       user_id=body.get("user_id"), **_how(body), **_standing(body))  # fmt: skip

    def _target(self, wanted: Any, body: dict[str, Any]) -> Message:
        """Return the message a menu is used on: one that is there, by id, or one written for the purpose."""
        if isinstance(wanted, dict):
            return self.say({**body, "user_id": 0, "attachments": [], **wanted})
        found = self.discord.memory.messages.get(str(wanted))
        if found is None or found.deleted:
            raise BadRequest(f"no message {wanted}")
        return found

    def _upload(self, item: dict[str, Any]) -> Attachment:
        try:
            name, kind, data = str(item["filename"]), str(item["content_type"]), item["data"]
        except KeyError as missing:
            raise BadRequest(f"an attachment needs {missing}") from missing
        return Attachment(self.discord.memory.ids.next(), name, kind, base64.b64decode(data, validate=True))


def _how(body: dict[str, Any]) -> dict[str, Any]:
    return {"locale": str(body.get("locale", "ko")), "copies": int(body.get("copies", 1))}


def _standing(body: dict[str, Any]) -> StandingFields:
    """Return what the body says about where the user stands; all else stays as it is."""
    told: StandingFields = {}
    for name in StandingFields.__annotations__:
        if name in body:
            told[name] = body[name]  # type: ignore[literal-required]  # the names are the dictionary's own
    return told
