"""Finds a Redis or Valkey server for tests, and installs Debian's package where that is allowed."""

from __future__ import annotations

import shutil

from ops.failures import OpsError
from ops.packages import install, root_prefix

PACKAGES = ("redis-server",)
_NAMES = ("redis-server", "valkey-server")


def find_redis() -> str | None:
    """Return the server's program, if there is one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def ensure_redis() -> str:
    """Return the server's program, installing Debian's package first if it is missing and this user may."""
    found = find_redis()
    if found is None:
        prefix = root_prefix()
        if prefix is None or shutil.which("apt-get") is None:
            raise OpsError("redis-server is not installed.", hint=f"Install the package {' '.join(PACKAGES)}.")
        install(prefix, "redis-server", PACKAGES)
        found = find_redis()
    if found is None:
        raise OpsError("redis-server was installed, but no command of that name was found.")
    return found
