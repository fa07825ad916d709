"""Hostile requests, made from a seed, and the answers they must get."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from nacl.signing import SigningKey

AGENT = "Discord-Interactions/1.0 (+https://discord.com)"


@dataclass(frozen=True)
class Attack:
    """One request and the statuses that are right for it."""

    kind: str
    headers: dict[str, str]
    body: bytes
    right: frozenset[int]


class Attacker:
    """Makes attacks. `signing` is Discord's own key: some attacks are genuinely signed and hostile all the same."""

    def __init__(self, rng: random.Random, signing: SigningKey) -> None:
        self._rng = rng
        self._signing = signing
        self._makers: list[Callable[[], Attack]] = [
            self.unsigned, self.odd_signature, self.short_signature, self.long_signature, self.altered_body,
            self.other_key, self.stale, self.not_utf8, self.deep, self.not_an_object,
        ]  # fmt: skip

    def any(self) -> Attack:
        """Return one of a random kind."""
        return self._rng.choice(self._makers)()

    def unsigned(self) -> Attack:
        """No signature headers at all."""
        return self._attack("unsigned", {}, self._body(), 401)

    def odd_signature(self) -> Attack:
        """128 characters that are no digits, or not ASCII."""
        signature = "".join(self._rng.choice("ghijklmnopqrstuvwxyz-_") for _ in range(128))
        return self._attack("odd signature", self._headers(signature), self._body(), 401)

    def short_signature(self) -> Attack:
        """A genuine one without its end."""
        body = self._body()
        return self._attack(
            "short signature",
            self._headers(self.genuine(body)["X-Signature-Ed25519"][: self._rng.randrange(128)]),
            body,
            401,
        )

    def long_signature(self) -> Attack:
        """A genuine one with more behind it."""
        body = self._body()
        return self._attack(
            "long signature", self._headers(self.genuine(body)["X-Signature-Ed25519"] + "00" * 40), body, 401
        )

    def altered_body(self) -> Attack:
        """One byte is not what was signed."""
        body = self._body()
        headers = self.genuine(body)
        at = self._rng.randrange(len(body))
        altered = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        return self._attack("altered body", headers, altered, 401)

    def other_key(self) -> Attack:
        """Signed well, by somebody else."""
        body, stamp = self._body(), str(int(time.time()))
        signature = SigningKey(self._rng.randbytes(32)).sign(stamp.encode() + body).signature.hex()
        return self._attack("another's signature", self._headers(signature, stamp), body, 401)

    def stale(self) -> Attack:
        """Genuine, and sent again long after."""
        body, stamp = self._body(), str(int(time.time()) - self._rng.randrange(900, 90_000))
        return self._attack("late replay", self._headers(self._sign(body, stamp), stamp), body, 401)

    def not_utf8(self) -> Attack:
        """Signed bytes that are no text."""
        body = b'{"type":2,"id":"' + self._rng.randbytes(40).replace(b'"', b"\xff") + b'"}'
        return self._attack("not UTF-8", self.genuine(body), body, 400)

    def deep(self) -> Attack:
        """Signed JSON that is nested too deep to be read."""
        depth = self._rng.randrange(20_000, 100_000)
        body = b'{"type":2,"data":' + b"[" * depth + b"]" * depth + b"}"
        return self._attack("deep JSON", self.genuine(body), body, 400)

    def not_an_object(self) -> Attack:
        """Signed JSON that is no interaction."""
        body = self._rng.choice(
            [b"[]", b"null", b'"x"', b"3", b'{"type":2}', b'{"type":2,"data":3,"id":[],"token":{}}']
        )
        return self._attack("not an interaction", self.genuine(body), body, 400)

    def too_large(self) -> Attack:
        """Ten megabytes."""
        body = b"x" * (10 * 1024 * 1024)
        return self._attack("10 MB", self._headers("0" * 128), body, 413)

    def genuine(self, body: bytes) -> dict[str, str]:
        """Return headers that make a body genuine; one stamp for both, or a second could pass between them."""
        stamp = str(int(time.time()))
        return self._headers(self._sign(body, stamp), stamp)

    def _attack(self, kind: str, headers: dict[str, str], body: bytes, right: int) -> Attack:
        common = {"Content-Type": "application/json", "User-Agent": AGENT}
        return Attack(kind, {**common, **headers}, body, frozenset({right}))

    def _sign(self, body: bytes, stamp: str) -> str:
        return str(self._signing.sign(stamp.encode() + body).signature.hex())

    @staticmethod
    def _headers(signature: str, stamp: str = "") -> dict[str, str]:
        return {"X-Signature-Ed25519": signature, "X-Signature-Timestamp": stamp or str(int(time.time()))}

    def _body(self) -> bytes:
        """An interaction that would be a job if it were believed."""
        user = str(self._rng.randrange(10**17, 10**18))
        values = {
            "id": str(self._rng.randrange(10**17, 10**18)), "token": "x" * 60, "type": 2, "version": 1,
            "application_id": "1200000000000000000", "channel_id": "7", "locale": "ko",
            "member": {"user": {"id": user, "username": "mallory"}},
            "data": {"id": "9", "name": "채팅", "type": 1, "options": [{"name": "질문", "type": 3, "value": "forged"}]},
        }  # fmt: skip
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
