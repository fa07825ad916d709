"""Provider keys: who they are, what they may do, and exactly what they did."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from simulator.config import Key, Limits, SimulatorConfig, Speed
from simulator.ledger import Ledger

MINUTE_S = 60.0
DAY_S = 86_400.0


@dataclass(slots=True)
class KeyState:
    """One key at one provider. `admitted` holds the start times of a day's calls that were let through,
    oldest first, `minute` those of the last minute."""

    provider: str
    label: str
    limits: Limits
    speed: Speed
    slack_s: float
    organization: str = ""
    rejected: bool = False
    calls: int = 0
    refused: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    max_per_minute: int = 0
    admitted: deque[float] = field(default_factory=deque)
    minute: deque[float] = field(default_factory=deque)

    def over_limit(self, now: float) -> tuple[str, float] | None:
        """Say which limit this call would break and how many seconds until it would not, or None."""
        while self.admitted and self.admitted[0] <= now - DAY_S:
            self.admitted.popleft()
        if self.limits.in_flight is not None and self.in_flight >= self.limits.in_flight:
            return "in_flight", 1.0
        for name, limit, window in (("rpm", self.limits.rpm, MINUTE_S), ("rpd", self.limits.rpd, DAY_S)):
            if limit is None or len(self.admitted) < limit:
                continue
            oldest_that_counts = self.admitted[-limit] if limit else now
            wait = oldest_that_counts + window - self.slack_s - now
            if wait > 0:
                return name, wait
        return None

    def admit(self, now: float) -> None:
        """Count a call that starts now."""
        self.admitted.append(now)
        self.minute.append(now)
        self.max_per_minute = max(self.max_per_minute, self.in_last_minute(now))

    def in_last_minute(self, now: float) -> int:
        """Return how many calls were let through in the minute before `now`."""
        while self.minute and self.minute[0] <= now - MINUTE_S:
            self.minute.popleft()
        return len(self.minute)

    def stats(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        now = time.monotonic()
        return {
            "provider": self.provider,
            "key": self.label,
            "calls": self.calls,
            "admitted": len(self.admitted),
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "max_per_minute": self.max_per_minute,
            "last_minute": self.in_last_minute(now),
            "over_limit": self.refused,
            "limits": {"rpm": self.limits.rpm, "rpd": self.limits.rpd, "in_flight": self.limits.in_flight},
        }


class KeyRing:
    """Finds the state of a key by its secret, which is kept only as a digest."""

    def __init__(self, config: SimulatorConfig, ledger: Ledger) -> None:
        self._config = config
        self._ledger = ledger
        self._states: dict[tuple[str, str], KeyState] = {}
        self._listed = {key.provider for key in config.keys}
        for key in config.keys:
            self._register(key)

    def find(self, provider: str, secret: str) -> KeyState | None:
        """Return the key's state; None if this provider has a list of valid keys and `secret` is not on it."""
        if not secret:
            return None
        state = self._states.get((provider, _fingerprint(secret)))
        if state is None and provider not in self._listed:
            state = self._register(Key(provider=provider, secret=secret))
        return state

    def stats(self) -> list[dict[str, Any]]:
        """Return every key's counts."""
        return [state.stats() for state in self._states.values()]

    def by_label(self, provider: str, label: str) -> KeyState | None:
        """Return the state of the key with this label."""
        return next((s for s in self._states.values() if s.provider == provider and s.label == label), None)

    def _register(self, key: Key) -> KeyState:
        fingerprint = _fingerprint(key.secret)
        limits = key.limits or self._config.limits.get(key.provider) or Limits()
        speed = key.speed or self._config.speed
        label = key.label or fingerprint[:8]
        organization = key.organization or f"org-{label}"
        state = KeyState(key.provider, label, limits, speed, self._config.window_slack_s, organization)
        self._states[key.provider, fingerprint] = state
        shown = {name: getattr(limits, name) for name in ("rpm", "rpd", "in_flight")}
        self._ledger.add("key", provider=key.provider, key=label, limits=shown)
        return state


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
