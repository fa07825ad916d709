"""On which kind of file system a path lies: SQLite's log needs memory that is shared and locks that hold.

A network file system has neither between its machines (https://www.sqlite.org/wal.html#overview, disadvantage 2), nor
has what Docker Desktop puts between a container and a directory of the machine; jobs would be lost without an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mountinfo")

UNKNOWN: Final = "unknown"

_NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "coda",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "ocfs2",
    }
)
_DOCKER_DESKTOP = frozenset({"fakeowner", "virtiofs", "fuse.grpcfuse", "grpcfuse", "osxfs", "fuse.osxfs"})
_NETWORK_FUSE = ("blobfuse", "ceph", "gcsfuse", "gluster", "juicefs", "mount-s3", "mountpoint", "rclone", "s3fs",
                 "seaweedfs", "smbnetfs", "sshfs", "curlftpfs", "davfs", "gvfsd")  # fmt: skip

_INSTEAD = (
    "put DATA_DIR on a disk of this machine or on a named volume (no bind mount there), or keep jobs in a server: "
    "STORE_URL=redis://… (docs/store.md)"
)


def file_system_of(path: Path, mounts: str | None = None) -> str:
    """Return the kind of file system a path is on, as Linux names it (proc_pid_mountinfo(5)); `unknown` elsewhere."""
    if mounts is None:
        try:
            mounts = MOUNTS.read_text()
        except OSError:
            return UNKNOWN
    wanted = path.resolve()
    best, kind = -1, UNKNOWN
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split(" ")[4].encode().decode("unicode_escape"))
        if wanted.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind


def why_unfit(path: Path, mounts: str | None = None) -> str:
    """Say why a store's file can't lie at `path`, and what to do instead; empty if it can."""
    kind = file_system_of(path, mounts)
    if kind in _DOCKER_DESKTOP:
        return (
            f"lies on {kind}, through which Docker Desktop shows a directory of the machine and which keeps no log of "
            f"SQLite's safe: {_INSTEAD}"
        )
    helper = kind.removeprefix("fuse.")
    if kind in _NETWORK or (kind.startswith("fuse.") and helper.startswith(_NETWORK_FUSE)):
        return f"lies on a network file system ({kind}), where SQLite loses jobs: {_INSTEAD}"
    return ""
