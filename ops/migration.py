"""`deploy-multi.sh migrate`: scripts/migrate_store.py, run where the stores can be reached."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ops import docker
from ops.envfile import ROOT, EnvFile, read_env_file
from ops.failures import Exit, OpsError
from ops.launch import clean_environment

SCRIPT = Path("scripts") / "migrate_store.py"

SERVICE = "valkey"

Say = Callable[[str], None]


def migrate(env_file: Path, source: str, target: str, *, containers: bool, say: Say) -> dict[str, Any]:
    """Move from one URL to the other and return the script's report; an empty `source` is the env file's STORE_URL.

    `say` hears how far it has come. Raises `OpsError` with what the script says.
    """
    file = read_env_file(env_file) if env_file.exists() else EnvFile(env_file, {})
    source = source or file.values.get("STORE_URL", "")
    if containers and any(_is_ours(url) for url in (source, target)):
        say(f"Starting {SERVICE} ...")
        docker.piped(file.path, ["up", "-d", "--no-deps", SERVICE])
    urls = json.dumps({"from": source, "to": target})
    with tempfile.TemporaryFile("w+") as errors:
        with _in_container(file, errors) if containers else _here(file, errors) as process:
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # it may have failed before it read
                process.stdin.write(urls)
                process.stdin.close()
            report = _follow(process.stdout, say)
        errors.seek(0)
        said = errors.read().strip().splitlines()
    if process.returncode == 0 and report is not None:
        return report
    code = Exit.CONFIGURATION if process.returncode == Exit.CONFIGURATION else Exit.FAILED
    raise OpsError(said[-1] if said else f"It ended with {process.returncode}.", code=code)


def _is_ours(url: str) -> bool:
    """Whether it names the compose file's own server, which `stop` has ended with the instances."""
    try:
        return urlsplit(url).hostname == SERVICE
    except ValueError:
        return False


def _follow(lines: Iterator[str], say: Say) -> dict[str, Any] | None:
    """Pass progress on until the report comes; an engine puts words of its own between them."""
    for line in lines:
        if line.startswith("{"):
            told: dict[str, Any] = json.loads(line)
            if "kinds" in told:
                return told
            say(f"{told['kind']}: {told['moved']} of {told['found']} moved ...")
    return None


def _here(file: EnvFile, errors: IO[str]) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, str(ROOT / SCRIPT)], subprocess.PIPE
    environment = {**clean_environment(), "DATA_DIR": str(file.data_dir)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=errors, text=True)


def _in_container(file: EnvFile, errors: IO[str]) -> subprocess.Popen[str]:
    run = ["run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "register", str(SCRIPT)]
    return docker.started(file.path, run, errors)


def told(report: Mapping[str, Any]) -> Iterator[str]:
    """What an operator reads after it."""
    kinds, jobs = report["kinds"], report["jobs_found"]
    yield f"Moved from {report['from']} to {report['to']}:"
    for kind, count in kinds.items():
        there = count["found"] - count["moved"]
        yield f"  {kind:<13} {count['moved']:>7}{f'   ({there} were there already)' if there else ''}"
    yield f"Jobs found: {jobs['waiting']} waiting, {jobs['running']} under way, {jobs['done']} done."
    for remark in report["remarks"]:
        yield f"Warning: {remark}."
    yield "Nothing was deleted from the old store. Set STORE_URL to the new one on every machine, then start again:"
    yield "  ./deploy-multi.sh start"
    yield "From then on don't start the old one again: what it still holds as owed would be answered twice."
