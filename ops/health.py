"""Asks instances and nginx how they are, over HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

NO_ANSWER = "no answer"


def get(url: str, timeout: float = 2.0) -> tuple[int, bytes]:
    """GET a URL; return (status, body), or (0, b"") if nobody answers within `timeout` seconds."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def get_json(url: str, timeout: float = 2.0) -> Any:
    """GET a JSON document; None unless it was answered with 200 and can be read."""
    status, body = get(url, timeout)
    try:
        return json.loads(body) if status == 200 else None
    except ValueError:
        return None


def verdicts(urls: Sequence[str]) -> list[str]:
    """Ask all at once; return `healthy`, `unhealthy (503)` or `no answer` for each."""
    with ThreadPoolExecutor(max_workers=max(1, len(urls))) as pool:
        return [_verdict(status) for status, _ in pool.map(get, urls)]


def _verdict(status: int) -> str:
    if status == 200:
        return "healthy"
    return f"unhealthy ({status})" if status else NO_ANSWER
