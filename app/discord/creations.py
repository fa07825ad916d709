"""How many of the day's 200 command creations were used, as far as this machine knows.

Discord allows 200 creations a day and scope (a guild's commands, or the global ones) and tells nobody what is left;
names that exist already cost nothing
(https://discord.com/developers/docs/interactions/application-commands#registering-a-command).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

A_DAY: Final = 200
FILENAME: Final = "registrations.json"


class Creations:
    """A small file of counts, by day and scope. A file that can't be read counts as empty: it is only a reminder."""

    def __init__(self, directory: Path, now: float) -> None:
        self._path = directory / FILENAME
        self._day = time.strftime("%Y-%m-%d", time.gmtime(now))

    def today(self, guild_id: str | None) -> int:
        """Return how many were created today in this scope."""
        return self._read().get(_scope(guild_id), 0)

    def add(self, guild_id: str | None, count: int) -> None:
        """Count creations; other days' are dropped."""
        if count <= 0:
            return
        counts = self._read()
        counts[_scope(guild_id)] = counts.get(_scope(guild_id), 0) + count
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps({self._day: counts}))
        draft.replace(self._path)

    def _read(self) -> dict[str, int]:
        try:
            counts = json.loads(self._path.read_text()).get(self._day, {})
            return {str(scope): int(count) for scope, count in counts.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}


def _scope(guild_id: str | None) -> str:
    return f"guild {guild_id}" if guild_id else "global"
