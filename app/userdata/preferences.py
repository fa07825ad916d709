"""What users choose for themselves, and servers for their members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Protocol


class Scope(StrEnum):
    """Whose choice it is."""

    USER = "user"
    GUILD = "guild"


@dataclass(frozen=True, slots=True)
class Preferences:
    """None is no choice. `language` is `ko` or `en`; `ratio` and `style` are values of `/이미지`'s options."""

    model: str | None = None
    persona: str | None = None
    language: str | None = None
    ratio: str | None = None
    style: str | None = None
    private: bool | None = None

    def over(self, other: Preferences) -> Preferences:
        """Return these choices, and `other`'s where there is none."""
        chosen = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}
        return replace(other, **chosen)

    def chosen(self) -> Mapping[str, Any]:
        """Return the choices that were made."""
        return {name: value for name, value in asdict(self).items() if value is not None}


NO_PREFERENCES = Preferences()


@dataclass(frozen=True, slots=True)
class StoredPreferences:
    """One row: whose, what, and its place in the order of changes."""

    scope: Scope
    id: str
    preferences: Preferences
    version: int


class PreferenceStore(Protocol):
    """Preferences by scope and id; raises `StoreUnavailable` when the store can't serve."""

    async def get(self, scope: Scope, id: str) -> Preferences:
        """Return the choices of a user or a server."""

    async def put(self, scope: Scope, id: str, preferences: Preferences) -> int:
        """Replace the choices, durably; returns the change's version, larger than any before. None left: forgotten."""

    async def changed(self, *, after: int, limit: int = 1000) -> Sequence[StoredPreferences]:
        """Return changes with a version above `after`, in order; a forgotten row comes as `NO_PREFERENCES`."""
