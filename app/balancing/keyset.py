"""An instance's own key set: one key for each provider, with its budget.

`async with key.use():` around a provider call reserves budget first and learns from how the call ends.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from app.balancing.budget import WINDOW_MARGIN_S, WINDOW_S, Allowance, KeyBudget, KeySnapshot
from app.balancing.state import CallLog
from app.clock import Clock
from app.errors import (
    NoKeyAvailable,
    ProviderBadInput,
    ProviderError,
    ProviderKeyRejected,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderRefused,
)
from app.providers.base import RateHints
from app.redaction import excerpt

OPENAI = "openai"
STABILITY = "stability"
MINIMAX = "minimax"

log = structlog.get_logger("keys")

CALLS_KEPT_S = 3900.0
"""A window needs the starts of one minute; the dashboard draws those of an hour."""

CALLS_FORGOTTEN_EVERY_S = 60.0


class CallWatch(Protocol):
    """Told of one call: when it goes out, its first word, how it ended."""

    def begun(self) -> None:
        """It is on record and goes out."""

    def spoke(self, seconds: float) -> None:
        """The first of the answer's words came after so long."""

    def ended(self, outcome: str, seconds: float) -> None:
        """It took so long: `ok`, or the error's class name."""


class Unwatched:
    """Stands for a watch where nobody wants to know."""

    def begun(self) -> None: ...
    def spoke(self, seconds: float) -> None: ...
    def ended(self, outcome: str, seconds: float) -> None: ...


UNWATCHED = Unwatched()


def key_name(instance: int, provider: str) -> str:
    """Name an instance's key for the call log."""
    return f"{instance}:{provider}"


class Call:
    """A call under way. Telling when its answer begins keeps the key's window exact; its end tells at the latest."""

    def __init__(self, budget: KeyBudget, sent: float, clock: Clock, watch: CallWatch) -> None:
        self._budget = budget
        self._sent = sent
        self._clock = clock
        self._watch = watch
        self._heard = False
        self._spoke = False

    def spoke(self) -> None:
        """The first of the answer's words has come; saying so again is harmless."""
        if not self._spoke:
            self._spoke = True
            self._watch.spoke(self._clock.monotonic() - self._sent)

    def heard(self) -> None:
        """The provider has begun to answer."""
        if not self._heard:
            self._heard = True
            self._budget.heard(self._sent)


class ManagedKey:
    """One provider's key on this instance. Each call is on record in the store before it is made."""

    def __init__(
        self,
        provider: str,
        instance: int,
        clock: Clock,
        calls: CallLog,
        allowance: Allowance,
    ) -> None:
        self.provider = provider
        self.allowance = allowance
        self._name = key_name(instance, provider)
        self._clock = clock
        self._calls = calls
        self._budget = KeyBudget(clock, allowance)

    async def restore(self) -> None:
        """Take over what earlier lives of this instance used of the window and of the day."""
        now = self._clock.now()
        started = await self._calls.since(self._name, now - WINDOW_S - WINDOW_MARGIN_S)
        used = await self._calls.of_day(self._name, self._budget.day)
        self._budget.restore(used_today=used, ages_s=[now - at for at in started])

    def learn(self, hints: RateHints) -> None:
        """Hear what the provider's headers say of the key."""
        self._budget.learn(hints)

    def room(self) -> int:
        """Return how many calls may start now."""
        return self._budget.room()

    def wait_s(self) -> float:
        """Return in how many seconds a call may start; 0 if it may now."""
        return self._budget.wait_s()

    def snapshot(self) -> KeySnapshot:
        """Return the budget for others to see."""
        return self._budget.snapshot()

    @asynccontextmanager
    async def use(self, watch: CallWatch = UNWATCHED) -> AsyncIterator[Call]:
        """Reserve one call, of which `watch` hears.

        Raises `NoKeyAvailable` with the seconds to wait if none may start now.
        """
        reserved = self._budget.reserve()
        if reserved is None:
            wait = self._budget.wait_s()
            raise NoKeyAvailable(
                f"{self.provider}: no budget for {wait:.1f} s", provider=self.provider, retry_after=wait
            )
        started = self._clock.monotonic()
        outcome, call = "ok", None
        try:
            used = await self._calls.record(self._name, day=self._budget.day, at=self._clock.now())
            self._budget.restore(used_today=used)
            watch.begun()
            call = Call(self._budget, self._budget.sent(reserved), self._clock, watch)
            yield call
            self._budget.succeeded()
        except BaseException as error:
            outcome = type(error).__name__
            self._learn(error)
            raise
        finally:
            if call is not None:
                call.heard()
            self._budget.done()
            watch.ended(outcome, self._clock.monotonic() - started)

    def _learn(self, error: BaseException) -> None:
        if isinstance(error, ProviderRateLimited):
            self._budget.cool(error.retry_after)
        elif isinstance(error, ProviderQuotaExhausted):
            self._budget.spend()
        elif isinstance(error, ProviderKeyRejected):
            self._budget.reject()
        elif isinstance(error, ProviderRefused | ProviderBadInput):
            self._budget.succeeded()  # the provider took the key, and disliked only what was asked
        if isinstance(error, ProviderError) and concerns_key(error):
            now = self._budget.snapshot()
            log.warning("key rests", provider=self.provider, state=now.state.value, rest_s=now.rest_s, why=_why(error))


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

    def next_free_s(self) -> float:
        """Return in how many seconds the first key that has to wait now may be used again; infinite if none waits."""
        return min((wait for key in self._keys.values() if (wait := key.wait_s()) > 0), default=math.inf)

    def allowances(self) -> Mapping[str, Allowance]:
        """Return what each key is configured to do."""
        return {provider: key.allowance for provider, key in self._keys.items()}

    def snapshots(self) -> Mapping[str, KeySnapshot]:
        """Return every key's budget."""
        return {provider: key.snapshot() for provider, key in self._keys.items()}


async def forget_old_calls(calls: CallLog, clock: Clock) -> None:
    """Drop what nobody asks the call log for any more, once a minute, until cancelled."""
    while True:
        await calls.forget(before=clock.now() - CALLS_KEPT_S)
        await clock.sleep(CALLS_FORGOTTEN_EVERY_S)


def concerns_key(error: ProviderError) -> bool:
    """Whether another instance's key may well succeed where this one's failed."""
    return isinstance(error, NoKeyAvailable | ProviderRateLimited | ProviderQuotaExhausted | ProviderKeyRejected)


def _why(error: ProviderError) -> str:
    return excerpt(f"{type(error).__name__}: {error}")
