"""Where and with what was measured."""

from __future__ import annotations

import os
import platform
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.processes import ROOT

PACKAGES = ("hikari", "discord.http", "aiohttp", "uvicorn", "uvloop", "httptools", "PyNaCl", "pydantic-core")


def description() -> dict[str, str]:
    """Return the machine and the versions, for the report."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": f"{_cpu()}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {platform.release()}",
        "disk": _file_system(ROOT),
        "load": " ".join(f"{value:.1f}" for value in os.getloadavg()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        **{name: _version(name) for name in PACKAGES},
    }


def busy() -> str:
    """Return a warning if others want the cores too, else nothing."""
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load <= cores / 2:
        return ""
    return f"Others use this machine too (load {load:.1f} on {cores} cores): trust the processor times, not the rates."


def line(described: dict[str, str]) -> str:
    """Return the description as one line."""
    return ", ".join(f"{name} {value}" for name, value in described.items())


def _cpu() -> str:
    for row in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = row.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds `path`: on a memory disk a flush costs nothing."""
    best, kind = "", "unknown"
    for row in Path("/proc/mounts").read_text().splitlines():
        _, mount, name, *_ = row.split()
        if path.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, name
    return kind


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
