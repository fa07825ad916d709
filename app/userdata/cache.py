"""Every user's and server's choices in memory, so that nothing waits for the disk to know them.

A choice made on another instance is known here within about a second, one made here at once.
"""

from __future__ import annotations

from functools import lru_cache

from app.clock import Clock
from app.userdata.preferences import NO_PREFERENCES, Preferences, PreferenceStore, Scope

REFRESH_S = 1.0
PAGE = 1000

MERGED = 1024
"""Pairs of choices remembered merged: every interaction asks more than once, and merging costs far more than looking
up."""


class PreferenceCache:
    """What was chosen, as far as it has been heard of; `of` never waits and never fails."""

    def __init__(self, store: PreferenceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._users: dict[str, Preferences] = {}
        self._servers: dict[str, Preferences] = {}
        self._version = 0
        self._made_here = 0

    def of(self, user_id: str, guild_id: str | None) -> Preferences:
        """Return a user's choices and, where there is none, those of the server they are in."""
        own = self._users.get(user_id)
        server = self._servers.get(guild_id) if guild_id is not None else None
        if own is None or server is None:  # most have chosen nothing, and every interaction asks
            return own or server or NO_PREFERENCES
        return _merged(own, server)

    def changed(self, scope: Scope, id: str, preferences: Preferences) -> None:
        """Take note of a change that was stored just now, without waiting for the next look."""
        self._made_here += 1
        self._note(scope, id, preferences)

    async def refresh(self) -> None:
        """Read what has changed since the last look; raises `StoreUnavailable`."""
        while True:
            made_here = self._made_here
            page = await self._store.changed(after=self._version, limit=PAGE)
            if made_here != self._made_here:
                continue  # what was read may be what a change made here has replaced meanwhile
            for stored in page:
                self._note(stored.scope, stored.id, stored.preferences)
                self._version = stored.version
            if len(page) < PAGE:
                return

    async def keep_fresh(self) -> None:
        """Look each second, until cancelled."""
        while True:
            await self.refresh()
            await self._clock.sleep(REFRESH_S)

    def _note(self, scope: Scope, id: str, preferences: Preferences) -> None:
        known = self._users if scope is Scope.USER else self._servers
        if preferences == NO_PREFERENCES:
            known.pop(id, None)
        else:
            known[id] = preferences


@lru_cache(maxsize=MERGED)
def _merged(own: Preferences, server: Preferences) -> Preferences:
    return own.over(server)
