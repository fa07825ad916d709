"""The Docker side of the commands: each is one call of `docker compose`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ops.envfile import ROOT
from ops.failures import Exit, OpsError
from ops.supervisor import operators_environment


def engine_answers() -> bool:
    """Whether a container engine with Compose can be used by this user."""
    if shutil.which("docker") is None:
        return False
    try:
        for command in (["docker", "info"], ["docker", "compose", "version"]):
            if subprocess.run(command, capture_output=True, timeout=20, check=False).returncode != 0:
                return False
    except subprocess.TimeoutExpired:
        return False
    return True


def compose(env_file: Path, arguments: Sequence[str]) -> int:
    """Run `docker compose ARGUMENTS` for this checkout and return its exit code."""
    command = ["docker", "compose", "--project-directory", str(ROOT), "--env-file", str(env_file), *arguments]
    # Compose would prefer the shell's variables to the file's; the file is the one source, as it is natively.
    return subprocess.run(command, cwd=ROOT, env=operators_environment(), check=False).returncode


def is_up(env_file: Path) -> bool:
    """Whether any container of this checkout runs."""
    return env_file.exists() and engine_answers() and bool(output(env_file, ["ps", "-q"]).strip())


def output(env_file: Path, arguments: Sequence[str], *, within_s: float = 20.0) -> str:
    """Return what `docker compose ARGUMENTS` prints; nothing if it fails or takes longer."""
    command = ["docker", "compose", "--project-directory", str(ROOT), "--env-file", str(env_file), *arguments]
    environment = operators_environment()
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=within_s, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout if done.returncode == 0 else ""


def piped(
    env_file: Path, arguments: Sequence[str], *, source: IO[bytes] | None = None, out: IO[bytes] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `docker compose ARGUMENTS` with a file as its standard input or output; the rest of what it says is kept."""
    command = ["docker", "compose", "--project-directory", str(ROOT), "--env-file", str(env_file), *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=operators_environment(),
        stdin=source or subprocess.DEVNULL,
        stdout=out or subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )


def up(env_file: Path, instance_count: int) -> None:
    """Build and start the containers and wait until they are healthy."""
    if instance_count != 4:
        raise OpsError(
            "INSTANCE_COUNT: docker-compose.yml has four instances.",
            hint="Set it to 4, or use start --native, which takes any count.",
            code=Exit.CONFIGURATION,
        )
    if compose(env_file, ["up", "-d", "--build", "--wait"]) != 0:
        raise OpsError("The containers did not all get healthy.", hint="See: ./deploy-multi.sh logs")
