"""The machine and what is installed on it: disk, Python, packages, nginx."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from app import VERSION
from ops.doctor.asking import aside
from ops.doctor.case import Case
from ops.doctor.finding import Finding, fault, not_checked, ok, warning
from ops.doctor.place import Kind
from ops.envfile import ROOT
from ops.nginx import PACKAGES, find_nginx

DISK = "disk"
GIB = 1024**3
LITTLE_BYTES = 2 * GIB
NONE_BYTES = GIB // 5
LITTLE_SHARE = 0.05
FEW_FILES = 10_000


async def disk(case: Case) -> Sequence[Finding]:
    """Room and rights where DATA_DIR is."""
    return await aside(lambda: _disk(case.place.paths.data_dir))


def _disk(data_dir: Path) -> list[Finding]:
    place = data_dir
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        detail = f"{data_dir} can't be written by {_user()}"
        return [fault(DISK, detail, "Give it to the user that runs the bot, or set DATA_DIR.")]
    room, files = shutil.disk_usage(place), os.statvfs(place)
    detail = f"{size(room.free)} of {size(room.total)} free where DATA_DIR is"
    if files.f_files and files.f_favail < FEW_FILES:
        return [warning(DISK, f"{detail}, but room for {files.f_favail} files only", "Delete files nobody needs.")]
    if room.free < NONE_BYTES:
        advice = "Make room now: what can't be recorded is refused. Logs are in DATA_DIR/logs."
        return [fault(DISK, detail, advice)]
    if room.free < LITTLE_BYTES or room.free < LITTLE_SHARE * room.total:
        return [warning(DISK, detail, "Make room: the store needs little, but what can't be recorded is refused.")]
    return [ok(DISK, detail)]


def size(count: int) -> str:
    """Bytes as an operator reads them."""
    for unit, factor in (("GiB", GIB), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError):
        return f"user {os.geteuid()}"


async def versions(case: Case) -> Sequence[Finding]:
    """What is installed, against what this version was tested with."""
    python = ".".join(map(str, sys.version_info[:3]))
    return [ok("versions", f"Quartet {VERSION}, Python {python}"), *await aside(lambda: _packages(ROOT / "uv.lock")),
            *await aside(lambda: _nginx(case.place.kind))]  # fmt: skip


def _packages(lock: Path) -> list[Finding]:
    subject = "packages"
    try:
        entries = tomllib.loads(lock.read_text()).get("package", [])
    except (OSError, tomllib.TOMLDecodeError):
        return [not_checked(subject, "there is no uv.lock here to compare with")]
    locked: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if version := entry.get("version"):
            locked[entry["name"]].add(version)
    here = {found.metadata["Name"].lower().replace("_", "-"): found.version for found in metadata.distributions()}
    known = locked.keys() & here.keys()
    other = [f"{name} {here[name]}" for name in sorted(known) if here[name] not in locked[name]]
    if other:
        shown = ", ".join(other[:5]) + (" …" if len(other) > 5 else "")
        advice = "Install what is tested: delete .venv and run any command again, or build the image anew."
        return [warning(subject, f"{len(other)} of {len(known)} differ from uv.lock: {shown}", advice)]
    return [ok(subject, f"{len(known)}, all as in uv.lock")]


def _nginx(kind: Kind) -> list[Finding]:
    found = find_nginx()
    if found is not None:
        return [ok("nginx", f"{_version_of(found.binary)} with njs{_njs_version()}")]
    if kind in (Kind.CONTAINERS, Kind.INSIDE):
        return [not_checked("nginx", "it runs in a container of its own")]
    detail = "nginx with its JavaScript module is not installed"
    return [fault("nginx", detail, f"Install {' and '.join(PACKAGES)}, or use Docker.")]


def _version_of(binary: str) -> str:
    try:
        done = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return binary
    return done.stderr.rpartition(": ")[2].strip() or binary


def _njs_version() -> str:
    """As its package says; the module itself does not tell."""
    if shutil.which("dpkg-query") is None:
        return ""
    command = ["dpkg-query", "--show", "--showformat=${Version}", PACKAGES[1]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return f" ({PACKAGES[1]} {done.stdout})" if done.returncode == 0 and done.stdout else ""
