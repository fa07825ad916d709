"""What a benchmark should reach, and the line that says whether it did or by how much it missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A figure beside its goal, which is the least it should be or, with `at_most`, the most."""

    what: str
    value: float
    goal: float
    at_most: bool = False
    digits: int = 2
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the goal is met by the figure as it is, not as it is printed."""
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def line(self) -> str:
        """Say it in one line."""
        sign = "≤" if self.at_most else "≥"
        shown, goal = (f"{number:,.{self.digits}f}" for number in (self.value, self.goal))
        verdict = "reached" if self.reached else f"missed by {self._missed_by()}"
        return f"{self.what}: {shown}{self.unit} (target {sign} {goal}{self.unit}): {verdict}"

    def _missed_by(self) -> str:
        """Return the gap in the figure's unit, or, where it would be rounded away, in per cent."""
        gap = abs(self.value - self.goal)
        text = f"{gap:,.{self.digits}f}{self.unit}"
        return text if gap >= 0.5 * 10**-self.digits else f"{gap / self.goal:.1%}"


def exit_code(targets: Sequence[Target], *, strict: bool) -> int:
    """Return 1 if a target is missed and that matters."""
    return int(strict and not all(target.reached for target in targets))
