"""Installs Debian packages, where that is possible without asking anybody."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from ops.failures import OpsError


def root_prefix() -> list[str] | None:
    """What to put before a command to run it as root; None if that is not possible without asking."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def install(prefix: Sequence[str], what: str, packages: Sequence[str]) -> None:
    """Install the packages; `OpsError` names `what` if that fails."""
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    # The package lists may be older than the archive, so update first; a stale list may still do.
    subprocess.run([*apt, "update", "-qq"], capture_output=True, check=False)
    command = [*apt, "install", "-y", "-qq", "--no-install-recommends", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise OpsError(f"{what} could not be installed:\n  " + "\n  ".join(last))
