"""An instance's own key set: one key for each provider, with its budget.

`async with key.use():` around a provider call reserves budget first and learns from how the call ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from app.balancing.budget import KeyBudget, KeySnapshot, day_of
from app.balancing.state import Counters
from app.clock import Clock
from app.errors import (
    NoKeyAvailable,
    ProviderError,
    ProviderKeyRejected,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
)

OPENAI = "openai"
STABILITY = "stability"
MINIMAX = "minimax"

CallObserver = Callable[[str, str, float], None]
"""Told of each call: provider, outcome (`ok` or the error's class name), seconds."""


class ManagedKey:
    """One provider's key on this instance. Daily use is counted in the store before the call where a day is limited."""

    def __init__(
        self,
        provider: str,
        instance: int,
        clock: Clock,
        counters: Counters,
        *,
        per_minute: int = 0,
        per_day: int = 0,
        observe: CallObserver | None = None,
    ) -> None:
        self.provider = provider
        self._counter = f"calls:{instance}:{provider}"
        self._clock = clock
        self._counters = counters
        self._counts_days = per_day > 0
        self._observe = observe
        self._budget = KeyBudget(clock, per_minute=per_minute, per_day=per_day)

    async def restore(self) -> None:
        """Take over today's use from before a restart."""
        day = day_of(self._clock.now())
        self._budget.restore(day, (await self._counters.values(day)).get(self._counter, 0))

    def room(self) -> int:
        """Return how many calls may start now."""
        return self._budget.room()

    def snapshot(self) -> KeySnapshot:
        """Return the budget for others to see."""
        return self._budget.snapshot()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[None]:
        """Reserve one call; raise `NoKeyAvailable` with the seconds to wait if none may start now."""
        if not self._budget.reserve():
            wait = self._budget.wait_s()
            raise NoKeyAvailable(
                f"{self.provider}: no budget for {wait:.1f} s", provider=self.provider, retry_after=wait
            )
        started = self._clock.monotonic()
        outcome = "ok"
        try:
            if self._counts_days:
                day = day_of(self._clock.now())
                self._budget.restore(day, await self._counters.add(day, self._counter))
            yield
            self._budget.succeeded()
        except BaseException as error:
            outcome = type(error).__name__
            self._learn(error)
            raise
        finally:
            self._budget.done()
            if self._observe is not None:
                self._observe(self.provider, outcome, self._clock.monotonic() - started)

    def _learn(self, error: BaseException) -> None:
        if isinstance(error, ProviderRateLimited):
            self._budget.cool(error.retry_after)
        elif isinstance(error, ProviderQuotaExhausted):
            self._budget.spend()
        elif isinstance(error, ProviderKeyRejected):
            self._budget.reject()
        elif isinstance(error, ProviderRefused):
            self._budget.succeeded()


class KeySet:
    """The keys of this instance, by provider."""

    def __init__(self, keys: Iterable[ManagedKey]) -> None:
        self._keys = {key.provider: key for key in keys}

    def __getitem__(self, provider: str) -> ManagedKey:
        return self._keys[provider]

    async def restore(self) -> None:
        """Take over today's use from before a restart, for every key."""
        for key in self._keys.values():
            await key.restore()

    def room(self, providers: Iterable[str]) -> int:
        """Return how many calls to any of these providers may start now."""
        return sum(self._keys[provider].room() for provider in providers)

    def snapshots(self) -> Mapping[str, KeySnapshot]:
        """Return every key's budget."""
        return {provider: key.snapshot() for provider, key in self._keys.items()}


def concerns_key(error: ProviderError) -> bool:
    """Whether another instance's key may well succeed where this one's failed."""
    return isinstance(error, NoKeyAvailable | ProviderRateLimited | ProviderQuotaExhausted | ProviderKeyRejected)
