"""Where a benchmark's figures and charts are kept, and how they get there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.processes import ROOT

RESULTS = ROOT / "bench" / "results"


def write_json(path: Path, figures: Mapping[str, Any]) -> None:
    """Write a file that a reader never sees half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    draft.replace(path)


def options(wanted: argparse.Namespace) -> dict[str, Any]:
    """Return what a benchmark was asked for; not where to write it, which says nothing about the figures."""
    return {name: value for name, value in vars(wanted).items() if not isinstance(value, Path)}


def places(name: str, json_path: Path | None, *, save: bool) -> list[Path]:
    """Return where the JSON goes: where it was asked for, and with `save` to the results of this checkout."""
    return [*([json_path] if json_path is not None else []), *([RESULTS / f"{name}.json"] if save else [])]
