"""The patches of the fault tests fit the code as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.jobs.sqlite import SqliteJobStore
from ops.envfile import ROOT
from tests.faults.copies import LOST_ANSWERS, MUTANTS, PARTS, PATCHES, apply, patch_of, patched_copy
from tests.faults.scenarios import FATAL_TO


@pytest.mark.parametrize("name", [*MUTANTS, LOST_ANSWERS])
def test_a_patch_fits_the_code(name: str, tmp_path: Path) -> None:
    """Whoever changes these lines hears of it here: bring tests/faults/mutants/ in step, with the same meaning."""
    copy = patched_copy(tmp_path / "copy", name)
    assert apply(copy, name, only_check=True), "a patch that is applied must not fit a second time"
    changed = [
        path for part in PARTS for path in (copy / part).rglob("*.py")
        if not (original := ROOT / path.relative_to(copy)).exists() or path.read_bytes() != original.read_bytes()
    ]  # fmt: skip
    assert changed


def test_every_patch_is_used() -> None:
    """Each patch file is one of the mutants or the lost answers, and each mutant has a fault that is fatal to it."""
    assert {path.stem for path in PATCHES.glob("*.patch")} == {*MUTANTS, LOST_ANSWERS}
    assert set(FATAL_TO) == set(MUTANTS)


def test_the_lost_answers_know_what_records_a_job() -> None:
    """That patch tells the store's writes by the names of their functions: one it does not know is never lost."""
    assert "put_all" in SqliteJobStore.put.__code__.co_names
    assert 'call.__name__ == "put_all"' in patch_of(LOST_ANSWERS).read_text("utf-8")
