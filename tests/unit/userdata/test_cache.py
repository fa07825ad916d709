"""The choices in memory follow the store's, and are never waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.errors import StoreUnavailable
from app.userdata import cache as cache_module
from app.userdata.cache import REFRESH_S, PreferenceCache
from app.userdata.preferences import NO_PREFERENCES, Preferences, Scope, StoredPreferences
from tests.kit.clock import FakeClock
from tests.kit.waiting import wait_until

KO, EN = Preferences(language="ko"), Preferences(language="en")


class Store:
    """`PreferenceStore` in memory; a look waits for `gate` after it has read."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Scope, str], StoredPreferences] = {}
        self.version = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.looks = 0
        self.broken = False

    async def get(self, scope: Scope, id: str) -> Preferences:
        row = self.rows.get((scope, id))
        return row.preferences if row else NO_PREFERENCES

    async def put(self, scope: Scope, id: str, preferences: Preferences) -> int:
        self.version += 1
        self.rows[scope, id] = StoredPreferences(scope, id, preferences, self.version)
        return self.version

    async def changed(self, *, after: int, limit: int = 1000) -> Sequence[StoredPreferences]:
        if self.broken:
            raise StoreUnavailable("fails on request")
        self.looks += 1
        rows = sorted((row for row in self.rows.values() if row.version > after), key=lambda row: row.version)
        await self.gate.wait()
        return rows[:limit]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def cache(store: Store) -> PreferenceCache:
    return PreferenceCache(store, FakeClock(auto_advance=False))


async def test_user_over_server(store: Store, cache: PreferenceCache) -> None:
    """A user's choice holds over the server's, the server's where the user made none, and only in that server."""
    await store.put(Scope.USER, "5", Preferences(language="en"))
    await store.put(Scope.GUILD, "9", Preferences(language="ko", persona="kind", private=False))
    await cache.refresh()
    assert cache.of("5", "9") == Preferences(language="en", persona="kind", private=False)
    assert cache.of("5", None) == Preferences(language="en")
    assert cache.of("6", "9") == Preferences(language="ko", persona="kind", private=False)
    assert cache.of("6", "8") == NO_PREFERENCES


async def test_changes_are_followed(store: Store, cache: PreferenceCache) -> None:
    """What changed since the last look is known after the next one, a choice taken back too."""
    await store.put(Scope.USER, "5", KO)
    await cache.refresh()
    await store.put(Scope.USER, "5", NO_PREFERENCES)
    await store.put(Scope.USER, "6", EN)
    assert cache.of("5", None) == KO
    await cache.refresh()
    assert (cache.of("5", None), cache.of("6", None)) == (NO_PREFERENCES, EN)


async def test_many_changes(store: Store, cache: PreferenceCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look reads all that changed, page by page."""
    monkeypatch.setattr(cache_module, "PAGE", 3)
    for n in range(10):
        await store.put(Scope.USER, str(n), KO)
    await cache.refresh()
    assert [cache.of(str(n), None) for n in range(10)] == [KO] * 10
    assert store.looks == 4


async def test_own_change_holds(store: Store, cache: PreferenceCache) -> None:
    """A change made here holds at once, also while a look is under way that has read what was before."""
    await store.put(Scope.USER, "5", KO)
    store.gate.clear()
    look = asyncio.create_task(cache.refresh())
    await wait_until(lambda: store.looks == 1, 2.0, "the look has read")
    await store.put(Scope.USER, "5", EN)
    cache.changed(Scope.USER, "5", EN)
    assert cache.of("5", None) == EN
    store.gate.set()
    await look
    assert cache.of("5", None) == EN


async def test_change_elsewhere_after_own(store: Store, cache: PreferenceCache) -> None:
    """A later change on another instance replaces one made here, even if a look had begun before either."""
    store.gate.clear()
    look = asyncio.create_task(cache.refresh())
    await wait_until(lambda: store.looks == 1, 2.0, "the look has read")
    cache.changed(Scope.USER, "5", KO)
    await store.put(Scope.USER, "5", KO)
    await store.put(Scope.USER, "5", EN)
    store.gate.set()
    await look
    assert cache.of("5", None) == EN


async def test_looks_each_second(store: Store) -> None:
    """The chore looks each second, and a store that fails it loses nothing that was known."""
    clock = FakeClock(auto_advance=False)
    cache = PreferenceCache(store, clock)
    await store.put(Scope.USER, "5", KO)
    chore = asyncio.create_task(cache.keep_fresh())
    await clock.advance(3 * REFRESH_S)
    assert store.looks == 4
    store.broken = True
    await clock.advance(REFRESH_S)
    with pytest.raises(StoreUnavailable):
        await chore
    assert cache.of("5", None) == KO
