"""Reading error responses, also those no one should send."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from app.discord.api_errors import ApiError, read_error, seconds
from app.discord.rate_limits import read_rate_limit


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>502</html>",
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"code": "50035", "message": 7, "errors": 3}',
        b'{"code": 1.5, "errors": {"_errors": "no list of objects"}}',
        b'{"errors": {"a": {"_errors": ["text", null, 1]}}}',
        b'{"errors": {"_errors": 3}}',
        b'{"errors": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    ],
)
def test_any_body_can_be_read(content: bytes) -> None:
    """What is not Discord's error object has code 0 and still makes a sentence."""
    error = read_error(httpx2.Response(502, content=content))
    assert error.code == 0
    assert str(error).startswith("HTTP 502: ")
    assert error.details() == []


def test_details_name_paths_and_stop_at_twenty() -> None:
    """Numbers are indices, names are fields; a thousand faults don't make a thousand lines."""
    leaf = {"_errors": [{"code": "A", "message": "one"}, {"code": "B"}]}
    tree: dict[str, Any] = {"_errors": [{"message": "top"}], "0": {"options": {"3": {"name": leaf}}}}
    error = read_error(httpx2.Response(400, json={"code": 50035, "message": "Invalid", "errors": tree}))
    assert error.details() == ["top", "[0].options[3].name: one", "[0].options[3].name: {'code': 'B'}"]
    assert error.details("commands")[1] == "commands[0].options[3].name: one"
    many = {str(n): leaf for n in range(1000)}
    assert len(read_error(httpx2.Response(400, json={"errors": many})).details()) == 20


def test_a_tree_of_any_depth_is_survived() -> None:
    """A tree deeper than Python's stack has no details and raises nothing."""
    tree: dict[str, Any] = {"_errors": [{"message": "far down"}]}
    for _ in range(5000):
        tree = {"a": tree}
    assert ApiError(400, 50035, "Invalid", {"errors": tree}).details() == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5),
        (0, 0),
        ("7", 7),
        (-1, None),
        ("nan", None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ("Wed, 21 Oct", None),
        ([1], None),
        (10**400, None),
    ],
)
def test_only_a_finite_duration_is_waited_for(value: object, expected: float | None) -> None:
    """Nothing a server sends can make a wait negative, endless or not a number."""
    assert seconds(value) == expected


@pytest.mark.parametrize(
    ("body", "headers", "retry_after", "everywhere", "counted"),
    [
        ({"retry_after": 1.5, "global": False}, {"Retry-After": "2", "X-RateLimit-Scope": "user"}, 1.5, False, True),
        ({"retry_after": 1.5, "global": True}, {}, 1.5, True, True),
        ({"retry_after": 1.5}, {"X-RateLimit-Global": "true"}, 1.5, True, True),
        ({"retry_after": 1.5}, {"X-RateLimit-Scope": "global"}, 1.5, True, True),
        ({"retry_after": 1.5}, {"X-RateLimit-Scope": "shared"}, 1.5, False, False),
        ({"retry_after": "x"}, {"Retry-After": "2"}, 2, False, True),
        (None, {"Retry-After": "60"}, 60, True, True),
        (None, {}, None, True, True),
        (None, {"X-RateLimit-Scope": "user"}, None, False, True),
    ],
)
def test_a_429_is_read(
    body: dict[str, Any] | None,
    headers: dict[str, str],
    retry_after: float | None,
    everywhere: bool,
    counted: bool,
) -> None:
    """How long, for whom, and whether it counts towards the ban; one without JSON and scope is the edge's own."""
    content = b"<html>" if body is None else json.dumps(body).encode()
    response = httpx2.Response(429, content=content, headers=headers)
    limit = read_rate_limit(read_error(response), response.headers)
    assert (limit.retry_after, limit.everywhere, limit.counted) == (retry_after, everywhere, counted)
