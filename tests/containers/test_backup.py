"""The store in the containers' volume, backed up to this machine while they run, and put back after it was lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.sqlite_backup import examine
from tests.containers.kit import IMAGE, Containers, missing, user_of

MISSING = missing()
pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]


@pytest.fixture(name="system")
def a_system(tmp_path: Path) -> Iterator[Containers]:
    """Four instances and nginx in containers, and a simulator beside them; afterwards nothing of them is left."""
    system = Containers(tmp_path)
    system.configure()
    try:
        build = system.engine.ask("build", "--quiet", "--tag", IMAGE, str(Path(__file__).parents[2]), timeout=230)
        assert build.returncode == 0, build.stderr
        system.began = time.monotonic()
        system.must("start")
        system.start_simulator()
        yield system
    finally:
        system.end()


async def test_a_lost_volume_is_restored(system: Containers, tmp_path: Path) -> None:
    """The backup lies on this machine, verified; it is refused while they run; a fresh volume has its jobs again."""
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
