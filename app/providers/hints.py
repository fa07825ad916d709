"""What a provider says about waiting: rate-limit headers, `Retry-After`, and the sentence in a message."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from app.providers.base import RateHints

_LONGEST_WAIT_S = 86_400.0
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = r"\d{1,9}(?:\.\d{1,9})?(?:ms|s|m|h|d)"
_DURATION = re.compile(rf"(?:{_PART}){{1,5}}")
_TRY_AGAIN = re.compile(rf"try again in ((?:{_PART}){{1,5}})(?![a-z])", re.IGNORECASE)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(text: str | None) -> float | None:
    """Return the seconds of a Go duration (`6m0s`, `120ms`, `1m30s`); None if it is none."""
    text = (text or "").strip().lower()
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(amount) * _UNIT_S[unit] for amount, unit in _AMOUNT.findall(text))


def rate_hints(headers: Mapping[str, str]) -> RateHints:
    """Read OpenAI's `x-ratelimit-{limit,remaining,reset}-requests` headers; absent, `-1` and `0` are unknown.

    A remaining `0` is believed only beside a known limit and reset: some gateways send a bare 0 for "don't know".
    """
    limit = _count(headers.get("x-ratelimit-limit-requests"))
    remaining = _count(headers.get("x-ratelimit-remaining-requests"))
    reset_s = parse_duration(headers.get("x-ratelimit-reset-requests"))
    limit, reset_s = limit or None, reset_s or None
    if remaining == 0 and (limit is None or reset_s is None):
        remaining = None
    return RateHints(limit, remaining, reset_s)


def retry_after(headers: Mapping[str, str], message: str, *, now: float) -> float | None:
    """Return how many seconds to wait, from the most exact source there is; `now` is in seconds since the epoch.

    `retry-after-ms`, then `Retry-After` as seconds or as an HTTP date (RFC 9110, 10.2.3), then the message's
    "Please try again in 20s".
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is None:
        seconds = _until(value, now)
    if seconds is None and (found := _TRY_AGAIN.search(message)):
        seconds = parse_duration(found.group(1))
    return None if seconds is None else _bounded(seconds)


def _bounded(seconds: float) -> float:
    return min(seconds, _LONGEST_WAIT_S)


def _count(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else int(number)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(text: str | None, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text or "")
        # A date in "-0000" comes back without a zone; HTTP dates are always UTC.
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
