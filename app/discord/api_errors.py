"""Discord's error bodies, read so that a person can act on them.

Shape: `{"code": 50035, "message": "…", "errors": {"options": {"0": {"name": {"_errors": [{"message": "…"}]}}}}}`
(https://discord.com/developers/docs/reference#error-messages).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from app.discord.wire import ErrorCode

_DETAILS_MAX: Final = 20
_DEPTH_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class ApiError:
    """What an error response says; `code` is 0 where the body has none, `body` is empty where it is no JSON object."""

    status: int
    code: int
    message: str
    body: Mapping[str, Any]

    def details(self, root: str = "") -> list[str]:
        """Return the validation errors, one line each: `options[0].name: Must be …`, at most 20."""
        lines: list[str] = []
        for path, message in _walk(self.body.get("errors"), root):
            lines.append(f"{path}: {message}" if path else message)
            if len(lines) == _DETAILS_MAX:
                break
        return lines

    def __str__(self) -> str:
        code = f", code {self.code}" if self.code else ""
        return f"HTTP {self.status}{code}: {'; '.join([self.message, *self.details()])}"


def read_error(response: httpx2.Response) -> ApiError:
    """Read any error response; what is no JSON object (a proxy's page, an empty body) has an empty `body`."""
    body = json_object(response)
    code = body.get("code")
    message = body.get("message")
    return ApiError(
        status=response.status_code,
        code=code if isinstance(code, int) else ErrorCode.GENERAL,
        message=message if isinstance(message, str) else response.reason_phrase or "no explanation",
        body=body,
    )


def json_object(response: httpx2.Response) -> dict[str, Any]:
    """Return a response's JSON object; empty if it is none."""
    try:
        parsed = json.loads(response.content)
    except (ValueError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, dict) else {}


def seconds(value: object) -> float | None:
    """Return a duration sent as a number or a numeric header; None for anything that can't be waited for."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _walk(node: object, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (path, message) for each leaf; the tree ends in lists named `_errors`."""
    if not isinstance(node, dict) or depth > _DEPTH_MAX:
        return
    for key, child in node.items():
        if key == "_errors":
            leaves = child if isinstance(child, list) else []
            yield from ((path, str(leaf.get("message", leaf))) for leaf in leaves if isinstance(leaf, dict))
        else:
            step = f"[{key}]" if key.isdigit() else f".{key}" if path else key
            yield from _walk(child, path + step, depth + 1)
