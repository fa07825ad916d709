"""What looks like a secret is masked, and what a person needs to read stays."""

from __future__ import annotations

import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.redaction import MASK, excerpt, redact

_DISCORD_TOKEN = ".".join(["MTE5ODYyMjQ4MzQ3MTkyNTI0OA", "Cl2FMQ", "ZnCjm1XVW7vRze4b7Cq4se7kKWs0abcdefghij"])
_INTERACTION_TOKEN = base64.urlsafe_b64encode(b"interaction:1300000000000000001:" + b"a1B2c3" * 20).decode()


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Incorrect API key provided: sk-proj-abcDEF0123456789.", "abcDEF"),
        ("Incorrect API key provided: sk-nota***********zzzz. You can find", "zzzz"),
        ("Incorrect API key provided: sk-12…****abcd. You can find", "abcd"),
        ("Incorrect API key provided: my_ke**********6789.", "6789"),
        ('{"authorization": "Bearer abc.DEF-123456"}', "DEF"),
        ("Authorization: Bearer 0123456789abcdef", "0123456789"),
        ("header 'authorization: Bot " + _DISCORD_TOKEN + "'", "Cl2FMQ"),
        ("login with " + _DISCORD_TOKEN, "ZnCjm1XV"),
        (f"PATCH https://discord.com/api/v10/webhooks/12345/{_INTERACTION_TOKEN}/messages/@original", "aW50ZXJ"),
        ("POST /interactions/12345/short-token/callback", "short-token"),
        ("token " + _INTERACTION_TOKEN, "aW50ZXJ"),
        ("jwt eyJhbGciOiJSUzI1NiJ9.eyJHcm91cE5hbWUi.c2lnbmF0dXJl", "c2lnbmF0"),
        ("api_key=correct-horse-battery-staple&x=1", "horse"),
        ("hash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "9f86d0"),
        ("base64 " + base64.b64encode(bytes(range(100, 160))).decode(), "ZGVmZ2"),
    ],
)
def test_what_looks_like_a_key_is_masked(text: str, gone: str) -> None:
    """None of the secret's characters are left, and the mask shows that something was there."""
    masked = redact(text)
    assert gone not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "Rate limit reached for gpt-5.4 on requests per min (RPM): Limit 3500. Please try again in 20s.",
        "authorization: invalid or missing header value",
        "The model `gpt-4o-mini` does not exist or you do not have access to it.",
        "organization_spend_limit_exceeded_for_this_project",
        "interaction 1300000000000000001 of user 643945264868098049 took 12.5 s",
        "/usr/lib/python3.11/site-packages/httpx2/_transports/default.py",
        "test_a_key_rejected_with_401_is_never_used_again_by_this_instance",
        "a risk-averse task-force; 안전 정책에 따라 거절된 요청이에요",
    ],
)
def test_what_a_person_needs_stays(text: str) -> None:
    """Error codes, model names, ids of users and file paths are left as they are."""
    assert redact(text) == text


@given(st.text(max_size=40), st.integers(min_value=8, max_value=64))
def test_a_known_secret_is_gone_wherever_it_stands(around: str, length: int) -> None:
    """A secret passed in is masked even if no pattern would know it, in any surroundings."""
    secret = ("qwertz-secret-of-ours-" * 4)[:length]
    assert secret not in redact(f"{around}{secret}{around}", [secret])


def test_a_known_secret_is_gone_when_percent_encoded() -> None:
    """A secret that travelled in a query string is masked too."""
    assert "pa%2Fss" not in redact("GET /?q=pa%2Fss%20word", ["pa/ss word"])


def test_random_keys_of_any_alphabet_are_masked() -> None:
    """A hundred random keys, hexadecimal and URL-safe, are all masked without a prefix that gives them away."""
    for _ in range(50):
        key = secrets.token_hex(16)
        assert key not in redact(f"key {key} end")
        long_key = secrets.token_urlsafe(48)
        assert long_key not in redact(f"key {long_key} end")


def test_an_excerpt_is_one_short_line() -> None:
    """Newlines are folded and the length is bounded, whatever the provider sent."""
    line = excerpt("<html>\n  <body>\n" + "Bad gateway " * 100_000)
    assert "\n" not in line
    assert line.startswith("<html> <body> Bad gateway")
    assert len(line) <= 300


def test_an_excerpt_never_ends_in_half_a_key() -> None:
    """A key that lies across the first cut is dropped whole, since half of it would pass every pattern."""
    noise = base64.b64encode(secrets.token_bytes(1770)).decode()
    text = noise[:2360] + " key my-PLAIN-secret-0123456789-abcdefghij " + "x" * 5000
    assert "PLAIN" not in excerpt(text, ["my-PLAIN-secret-0123456789-abcdefghij"])
