"""Charts of medians with their spread, in the style of the README's: bars beside each other, or lines over a size."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report import Spread

INK, FAINT, STRONG, SOFT = "#24292f", "#d8dee4", "#1560bd", "#9aa5b1"
COLOURS = (STRONG, "#b0562f", "#4a8f5c", SOFT)
DPI = 200


def available() -> bool:
    """Whether charts can be drawn here (the `bench` dependency group)."""
    return importlib.util.find_spec("matplotlib") is not None


MISSING = "No chart: matplotlib is missing (./deploy-multi.sh bench installs it)."


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over sizes: for each label the spread at each size; None where nothing was measured."""

    title: str
    sizes: Sequence[str]
    lines: Mapping[str, Sequence[Spread | None]]
    floor: bool = True
    """Whether the axis begins at 0, so that a small change looks small."""


def bars(path: Path, title: str, values: Mapping[str, Spread], *, strong: str) -> None:
    """Write horizontal bars, the one named `strong` in the colour, each with its spread as a thin line."""
    with _figure(path, 8.0, 0.9 + 0.45 * len(values)) as figure:
        axes = figure.subplots()
        names = list(values)
        for place, name in enumerate(reversed(names)):
            seen = values[name]
            axes.barh(place, seen.median, 0.62, color=STRONG if name == strong else SOFT, zorder=3)
            axes.plot([seen.least, seen.most], [place, place], color=INK, linewidth=1.1, zorder=4)
            axes.text(seen.most, place, f"  {seen.median:,.0f}", va="center", fontsize=9,
                      fontweight="bold" if name == strong else "normal")  # fmt: skip
        axes.set_yticks(range(len(names)), list(reversed(names)), fontsize=9)
        axes.set_xlim(0, max(seen.most for seen in values.values()) * 1.12)
        _dress(axes, title, "x")


def panels(path: Path, found: Sequence[Panel]) -> None:
    """Write panels below each other, two in a row."""
    rows = (len(found) + 1) // 2
    with _figure(path, 8.0, 2.7 * rows) as figure:
        grid = figure.subplots(rows, 2, squeeze=False)
        for number, axes in enumerate(grid.flat):
            if number >= len(found):
                axes.set_visible(False)
                continue
            _lines(axes, found[number])
            _dress(axes, found[number].title, "y")


def _lines(axes: Any, panel: Panel) -> None:
    top = 0.0
    for colour, (label, values) in zip(COLOURS, panel.lines.items(), strict=False):
        known = [(place, seen) for place, seen in enumerate(values) if seen is not None]
        places, medians = [place for place, _ in known], [seen.median for _, seen in known]
        axes.plot(places, medians, color=colour, marker="o", markersize=4, linewidth=1.5, label=label, zorder=3)
        for place, seen in known:
            axes.plot([place, place], [seen.least, seen.most], color=colour, linewidth=1.0, alpha=0.6, zorder=2)
            top = max(top, seen.most)
    axes.set_xticks(range(len(panel.sizes)), panel.sizes, fontsize=7.5)
    if panel.floor:
        axes.set_ylim(0, top * 1.15 or 1)
    if len(panel.lines) > 1:
        axes.legend(frameon=False, fontsize=7.5)


def _dress(axes: Any, title: str, grid: str) -> None:
    axes.set_title(title, fontsize=9.5, loc="left", pad=8, color=INK)
    axes.tick_params(length=0, colors=INK, labelsize=7.5)
    axes.grid(axis=grid, color=FAINT, linewidth=0.7, zorder=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == ("left" if grid == "x" else "bottom"))


@contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator[Any]:
    """Give a figure, and write it as PNG to be read at 800 pixels' width."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    plot = importlib.import_module("matplotlib.pyplot")
    matplotlib.rcParams.update({"font.family": "DejaVu Sans", "text.color": INK, "axes.labelcolor": INK})
    figure = plot.figure(figsize=(width, height), dpi=DPI, facecolor="white")
    try:
        yield figure
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, facecolor="white")
    finally:
        plot.close(figure)
