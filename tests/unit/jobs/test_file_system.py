"""A store's file is refused where SQLite would lose jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.jobs import file_system
from app.jobs.file_system import file_system_of, why_unfit
from app.jobs.sqlite_engine import SqliteEngine


def mounts(kind: str) -> str:
    """Return a mount table with this kind of file system at /data, with a space in another mount's name."""
    return (
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
        f"40 22 0:50 / /data rw,relatime shared:9 master:1 - {kind} somewhere rw\n"
        "41 22 0:51 / /with\\040space rw - xfs /dev/vdb rw\n"
    )


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.gcsfuse", "fuse.s3fs", "fuse.glusterfs"]
)
def test_network_file_systems_are_named_and_refused(kind: str) -> None:
    """The operator hears which kind it is and where to go instead."""
    told = why_unfit(Path("/data/quartet.db"), mounts(kind))
    assert f"network file system ({kind})" in told
    assert "named volume" in told and "redis://" in told


@pytest.mark.parametrize("kind", ["fakeowner", "virtiofs", "fuse.grpcfuse"])
def test_docker_desktops_bind_mounts_are_refused(kind: str) -> None:
    """What a directory of the machine looks like in Docker Desktop's containers is refused, too."""
    assert "Docker Desktop" in why_unfit(Path("/data/quartet.db"), mounts(kind))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "fuse.fuse-overlayfs", "fuseblk"])
def test_local_file_systems_are_fine(kind: str) -> None:
    """Disks and volumes of this machine are taken."""
    assert why_unfit(Path("/data/quartet.db"), mounts(kind)) == ""


def test_the_nearest_mount_counts() -> None:
    """A path is on the innermost mount above it, whatever lies beside it, and may have spaces."""
    table = mounts("nfs4")
    assert file_system_of(Path("/database/quartet.db"), table) == "ext4"
    assert file_system_of(Path("/data/a/b/quartet.db"), table) == "nfs4"
    assert file_system_of(Path("/with space/quartet.db"), table) == "xfs"


async def test_the_engine_does_not_open_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made on such a file system, and the reason names it."""
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / {tmp_path} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(file_system, "MOUNTS", table)
    path = tmp_path / "store" / "quartet.db"
    engine = SqliteEngine(path, ("CREATE TABLE jobs (id TEXT)",))
    with pytest.raises(StoreUnavailable, match="nfs4"):
        await engine.open()
    await engine.close()
    assert not path.parent.exists()
