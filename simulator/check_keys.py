"""Checks recorded provider calls against the limits of their keys."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MINUTE_S = 60.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What one key may do; None is without limit."""

    rpm: int | None = None
    rpd: int | None = None
    in_flight: int | None = None


@dataclass(slots=True)
class KeyUse:
    """Every costly call of one key: when it started and ended."""

    provider: str
    key: str
    recorded: KeyLimits = KeyLimits()
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    _open: dict[int, float] = field(default_factory=dict)

    def begin(self, call: int, t: float) -> None:
        """Note a call's start; `call` is its number in the ledger."""
        self.starts.append(t)
        self._open[call] = t

    def end(self, call: int, t: float) -> None:
        """Note a call's end."""
        if self._open.pop(call, None) is not None:
            self.ends.append(t)

    def restarted(self, t: float) -> None:
        """Note that the simulator started anew: what was open ended with its predecessor, and numbers begin again."""
        for call in list(self._open):
            self.end(call, t)

    def violations(self, given: KeyLimits | None, slack_s: float) -> list[dict[str, Any]]:
        """Return each limit that was broken, with the largest value and how many calls were too many."""
        limits = given or self.recorded
        found = []
        for name, limit, window in (("rpm", limits.rpm, MINUTE_S), ("rpd", limits.rpd, DAY_S)):
            if limit is None:
                continue
            counts = window_counts(self.starts, window - slack_s)
            over = sum(count > limit for count in counts)
            if over:
                found.append(self._fault(name, limit, max(counts), over))
        if limits.in_flight is not None and self.peak_in_flight() > limits.in_flight:
            found.append(self._fault("in_flight", limits.in_flight, self.peak_in_flight(), 1))
        return found

    def peak_in_flight(self) -> int:
        """Return how many calls were open at once, at most."""
        changes = sorted([(t, 1) for t in self.starts] + [(t, -1) for t in self.ends])
        now = peak = 0
        for _, change in changes:
            now += change
            peak = max(peak, now)
        return peak

    def figures(self) -> dict[str, Any]:
        """Return counts for the report."""
        return {"provider": self.provider, "key": self.key, "calls": len(self.starts),
                "peak_per_minute": peak_in_window(self.starts, MINUTE_S), "peak_in_flight": self.peak_in_flight(),
                "unfinished": len(self._open)}  # fmt: skip

    def _fault(self, limit: str, allowed: int, peak: int, over: int) -> dict[str, Any]:
        return {"provider": self.provider, "key": self.key, "limit": limit, "allowed": allowed, "peak": peak,
                "calls_over": over}  # fmt: skip


def window_counts(times: Sequence[float], window_s: float) -> list[int]:
    """Return, for each call in ascending order, how many calls lie in the window that ends with it."""
    return [i + 1 - bisect_right(times, t - window_s, 0, i) for i, t in enumerate(times)]


def peak_in_window(times: Sequence[float], window_s: float) -> int:
    """Return the largest number of calls in any window of that length; `times` ascend."""
    return max(window_counts(times, window_s), default=0)
