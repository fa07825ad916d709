"""How long Discord waited for "thinking…" in the last minute, cheap enough to be noted for every interaction."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_S = 60.0

EDGES_S = (
    0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2,
    0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0,
)  # fmt: skip
"""The upper ends of the classes that times are counted in; what is beyond the last is told as the last."""


@dataclass(frozen=True, slots=True)
class AckFigures:
    """How many interactions were deferred in the last minute; half, and 99 %, took no more seconds than this."""

    count: int = 0
    p50_s: float | None = None
    p99_s: float | None = None


class AckTimes:
    """Counts times by class. `figures` is to be asked about once a second: it remembers what was so a minute ago."""

    def __init__(self) -> None:
        self._counts = [0] * (len(EDGES_S) + 1)
        self._seen: deque[tuple[float, Sequence[int]]] = deque()

    def observe(self, seconds: float) -> None:
        """An interaction was deferred after this long."""
        self._counts[bisect_left(EDGES_S, seconds)] += 1

    def figures(self, now: float) -> AckFigures:
        """Return those of the last minute; `now` is in seconds of a clock that never goes back."""
        while len(self._seen) > 1 and self._seen[1][0] <= now - WINDOW_S:
            self._seen.popleft()
        before = self._seen[0][1] if self._seen else [0] * len(self._counts)
        self._seen.append((now, tuple(self._counts)))
        counts = [count - earlier for count, earlier in zip(self._counts, before, strict=True)]
        return AckFigures(sum(counts), _quantile(counts, 0.5), _quantile(counts, 0.99))


def _quantile(counts: Sequence[int], share: float) -> float | None:
    """Return the time that this share of them did not exceed, taking them as spread evenly within a class."""
    left = sum(counts) * share
    if not left:
        return None
    for index, count in enumerate(counts[:-1]):
        if count and left <= count:
            low = EDGES_S[index - 1] if index else 0.0
            return round(low + (EDGES_S[index] - low) * left / count, 5)
        left -= count
    return EDGES_S[-1]
