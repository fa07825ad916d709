"""Finds Chromium for the playground's tests and pictures, and installs Debian's package where that is allowed."""

from __future__ import annotations

import os
import shutil

from ops.failures import OpsError
from ops.packages import install, root_prefix

PACKAGES = ("chromium",)
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
VARIABLE = "CHROMIUM"  # names another browser of that family


def find_chromium() -> str | None:
    """Return the browser's path, if there is one."""
    told = os.environ.get(VARIABLE)
    return shutil.which(told) if told else next(filter(None, map(shutil.which, _NAMES)), None)


def ensure_chromium() -> str:
    """Return the browser's path, installing Debian's package first if it is missing and this user may."""
    found = find_chromium()
    if found is None:
        prefix = root_prefix()
        if prefix is None or shutil.which("apt-get") is None:
            raise OpsError("Chromium is not installed.", hint=f"Install the package {' '.join(PACKAGES)}.")
        install(prefix, "Chromium", PACKAGES)
        found = find_chromium()
    if found is None:
        raise OpsError("Chromium was installed, but no command of that name was found.")
    return found
