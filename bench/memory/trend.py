"""Whether a series grows: a straight line by least squares, with the 95 % interval of its slope."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_POINTS = 5
_NORMAL_975 = statistics.NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Trend:
    """How much a series grew over the points that were looked at: `growth` by the fit, and its 95 % interval."""

    growth: float
    least: float
    most: float

    def to(self, digits: int) -> str:
        """Write it as `+growth (least to most)`."""
        return f"{self.growth:+,.{digits}f} ({self.least:+,.{digits}f} to {self.most:+,.{digits}f})"


def fit(places: Sequence[float], values: Sequence[float]) -> Trend:
    """Fit a line; raises `ValueError` for fewer than `FEWEST_POINTS` points, or if all are at one place."""
    if len(places) < FEWEST_POINTS:
        raise ValueError(f"a trend needs {FEWEST_POINTS} points, not {len(places)}")
    slope, intercept = statistics.linear_regression(places, values)
    middle = statistics.fmean(places)
    freedom = len(places) - 2
    residue = sum((value - slope * place - intercept) ** 2 for place, value in zip(places, values, strict=True))
    error = math.sqrt(residue / freedom / sum((place - middle) ** 2 for place in places))
    length, reach = max(places) - min(places), quantile_975(freedom) * error
    return Trend(slope * length, (slope - reach) * length, (slope + reach) * length)


def quantile_975(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, by its series around the normal's (Abramowitz & Stegun 26.7.5).

    From 3 degrees of freedom on it is right within 1 %.
    """
    z = _NORMAL_975
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
