"""The README's chart: calls done as a multiple of one key set, by users and work, for each way of using the sets."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.capacity.cells import SETS, Mode, Users, Work

LABELS = {
    Mode.ONE_SET: "one key set",
    Mode.FUNCTIONAL: "split by feature",
    Mode.MODULO: "user id modulo 4",
    Mode.QUARTET: "Quartet",
}
COLOURS = {
    Mode.ONE_SET: "#cfd4da",
    Mode.FUNCTIONAL: "#9aa5b1",
    Mode.MODULO: "#8fbbe8",
    Mode.QUARTET: "#1560bd",
}
USERS = {Users.UNIFORM: "even use", Users.ZIPF: "Zipf 1.1", Users.ONE_HOME: "all on one home"}
WORKS = {Work.CHAT: "chat", Work.MIXED: "chat, images, videos"}
INK, FAINT = "#24292f", "#d8dee4"
BAR, DPI = 0.215, 200
WIDTH_IN, HEIGHT_IN = 8.0, 4.0


def available() -> bool:
    """Whether charts can be drawn here (the `bench` dependency group)."""
    return importlib.util.find_spec("matplotlib") is not None


def heights(run: Mapping[str, Any]) -> dict[tuple[Work, Users], dict[Mode, float]]:
    """Return the multiples of one set from a run's JSON: for each group of bars one value for each mode measured."""
    by_name = {cell["name"]: cell["x_one_set"] for cell in run["cells"]}
    found: dict[tuple[Work, Users], dict[Mode, float]] = {}
    for work in WORKS:
        for users in USERS:
            bars = {mode: by_name.get(f"{mode}/{users}/{work}") for mode in Mode}
            measured = {mode: value for mode, value in bars.items() if value is not None}
            if measured:
                found[work, users] = measured
    return found


def draw(run: Mapping[str, Any], path: Path) -> None:
    """Write the chart as PNG, to be read at 800 pixels' width. Raises `ValueError` if there is nothing to compare."""
    groups = heights(run)
    if not groups:
        raise ValueError("no cell of this run has a figure for one key set to compare with")
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    plot = importlib.import_module("matplotlib.pyplot")
    matplotlib.rcParams.update({"font.family": "DejaVu Sans", "text.color": INK, "axes.labelcolor": INK})
    figure, axes = plot.subplots(figsize=(WIDTH_IN, HEIGHT_IN), dpi=DPI, facecolor="white")
    for mode in Mode:
        _bars(axes, mode, list(groups.values()))
    _dress(axes, list(groups), run)
    figure.tight_layout()
    figure.savefig(path, facecolor="white")
    plot.close(figure)


def _bars(axes: Any, mode: Mode, groups: Sequence[Mapping[Mode, float]]) -> None:
    offset = (list(Mode).index(mode) - (len(Mode) - 1) / 2) * BAR
    places = [number + offset for number, bars in enumerate(groups) if mode in bars]
    values = [bars[mode] for bars in groups if mode in bars]
    axes.bar(places, values, BAR * 0.92, color=COLOURS[mode], label=LABELS[mode], zorder=3)
    strong = mode is Mode.QUARTET
    for place, value in zip(places, values, strict=True):
        text = f"{value:.2f}" if strong else f"{value:.1f}"
        over = value if value < SETS - 0.4 else SETS  # not on the line that marks four sets
        axes.text(place, over + 0.07, text, ha="center", fontsize=7, fontweight="bold" if strong else "normal")


def _dress(axes: Any, groups: Sequence[tuple[Work, Users]], run: Mapping[str, Any]) -> None:
    axes.axhline(SETS, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=2)
    axes.set_ylim(0, SETS + 1.15)
    axes.set_yticks(range(SETS + 1), [f"{number} ×" for number in range(SETS + 1)], fontsize=9)
    axes.set_xticks(range(len(groups)), [f"{USERS[users]}\n{WORKS[work]}" for work, users in groups], fontsize=7.5)
    axes.tick_params(length=0, colors=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.7, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.legend(loc="upper left", ncols=len(Mode), frameon=False, fontsize=9, handlelength=1.1, columnspacing=1.4)
    demand = run["plan"]["demand"]
    axes.set_title(
        f"Provider calls done, as a multiple of one key set (demand {demand:.1f} × four sets)",
        fontsize=10, loc="left", pad=8, color=INK,
    )  # fmt: skip
