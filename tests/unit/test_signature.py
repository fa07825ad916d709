"""Only what Discord signed, just now, with these very bytes, is believed; anything else is False, never an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from app.discord.signature import TOLERANCE_S, SignatureVerifier
from tests.kit.clock import FakeClock

NOW = 1_760_000_000
KEY = SigningKey(bytes(range(32)))
BODY = b'{"type":1,"id":"1"}'
TIMESTAMP = str(NOW).encode()


def verifier(now: float = NOW) -> SignatureVerifier:
    """A verifier for `KEY` whose clock shows `now`."""
    return SignatureVerifier(KEY.verify_key.encode().hex(), FakeClock(now))


def sign(body: bytes = BODY, timestamp: bytes = TIMESTAMP) -> bytes:
    """Return the signature header as Discord writes it."""
    return KEY.sign(timestamp + body).signature.hex().encode()


@given(st.binary(max_size=4000))
def test_whatever_was_signed_is_believed(body: bytes) -> None:
    """Any body, also one that is no text, passes with its own signature, in digits of either case."""
    assert verifier().verify(body, sign(body), TIMESTAMP)
    assert verifier().verify(body, sign(body).upper(), TIMESTAMP)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_any_altered_byte_of_the_body_is_noticed(body: bytes, data: st.DataObject) -> None:
    """One flipped bit, one byte more or one less: False."""
    signature = sign(body)
    place = data.draw(st.integers(0, len(body) - 1))
    flipped = body[place] ^ (1 << data.draw(st.integers(0, 7)))
    assert not verifier().verify(body[:place] + bytes([flipped]) + body[place + 1 :], signature, TIMESTAMP)
    assert not verifier().verify(body[:place] + body[place + 1 :], signature, TIMESTAMP)
    assert not verifier().verify(body + b" ", signature, TIMESTAMP)


@given(st.integers(0, 63), st.integers(0, 7))
def test_any_altered_bit_of_the_signature_is_noticed(place: int, bit: int) -> None:
    """Each of the 512 bits counts."""
    raw = bytearray(bytes.fromhex(sign().decode()))
    raw[place] ^= 1 << bit
    assert not verifier().verify(BODY, bytes(raw).hex().encode(), TIMESTAMP)


@given(st.integers(-TOLERANCE_S, TOLERANCE_S).filter(bool))
def test_any_other_timestamp_is_noticed(shift: int) -> None:
    """A fresh timestamp that is not the signed one is False: a captured request can't be made fresh."""
    assert not verifier().verify(BODY, sign(), str(NOW + shift).encode())


def test_the_seam_between_timestamp_and_body_can_not_be_moved() -> None:
    """A digit that moves from the timestamp into the body leaves the signed bytes as they were, and is refused."""
    timestamp = str(NOW).encode()
    signature = sign(BODY, timestamp)
    assert not verifier().verify(timestamp[-1:] + BODY, signature, timestamp[:-1])


@pytest.mark.parametrize(("age", "good"), [(0, True), (299, True), (300, True), (301, False), (86_400, False)])
@pytest.mark.parametrize("direction", [1, -1])
def test_five_minutes_either_way_are_fresh(age: int, good: bool, direction: int) -> None:
    """Exactly five minutes are still fresh, a second more is not, in the past as in the future."""
    signed_at = str(NOW).encode()
    assert verifier(NOW + direction * age).verify(BODY, sign(BODY, signed_at), signed_at) is good


_GOOD = sign().decode()


@pytest.mark.parametrize(
    "signature",
    [
        None, b"", b"0", _GOOD[:-1].encode(), _GOOD[:-2].encode(), (_GOOD + "00").encode(), (_GOOD + "0").encode(),
        b"0" * 128, b"f" * 128, b"zz" * 64, b"\x00" * 128, b"\xff" * 128, b"0x" + _GOOD[2:].encode(),
        (" " + _GOOD[:-1]).encode(), (_GOOD[:-1] + "\n").encode(), (_GOOD[:-2] + "  ").encode(),
        ("  " + _GOOD[:-2]).encode(), (_GOOD[:2] + "\t\t" + _GOOD[2:-2]).encode(),
        _GOOD.replace("0", "٠").encode()[:128], "０".encode() * 42 + b"00", b"a" * 1_000_000, b"-" + _GOOD[1:].encode(),
    ],
)  # fmt: skip
def test_a_malformed_signature_is_false(signature: bytes | None) -> None:
    """Absent, odd, short, long, other characters, white space, other scripts' digits, huge: False, never an error."""
    assert verifier().verify(BODY, signature, TIMESTAMP) is False


@pytest.mark.parametrize(
    "timestamp",
    [
        None, b"", b" ", b"-1", b"-" + TIMESTAMP, b"+" + TIMESTAMP, TIMESTAMP + b".0", TIMESTAMP + b"e0", b"1e9",
        b"nan", b"inf", b" " + TIMESTAMP, TIMESTAMP + b"\n", b"0x68e7a400", b"1_760_000_000", b"9" * 13, b"9" * 5000,
        b"\x00", b"\xff\xfe", "١٧٦٠٠٠٠٠٠٠".encode(), "１７６０００００００".encode(), "²".encode(), b"0",
        b"999999999999",
    ],
)  # fmt: skip
def test_a_malformed_timestamp_is_false(timestamp: bytes | None) -> None:
    """False even where these very bytes were signed, and never an error."""
    assert verifier().verify(BODY, sign(BODY, timestamp or b""), timestamp) is False


@given(st.none() | st.binary(max_size=200), st.none() | st.binary(max_size=20), st.binary(max_size=100))
def test_no_bytes_at_all_raise(signature: bytes | None, timestamp: bytes | None, body: bytes) -> None:
    """Arbitrary headers and bodies are False."""
    assert verifier().verify(body, signature, timestamp) is False


def test_white_space_does_not_shorten_a_signature() -> None:
    """Symptom: 63 bytes written with two spaces passed the length check, and the timestamp's first byte moved up into
    the signature. Cause: `bytes.fromhex` skips white space. Rule: 128 digits, nothing else.
    """
    for place in range(0, 126, 7):
        padded = _GOOD[:place] + "  " + _GOOD[place:126]
        assert len(padded) == 128
        assert verifier().verify(BODY, padded.encode(), TIMESTAMP) is False


def test_another_applications_signature_is_false() -> None:
    """A request that is signed well, but with another key."""
    other = SigningKey(bytes(32)).sign(TIMESTAMP + BODY).signature.hex().encode()
    assert verifier().verify(BODY, other, TIMESTAMP) is False
