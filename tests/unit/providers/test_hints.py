"""How long a provider asks us to wait, in every way it can say so."""

from __future__ import annotations

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.base import RateHints
from app.providers.hints import parse_duration, rate_hints, retry_after

_NOW = 1_760_000_000.0  # Thu, 09 Oct 2025 08:53:20 GMT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120ms", 0.12),
        ("1s", 1),
        ("1m30s", 90),
        ("6m0s", 360),
        ("1h2m3.5s", 3723.5),
        ("2d", 172_800),
        (" 8.64s ", 8.64),
        ("", None),
        (None, None),
        ("-1", None),
        ("0", None),
        ("20", None),
        ("1m30", None),
        ("soon", None),
    ],
)
def test_a_go_duration_is_read_in_seconds(text: str | None, seconds: float | None) -> None:
    """Units add up; whatever is no duration is unknown."""
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "hints"),
    [
        ("60", "59", "1s", RateHints(60, 59, 1.0)),
        ("3500", "0", "6m0s", RateHints(3500, 0, 360.0)),
        (None, None, None, RateHints()),
        ("-1", "-1", "0", RateHints()),
        ("0", "0", "0s", RateHints()),
        (None, "0", None, RateHints()),
        ("60", "nan", "x", RateHints(60, None, None)),
    ],
)
def test_rate_headers_are_believed_only_if_they_say_something(
    limit: str | None, remaining: str | None, reset: str | None, hints: RateHints
) -> None:
    """Absent, `-1` and a bare `0` are unknown; an empty window beside its limit and reset is known."""
    names = ("limit", "remaining", "reset")
    pairs = zip(names, (limit, remaining, reset), strict=True)
    headers = httpx2.Headers({f"X-RateLimit-{name}-Requests": value for name, value in pairs if value is not None})
    assert rate_hints(headers) == hints


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "7"}, "", 7),
        ({"retry-after": "0.5"}, "", 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, "", 0.25),
        ({"retry-after-ms": "x", "retry-after": "7"}, "", 7),
        ({"retry-after": "Thu, 09 Oct 2025 08:53:50 GMT"}, "", 30),
        ({"retry-after": "Thu, 09 Oct 2025 08:00:00 GMT"}, "", 0),
        ({"retry-after": "Thu, 09 Oct 2025 08:53:50 -0000"}, "", 30),
        ({"retry-after": "Someday, 99 Foo 2025"}, "Please try again in 3s.", 3),
        ({}, "Rate limit reached for gpt-5.4 … Please try again in 20s. Visit …", 20),
        ({}, "Please try again in 1m12.5s.", 72.5),
        ({}, "please try again in 120ms", 0.12),
        ({}, "Please try again in 3 days", None),
        ({}, "Please try again in 3seconds", None),
        ({"retry-after": "-5"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "9" * 30}, "", 86_400),
        ({}, "", None),
    ],
)
def test_the_most_exact_hint_wins(headers: dict[str, str], message: str, seconds: float | None) -> None:
    """Milliseconds, then seconds, then a date, then the message; at most a day, never negative."""
    waiting = retry_after(httpx2.Headers(headers), message, now=_NOW)
    assert waiting == (None if seconds is None else pytest.approx(seconds))


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_header_or_message_breaks_the_reader(value: str, message: str) -> None:
    """Whatever a server sends, the answer is nothing or between zero and a day."""
    for name in ("retry-after", "retry-after-ms"):
        waiting = retry_after({name: value}, "try again in " + message, now=_NOW)
        assert waiting is None or 0 <= waiting <= 86_400
