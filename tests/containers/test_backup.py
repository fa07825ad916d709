"""The store in the containers' volume, backed up to this machine while they run, and put back after it was lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.jobs.sqlite_backup import examine
from tests.containers.kit import Containers, user_of

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]


async def test_a_lost_volume_is_restored(fresh_system: Containers, tmp_path: Path) -> None:
    """The backup lies on this machine, verified; it is refused while they run; a fresh volume has its jobs again."""
    system = fresh_system
    async with system.control() as control:
        asked = await control.interact(system.target, "채팅", {"질문": "backup"}, user_id=user_of(1, 4))
        assert (await control.final(asked["id"], 60))["state"] == "answered"
        kept = tmp_path / "kept.db.gz"
        report = json.loads(system.run("backup", str(kept), "--json").stdout)
        assert report["rows"]["jobs"] == 1 and kept.stat().st_mode & 0o077 == 0
        refused = system.run("restore", str(kept))
        assert refused.returncode == 1 and "Stop it first" in refused.stderr

    system.engine.ask("rm", "--force", "--volumes", f"{system.project}-simulator")
    system.must("stop")
    for volume in system.volumes():
        assert system.engine.ask("volume", "rm", volume).returncode == 0
    restored = json.loads(system.run("restore", str(kept), "--json").stdout)
    assert restored["rows"]["jobs"] == 1 and restored["kept_aside"] == ""

    system.must("start")
    again = tmp_path / "again.db"
    system.must("backup", str(again))
    contents = examine(again)
    assert contents.rows["jobs"] == 1 and contents.rows["instances"] == 4, "the instances work on what was restored"
