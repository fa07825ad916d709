"""A histogram for what is observed thousands of times a second by one thread: its counts are plain numbers.

prometheus_client's own takes a lock for the sum and another for the class, which costs ten times as much.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class QuickHistogram(Collector):
    """Times by one label. Told from one thread only; another may read it, and then sees some count a moment early."""

    def __init__(self, name: str, text: str, edges: Sequence[float], label: str, instance: str) -> None:
        self._name = name
        self._text = text
        self._edges = tuple(edges)
        self._label = label
        self._instance = instance
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, value: str, seconds: float) -> None:
        """What the label has this `value` for took so long."""
        if value not in self._counts:
            self._counts[value] = [0] * (len(self._edges) + 1)
            self._sums[value] = 0.0
        self._counts[value][bisect_left(self._edges, seconds)] += 1
        self._sums[value] += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._text, labels=("instance_id", self._label))
        for value, counts in list(self._counts.items()):
            family.add_metric((self._instance, value), self._cumulated(counts), self._sums[value])
        yield family

    def _cumulated(self, counts: Sequence[int]) -> list[tuple[str, float]]:
        total, buckets = 0, []
        for edge, count in zip((*self._edges, float("inf")), counts, strict=True):
            total += count
            buckets.append((floatToGoString(edge), float(total)))  # type: ignore[no-untyped-call]
        return buckets
