"""The count of the day's command creations."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.discord.creations import FILENAME, Creations

NOON = 1_790_000_000.0


def test_creations_are_counted_by_day_and_scope(tmp_path: Path) -> None:
    """Each scope has its own count, which a new process finds again; a new day begins at nothing."""
    Creations(tmp_path / "data", NOON).add(None, 11)
    Creations(tmp_path / "data", NOON + 60).add(None, 2)
    Creations(tmp_path / "data", NOON + 60).add("7", 5)
    again = Creations(tmp_path / "data", NOON + 120)
    assert (again.today(None), again.today("7"), again.today("8")) == (13, 5, 0)
    assert Creations(tmp_path / "data", NOON + 86_400).today(None) == 0


@pytest.mark.parametrize("text", ["", "[]", "{", '{"2026-09-21": 3}', "null"])
def test_a_broken_file_stops_nobody(tmp_path: Path, text: str) -> None:
    """What can't be read counts as nothing and is replaced by the next count."""
    (tmp_path / FILENAME).write_text(text)
    creations = Creations(tmp_path, NOON)
    assert creations.today(None) == 0
    creations.add(None, 3)
    assert creations.today(None) == 3
