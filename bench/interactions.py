"""Signed slash commands as Discord sends them, ready to be written to a socket."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

APPLICATION_ID = "1200000000000000000"
GUILD_ID = "1100000000000000000"
FIRST_ID = 1_300_000_000_000_000_000
FIRST_USER = 1_000_000_000_000_000_000
ID_STEP = 1 << 22
"""One millisecond of a snowflake."""

USERS = 997
QUESTION = "Explain in a few sentences why the sky is blue, and why it turns red in the evening. " * 3
LONGEST_QUESTION = 5000
_SIGNATURE_BYTES = 64
Pieces = tuple[bytes, bytes, bytes]
"""A body's bytes before the interaction's id, between that and the user's id, and after it."""

_ID, _USER = "@@@@@@@@@@@@@@@@@@@", "!!!!!!!!!!!!!!!!!!!"


@dataclass(frozen=True, slots=True)
class Signer:
    """An Ed25519 key pair, made from a fixed seed: it guards nothing."""

    public_key: bytes
    secret_key: bytes

    @classmethod
    def make(cls, seed: bytes = b"quartet benchmark".ljust(32, b".")) -> Signer:
        """Return the pair of a 32-byte seed."""
        return cls(*crypto_sign_seed_keypair(seed))

    def request(self, body: bytes, timestamp: bytes) -> bytes:
        """Return the whole HTTP/1.1 request for a body but its path, headers as Discord's, keeping the connection."""
        signature = crypto_sign(timestamp + body, self.secret_key)[:_SIGNATURE_BYTES].hex().encode()
        return (
            b" HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Discord-Interactions/1.0 (+https://discord.com)\r\n"
            b"Content-Length: %d\r\nContent-Type: application/json\r\nX-Signature-Ed25519: %s\r\n"
            b"X-Signature-Timestamp: %s\r\n\r\n%s" % (len(body), signature, timestamp, body)
        )


@dataclass(frozen=True, slots=True)
class Requests:
    """Pre-signed requests and the interaction ids they carry, in the same order."""

    tails: Sequence[bytes]
    ids: Sequence[str]

    def to(self, path: str) -> Sequence[bytes]:
        """Return the bytes that post each to `path`."""
        head = b"POST " + path.encode()
        return [head + tail for tail in self.tails]


def presigned(signer: Signer, count: int, *, users: int = USERS, size: int | None = None) -> Requests:
    """Return `count` requests with distinct ids from so many users, signed now and good for 5 minutes.

    `size` is the body's in bytes, at least 900; without it, it is that of an ordinary question (1.9 KB).
    """
    timestamp = str(int(time.time())).encode()
    pieces = _PIECES if size is None else _pieces(_of_size(size))
    ids = [str(FIRST_ID + number * ID_STEP) for number in range(count)]
    bodies = (body(id_, user_of(number, users), pieces) for number, id_ in enumerate(ids))
    return Requests([signer.request(content, timestamp) for content in bodies], ids)


def user_of(number: int, users: int = USERS) -> int:
    """Return who sends the request of this number."""
    return FIRST_USER + number * 7 % users


def ping(signer: Signer, path: str) -> bytes:
    """Return a signed PING posted to `path`, by a user as Discord's are."""
    user = {"id": str(FIRST_USER), "username": "mira", "discriminator": "0", "avatar": None}
    content = {"id": str(FIRST_ID - 1), "application_id": APPLICATION_ID, "type": 1, "token": "none", "version": 1,
               "user": user}  # fmt: skip
    return b"POST " + path.encode() + signer.request(json.dumps(content).encode(), str(int(time.time())).encode())


def body(interaction_id: str, user_id: int, pieces: Pieces | None = None) -> bytes:
    """Return the body of `/채팅` in a guild."""
    head, middle, tail = pieces or _PIECES
    return b"%s%s%s%d%s" % (head, interaction_id.encode(), middle, user_id, tail)


def _slash_command() -> dict[str, Any]:
    """All fields of an interaction (https://discord.com/developers/docs/interactions/receiving-and-responding)."""
    return {
        "app_permissions": "2248473465835073",
        "application_id": APPLICATION_ID,
        "attachment_size_limit": 10485760,
        "authorizing_integration_owners": {"0": GUILD_ID},
        "channel": {
            "flags": 0,
            "guild_id": GUILD_ID,
            "id": "1150000000000000000",
            "last_message_id": "1299999999999999999",
            "name": "general",
            "nsfw": False,
            "parent_id": "1140000000000000000",
            "permissions": "2248473465835073",
            "position": 0,
            "rate_limit_per_user": 0,
            "topic": None,
            "type": 0,
        },
        "channel_id": "1150000000000000000",
        "context": 0,
        "data": {
            "id": "1210000000000000000",
            "name": "채팅",
            "options": [{"name": "질문", "type": 3, "value": QUESTION}],
            "type": 1,
        },
        "entitlement_sku_ids": [],
        "entitlements": [],
        "guild": {"features": ["COMMUNITY", "NEWS"], "id": GUILD_ID, "locale": "en-US"},
        "guild_id": GUILD_ID,
        "guild_locale": "en-US",
        "id": _ID,
        "locale": "ko",
        "member": {
            "avatar": None,
            "banner": None,
            "communication_disabled_until": None,
            "deaf": False,
            "flags": 0,
            "joined_at": "2026-01-02T03:04:05.000000+00:00",
            "mute": False,
            "nick": None,
            "pending": False,
            "permissions": "2248473465835073",
            "premium_since": None,
            "roles": ["1160000000000000001", "1160000000000000002"],
            "unusual_dm_activity_until": None,
            "user": {
                "avatar": "a_d5efa99b3eeaa7dd43acca82f5692432",
                "avatar_decoration_data": None,
                "clan": None,
                "discriminator": "0",
                "global_name": "Mira",
                "id": _USER,
                "public_flags": 131072,
                "username": "mira",
            },
        },
        "token": "aW50ZXJhY3Rpb246" + "Q2xvdWRzIGFyZSBtYWRlIG9mIHdhdGVy" * 6,
        "type": 2,
        "version": 1,
    }


def _of_size(size: int) -> dict[str, Any]:
    """Return an interaction of so many bytes: a short one lacks what a library may do without; a long one has a long
    question, as far as questions go, and a channel that much is said about."""
    command = _slash_command()
    if size < len(_encoded(command)):
        for name in ("channel", "guild", "authorizing_integration_owners", "entitlement_sku_ids", "entitlements"):
            del command[name]
        command["member"] = {"roles": [], "permissions": "0", "user": {"id": _USER, "username": "mira"}}
        command["data"]["options"][0]["value"] = "?"
    missing = size - len(_encoded(command))
    if missing < 0:
        raise ValueError(f"an interaction takes {size - missing} bytes at least")
    question = min(missing, LONGEST_QUESTION - len(QUESTION))
    command["data"]["options"][0]["value"] += "?" * question
    if missing > question:
        command["channel"]["topic"] = "-" * (missing - question + len("null") - len('""'))
    return command


def _encoded(command: Mapping[str, Any]) -> bytes:
    return json.dumps(command, separators=(",", ":"), ensure_ascii=False).encode()


def _pieces(command: Mapping[str, Any]) -> Pieces:
    text = _encoded(command)
    head, rest = text.split(_ID.encode())
    middle, tail = rest.split(_USER.encode())
    return head, middle, tail


_PIECES = _pieces(_slash_command())
