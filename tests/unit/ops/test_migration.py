"""What an operator hears of a move (ops/migration.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops import migration
from ops.failures import Exit, OpsError
from tests.unit.ops.files import env_file

REPORT = {
    "from": "/data/quartet.db", "to": "10.0.0.5:6379, database 0",
    "jobs_found": {"waiting": 2, "running": 1, "done": 7},
    "kinds": {"turns": {"found": 5, "moved": 5}, "jobs": {"found": 10, "moved": 4}},
    "remarks": ["appendonly is off: jobs may be lost"],
}  # fmt: skip


def test_what_was_moved_is_told_with_what_comes_next() -> None:
    """Each kind with what was moved and what was there already, the risks of the new server, and the next command."""
    lines = list(migration.told(REPORT))
    assert lines[0] == "Moved from /data/quartet.db to 10.0.0.5:6379, database 0:"
    assert lines[1].split() == ["turns", "5"]
    assert lines[2].split(maxsplit=2) == ["jobs", "4", "(6 were there already)"]
    assert lines[3] == "Jobs found: 2 waiting, 1 under way, 7 done."
    assert lines[4] == "Warning: appendonly is off: jobs may be lost."
    assert any("STORE_URL" in line for line in lines) and any("start" in line for line in lines[5:])


def script(directory: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Let this be what runs instead of the script that moves."""
    path = directory / "stand_in.py"
    path.write_text(source)
    monkeypatch.setattr(migration, "SCRIPT", path)


def test_progress_is_passed_on_until_the_report_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line, whatever a container engine says between; the URLs go in by the pipe and never as arguments."""
    script(
        tmp_path, monkeypatch,
        "import json, sys\n"
        "asked = json.load(sys.stdin)\n"
        "print('Container quartet-register-run  Creating')\n"
        "print(json.dumps({'kind': 'jobs', 'found': 200, 'moved': 150}), flush=True)\n"
        "print(json.dumps({'kinds': {}, 'asked': asked, 'arguments': sys.argv[1:]}))\n",
    )  # fmt: skip
    file = env_file(tmp_path, STORE_URL="redis://:secret@old:6379/0")
    heard: list[str] = []
    report = migration.migrate(file.path, "", "redis://:other@new:6379/0", containers=False, say=heard.append)
    assert heard == ["jobs: 150 of 200 moved ..."]
    assert report["asked"] == {"from": "redis://:secret@old:6379/0", "to": "redis://:other@new:6379/0"}
    assert report["arguments"] == []


@pytest.mark.parametrize(("code", "wanted"), [(1, Exit.FAILED), (2, Exit.CONFIGURATION), (0, Exit.FAILED)])
def test_what_fails_is_the_script_s_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, wanted: Exit
) -> None:
    """With its exit code; an end without a report is a failure, too, also if nothing was read of what it was given."""
    say = "print('warning: slow', file=sys.stderr)\nprint('Stop them first.', file=sys.stderr)\n"
    script(tmp_path, monkeypatch, f"import sys\n{say}sys.exit({code})\n")
    with pytest.raises(OpsError, match="Stop them first") as failed:
        migration.migrate(env_file(tmp_path).path, "x" * 100_000, "y", containers=False, say=print)
    assert failed.value.code == wanted
