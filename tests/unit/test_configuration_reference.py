"""docs/configuration.md says what the settings do, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.settings import InstanceSettings
from ops.checks import VARIABLES
from ops.envfile import ROOT
from scripts import configuration


def rows_of(page: str) -> dict[str, list[str]]:
    """Each variable's cells."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`… "): cells[1:] for cells in lines}


def test_the_page_is_what_the_settings_say() -> None:
    """Whoever changes a setting, its bounds or its comment makes the page anew."""
    assert configuration.main(["--check"]) == 0, "run scripts/configuration.py and commit docs/configuration.md"


def test_every_variable_is_on_it(tmp_path: Path) -> None:
    """None of the operator's is missing, nor of one instance alone; each has a default or is required."""
    rows = rows_of(configuration.PAGE.read_text())
    assert {*VARIABLES, *(name.upper() for name in InstanceSettings.model_fields)} <= set(rows)
    assert all(re.fullmatch(r"required|empty|`.+`", cells[0]) for cells in rows.values())
    assert all(cells[1] and cells[2] for cells in rows.values()), "a comment is missing in .env.multi.example"


def test_bounds_choices_and_defaults_are_the_codes() -> None:
    """A number has its range, a choice its words, a list its shape."""
    rows = rows_of(configuration.PAGE.read_text())
    assert rows["INSTANCE_COUNT"][:2] == ["`4`", "a whole number from 1 to 16"]
    assert rows["ROUTING"][:2] == ["`user`", "`user` or `functional`"]
    assert rows["VIDEO_POLL_S"][:2] == ["`5`", "a number above 0 to 120"]
    assert rows["ALLOWED_USERS"][:2] == ["empty", "ids, with commas between them"]
    assert rows["INSTANCE_ID"][0] == "required"


def test_a_page_that_fell_behind_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--check` ends with 1 and writes nothing; without it the page is made."""
    monkeypatch.setattr(configuration, "PAGE", ROOT / "docs" / "no-such-page.md")
    assert configuration.main(["--check"]) == 1
    assert not configuration.PAGE.exists()
    monkeypatch.setattr(configuration, "ROOT", tmp_path)
    monkeypatch.setattr(configuration, "PAGE", tmp_path / "page.md")
    assert configuration.main([]) == 0
    assert configuration.main(["--check"]) == 0
    configuration.PAGE.write_text(configuration.PAGE.read_text().replace("`4`", "`5`"))
    assert configuration.main(["--check"]) == 1


def test_a_comment_holds_until_the_next_or_an_empty_line() -> None:
    """Variables in a row share it; the next comment or an empty line begins anew."""
    (section,) = configuration.read_example("# --- Part: of it ----\n# Both.\n# A=1\n# B=2\n# New.\n# C=\n\nD=4\n")
    told = [(variable.name, variable.shown, variable.required, variable.comment) for variable in section.variables]
    assert told == [
        ("A", "1", False, "Both."),
        ("B", "2", False, "Both."),
        ("C", "", False, "New."),
        ("D", "4", True, ""),
    ]
