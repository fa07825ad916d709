"""A Discord small enough to read: one interaction's messages and a channel, as users would see them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

import httpx2

API_URL = "https://discord.test/api/v10"
APPLICATION = "7"


@dataclass
class Shown:
    """A message as it stands there; `files` by name."""

    content: str
    files: dict[str, bytes]
    mentions: Any
    flags: int = 0


@dataclass
class SmallDiscord:
    """`before` and `after` run around each call: what `after` raises is an answer that got lost.

    `refuse` returns the answer to a call that is not to be done, or None.
    """

    original: Shown | None = None
    history: list[str] = field(default_factory=list)
    parts: list[Shown] = field(default_factory=list)
    channel: dict[str, Shown] = field(default_factory=dict)
    posts: int = 0
    private: bool = False
    deleted: bool = False
    before: Callable[[str], None] = lambda _: None
    after: Callable[[str], None] = lambda _: None
    refuse: Callable[[str], httpx2.Response | None] = lambda _: None

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(self))

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        await asyncio.sleep(0)
        what = f"{request.method} {'channel' if '/channels/' in request.url.path else 'webhook'}"
        self.before(what)
        refusal = self.refuse(what)
        if refusal is not None:
            return refusal
        answer = self._channel(request) if "channel" in what else self._webhook(request)
        self.after(what)
        return answer

    def _webhook(self, request: httpx2.Request) -> httpx2.Response:
        if self.deleted:
            return httpx2.Response(404, json={"code": 10008, "message": "Unknown Message"})
        flags = 64 if self.private else 0
        if request.method == "PATCH":
            self.original = read(request)
            self.history.append(self.original.content)
        elif request.method == "POST":
            self.parts.append(read(request))
            return httpx2.Response(200, json={"id": f"part-{len(self.parts)}", "flags": self.parts[-1].flags})
        content = self.original.content if self.original is not None else ""
        return httpx2.Response(200, json={"id": "original", "flags": flags, "content": content})

    def _channel(self, request: httpx2.Request) -> httpx2.Response:
        self.posts += 1
        shown = read(request)
        nonce = payload_of(request)["nonce"]
        self.channel.setdefault(nonce, shown)
        return httpx2.Response(200, json={"id": f"channel-{nonce}"})


def payload_of(request: httpx2.Request) -> dict[str, Any]:
    """Return the JSON of a call, with files or without."""
    loaded: dict[str, Any] = json.loads(_fields(request)["payload_json"])
    return loaded


def read(request: httpx2.Request) -> Shown:
    """Return the message a call asks for."""
    fields = _fields(request)
    payload = json.loads(fields["payload_json"])
    files = {item["filename"]: fields[f"files[{item['id']}]"] for item in payload.get("attachments", [])}
    return Shown(payload["content"], files, payload["allowed_mentions"], payload.get("flags", 0))


def _fields(request: httpx2.Request) -> dict[str, bytes]:
    media_type = request.headers["content-type"]
    if media_type == "application/json":
        return {"payload_json": request.content}
    form = message_from_bytes(b"Content-Type: " + media_type.encode() + b"\r\n\r\n" + request.content, policy=HTTP)
    return {
        str(part.get_param("name", header="content-disposition")): bytes(part.get_payload(decode=True) or b"")
        for part in form.iter_parts()
    }
