"""The text of the journal's lines: there are several for each job, so none has a record, formatter or encoder made."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from app.masking import LARGEST_KNOWN, Mask, is_id, names_secret

JOURNAL = "journal"

_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


class JournalLines:
    """Makes one instance's lines, in the shape that structlog gives all others. Fields have plain names."""

    def __init__(self, instance: int, mask: Mask) -> None:
        self._mask = mask
        self._ours = _ENCODE(whose({}, instance))[1:]
        self._leased = _ENCODE(whose({"fence": 0}, instance))[1:]
        self._known = lru_cache(maxsize=4096)(self._encoded)
        self._second = 0
        self._stamp = ""

    def line(self, event: str, facts: Mapping[str, Any], level: int) -> str:
        """Return an object on one line, masked, with the time of now."""
        fields = [self._field(name, value) for name, value in facts.items()]
        ours = self._leased if "fence" in facts else self._ours
        known = f'"level": "{logging.getLevelName(level).lower()}", "logger": "{JOURNAL}", "timestamp": "{self._now()}"'
        return f"{{{', '.join([self._known('event', event), *fields, known])}, {ours}"

    def _field(self, name: str, value: Any) -> str:
        if type(value) is str:
            if is_id(value) and not names_secret(name):
                return f'"{name}": "{value}"'
            if len(value) <= LARGEST_KNOWN:
                return self._known(name, value)
        elif type(value) is int:
            return f'"{name}": {value}'
        return self._encoded(name, value)

    def _encoded(self, name: str, value: Any) -> str:
        return f'"{name}": {_ENCODE(self._mask.value(name, value))}'

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._stamp}.{int((now - second) * 1e6):06}Z"


def whose(fields: Mapping[str, Any], instance: int) -> dict[str, int]:
    """Say whose line it is. A job under lease (it has a fence) is worked on with this instance's key set."""
    return {"instance": instance, "key_set": instance} if "fence" in fields else {"instance": instance}
