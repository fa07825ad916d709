"""Is this request really Discord's?

Discord signs the `X-Signature-Timestamp` header's bytes followed by the raw body with Ed25519 and sends the signature
as 128 hexadecimal digits in `X-Signature-Ed25519`
(https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint-validating-security-request-headers).
The body must be the very bytes that came: parsing and writing it again changes them. Discord probes with bad signatures
and removes an endpoint that does not answer them with 401, so whatever is wrong here is False and nothing raises.

A signature is good for ever, so a captured request could be sent again later; a timestamp more than five minutes from
now is therefore refused too. Within those minutes a replay is harmless: the interaction id is known already.
"""

from __future__ import annotations

from binascii import unhexlify

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError, CryptoError

from app.clock import Clock

SIGNATURE_HEADER = b"x-signature-ed25519"
TIMESTAMP_HEADER = b"x-signature-timestamp"
TOLERANCE_S = 300

_SIGNATURE_DIGITS = 128
_LONGEST_TIMESTAMP = 12


class SignatureVerifier:
    """Checks requests against one application's public key (64 hexadecimal digits)."""

    def __init__(self, public_key: str, clock: Clock) -> None:
        self._public_key = bytes.fromhex(public_key)
        self._clock = clock

    def verify(self, body: bytes, signature: bytes | None, timestamp: bytes | None) -> bool:
        """Return whether the headers' bytes are Discord's for this `body`, and fresh."""
        if signature is None or timestamp is None or len(signature) != _SIGNATURE_DIGITS:
            return False
        if not timestamp.isdigit() or len(timestamp) > _LONGEST_TIMESTAMP:
            return False
        # Either clock will do: the machine's may have jumped just now, ours may not have followed it yet.
        sent_at = int(timestamp)
        if abs(self._clock.wall() - sent_at) > TOLERANCE_S and abs(self._clock.now() - sent_at) > TOLERANCE_S:
            return False
        try:
            # Digits only: `bytes.fromhex` would skip white space, and what follows would move up into the signature.
            crypto_sign_open(unhexlify(signature) + timestamp + body, self._public_key)
        except (BadSignatureError, CryptoError, ValueError):
            return False
        return True
