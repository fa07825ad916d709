"""What a response to an edit means for the answer it carries."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from app.discord.api_errors import ApiError
from app.discord.wire import ErrorCode


class Verdict(StrEnum):
    """What to do now; also the `outcome` label of metrics."""

    OK = "ok"
    RATE_LIMITED = "rate_limited"
    """429: wait as long as Discord says."""
    EARLY = "early"
    """Discord may not have processed the deferral yet: try again while the interaction is young."""
    GONE = "gone"
    """The message or its token is no more."""
    REJECTED = "rejected"
    """Discord refuses this content."""
    TOO_LARGE = "too_large"
    """Discord refuses this content for its size."""
    BLOCKED = "blocked"
    """Discord's edge refuses this caller: trying again makes it worse."""
    UNAVAILABLE = "unavailable"
    """5xx: try again."""
    NETWORK = "network"
    """No response: try again."""
    TIMED_OUT = "timed_out"
    """No response in time: try again."""


COUNTED_STATUSES: Final = frozenset({401, 403, 429})
"""Statuses of which 10,000 in ten minutes ban the address (429 only unless its scope is `shared`)."""

_EARLY_CODES = frozenset({ErrorCode.GENERAL, ErrorCode.UNKNOWN_WEBHOOK, ErrorCode.UNKNOWN_INTERACTION})
_TOO_LARGE_CODES = frozenset({ErrorCode.REQUEST_TOO_LARGE, ErrorCode.FILE_TOO_LARGE})


def judge(error: ApiError) -> Verdict:
    """Return what an error response to `PATCH …/messages/@original` means.

    A 404 with 10015 right after a deferral passes within seconds (discord-api-docs#7220); one with 10008 stays.
    """
    status, code = error.status, error.code
    if status == 429:
        return Verdict.RATE_LIMITED
    if code in _TOO_LARGE_CODES or status == 413:
        return Verdict.TOO_LARGE
    if code == ErrorCode.INVALID_WEBHOOK_TOKEN or status == 401:
        return Verdict.GONE
    if status == 404:
        return Verdict.EARLY if code in _EARLY_CODES else Verdict.GONE
    if code == ErrorCode.CLOUDFLARE_BLOCKED or (status == 403 and not error.body):
        return Verdict.BLOCKED
    if 400 <= status < 500 and status != 408 and code != ErrorCode.RESOURCE_OVERLOADED:
        return Verdict.REJECTED
    return Verdict.UNAVAILABLE
