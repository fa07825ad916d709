"""The ledger: one JSON object per line and event, which a separate checker reads afterwards.

Every line has `n` (a running number), `t` (CLOCK_MONOTONIC, seconds: the same clock for all processes of a machine),
`wall` (seconds since the epoch) and `event`. Lines of one turn of the event loop are written and flushed together.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

Event = dict[str, Any]


def digest(text: str | bytes) -> str:
    """Return 16 hex digits that stand for a text without showing it."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(raw).hexdigest()[:16]


class Ledger:
    """Appends events to a file and keeps the newest `keep` in memory for live readers."""

    def __init__(self, path: Path | None, keep: int = 100_000) -> None:
        self.path = path
        self.events: deque[Event] = deque(maxlen=keep)
        self._file: TextIO | None = None
        self._pending: list[str] = []
        self._count = 0
        self._listeners: list[Callable[[Event], None]] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def add(self, event: str, **fields: Any) -> Event:
        """Record one event now; fields that are None are left out."""
        self._count += 1
        line: Event = {"n": self._count, "t": round(time.monotonic(), 6), "wall": round(time.time(), 6), "event": event}
        line.update((name, value) for name, value in fields.items() if value is not None)
        self.events.append(line)
        for listener in self._listeners:
            listener(line)
        if self._file is not None:
            self._pending.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
            if len(self._pending) == 1:
                self._flush_at_end_of_turn()
        return line

    def _flush_at_end_of_turn(self) -> None:
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:  # no loop runs: a synchronous caller wants its line on disk at once
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        if self._file is None or not self._pending:
            return
        lines, self._pending = self._pending, []
        self._file.write("\n".join(lines) + "\n")
        self._file.flush()

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with every event from now on."""
        self._listeners.append(listener)

    def since(self, n: int, limit: int = 10_000) -> list[Event]:
        """Return up to `limit` events numbered above `n`, oldest first, as far as they are still in memory."""
        if not self.events:
            return []
        skip = max(0, n - self.events[0]["n"] + 1)
        return list(islice(self.events, skip, skip + limit))

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None


def read_ledger(path: Path) -> list[Event]:
    """Read a ledger file; a last line that is still being written is left out."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.endswith("\n")]
