"""`deploy-multi.sh backup` and `restore`: scripts/backup.py, run where the store's file lies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from app.errors import BackupUnusable
from app.jobs.sqlite_backup import default_name, prune, receive_backup
from ops import docker
from ops.envfile import ROOT, EnvFile, read_env_file
from ops.failures import Exit, OpsError
from ops.launch import clean_environment
from ops.scaling import SQLITE
from ops.system import Paths

SCRIPT = Path("scripts") / "backup.py"
STREAM = "-"
_NEEDED = ("STORE_URL", "DATA_DIR", "DISCORD_APPLICATION_ID", "DISCORD_API_URL")

_SERVERS_OWN = """\
A Redis or Valkey server is backed up by its own tools, while everything runs:
  redis-cli {where} --rdb quartet-backup.rdb     (with a password: REDISCLI_AUTH=… before it)
A managed service has snapshots of its own. How it is put back, step by step: docs/backup.md."""


class Place:
    """Where the script runs: on this machine, or in a container that has the instances' volume."""

    def __init__(self, env_file: Path, *, containers: bool) -> None:
        self._file = read_env_file(env_file) if env_file.exists() else EnvFile(env_file, {})
        _refuse_servers(self._file)
        self.containers = containers

    def backup(self, target: Path) -> dict[str, Any]:
        """Write a verified backup to a file on this machine; returns the script's report."""
        if not self.containers:
            return self._report(self._run(["make", str(target)]))
        told: list[dict[str, Any]] = []

        def fill(copy: Path) -> None:
            with copy.open("wb") as out:
                told.append(self._report(self._run(["make", STREAM], out=out)))

        try:
            contents = receive_backup(fill, target)  # looked through again: it came over a pipe
        except BackupUnusable as error:
            raise OpsError(f"{error}.") from error
        return {**told[0], "bytes": contents.size}

    def restore(self, backup: Path) -> dict[str, Any]:
        """Put a backup in the place of the store's file; returns the script's report."""
        if not self.containers:
            return self._report(self._run(["restore", str(backup)]))
        with backup.open("rb") as source:
            return self._report(self._run(["restore", STREAM], source=source))

    def _run(
        self, arguments: Sequence[str], source: IO[bytes] | None = None, out: IO[bytes] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        if self.containers:
            store = self._file.values.get("STORE_URL", "")
            # A SQLite file always lies on the containers' volume, whatever path it would have natively.
            given = ["-e", f"STORE_URL={store}"] if store and not store.startswith(SQLITE) else []
            run = ["run", "--rm", "-T", "--no-deps", *given, "--entrypoint", "python", "register", str(SCRIPT)]
            return docker.piped(self._file.path, [*run, *arguments], source=source, out=out)
        own = self._file.instance_environment(1)
        environment = {**clean_environment(), **{name: own[name] for name in _NEEDED if name in own}}
        command = [sys.executable, str(ROOT / SCRIPT), *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)

    def _report(self, done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
        """The script's report is the last line that is JSON: an engine puts words of its own around it."""
        lines = [*(done.stdout or b"").splitlines(), *done.stderr.splitlines()]
        if done.returncode == 0:
            for line in reversed(lines):
                if line.startswith(b"{"):
                    report: dict[str, Any] = json.loads(line)
                    return report
        said = lines[-1].decode(errors="replace") if lines else f"it ended with {done.returncode}"
        code = Exit.CONFIGURATION if done.returncode == Exit.CONFIGURATION else Exit.FAILED
        raise OpsError(f"{said.rstrip('.')}.", code=code)


def target_of(given: Path | None, data_dir: Path) -> Path:
    """Where a backup goes: relative to where the operator stands, or a name by the time in DATA_DIR/backups."""
    if given is None:
        return data_dir / "backups" / default_name(time.time())
    return Path(os.environ.get("QUARTET_CWD", ".")).resolve() / given.expanduser()


def drop_old(paths: Paths, keep: int) -> list[Path]:
    """Delete all but the newest `keep` of the backups in DATA_DIR/backups that were named by us."""
    directory = paths.data_dir / "backups"
    return prune(directory, keep) if directory.is_dir() else []


def told(report: Mapping[str, Any], *, containers: bool) -> Iterator[str]:
    """What an operator reads after a restoration."""
    where = " in the containers' volume" if containers else ""
    turns = report["rows"].get("turns", 0)
    yield f"Restored{where}: schema {report['schema']}, {turns} turns of conversations, {report['rows']['jobs']} jobs."
    if report["kept_aside"]:
        yield f"The store that was there lies beside it as {report['kept_aside']}; delete it when you are content."
        if report["merged"]:
            yield "What was accepted, answered and used since the backup was taken over from it."
        else:
            yield "It could not be read, so nothing was taken over from it."
    if report["still_owed"] or report["ended_quietly"]:
        yield f"Open jobs in doubt: {report['still_owed']} will be answered, {report['ended_quietly']} were ended."
    yield "Start it again: ./deploy-multi.sh start"


def size(count: int) -> str:
    """Bytes as an operator reads them: `640 kB`, `1.2 MB`."""
    value = count / 1000
    for unit in ("kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _refuse_servers(file: EnvFile) -> None:
    url = file.values.get("STORE_URL", "")
    if not url or url.startswith("sqlite:"):
        return
    try:
        parts = urlsplit(url)
        where = f"-s {parts.path}" if parts.scheme == "unix" else f"-h {parts.hostname} -p {parts.port or 6379}"
    except ValueError:  # several Sentinels
        where = "-h HOST -p PORT"
    raise OpsError(
        "STORE_URL: the store is no file of this machine.",
        hint=_SERVERS_OWN.format(where=where),
        code=Exit.CONFIGURATION,
    )
