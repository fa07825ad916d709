"""The container engine of this machine, Docker or Podman with Compose; what it runs for us, and how well."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

PROJECT = "quartet"  # the name in docker-compose.yml
_PROJECT_LABEL, _SERVICE_LABEL = "com.docker.compose.project", "com.docker.compose.service"
_DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
_ONE_OFF = ("register", "tools")  # services whose containers run one command and go
_ASK_S = 20.0
# Podman without systemd says so for each container; its health checks are run by us then.
_NOISE = ("systemd connection", "failed to connect to syslog")
_KEPT_LINES = 60

Say = Callable[[str], None]


@dataclass(frozen=True)
class Engine:
    """A working engine: its command, and the command that reads compose files."""

    binary: str
    compose: tuple[str, ...]

    def ask(self, *arguments: str, timeout: float = _ASK_S) -> subprocess.CompletedProcess[str]:
        """Run one short command of the engine."""
        command = [self.binary, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@dataclass(frozen=True)
class Container:
    """One container of ours. `health` is empty where it has no health check."""

    id: str
    service: str
    state: str  # running, exited, restarting, …
    health: str  # healthy, unhealthy, starting
    started_at: str  # ISO 8601
    pid: int
    restarts: int
    exit_code: int
    directory: str  # of the compose file it was made from
    published: frozenset[int]  # ports of this machine


@lru_cache(maxsize=1)
def find_engine() -> tuple[Engine | None, str]:
    """Return the engine, or None and a sentence why there is none that can be used."""
    reasons = []
    for binary, composers in (
        ("docker", [("docker", "compose")]),
        ("podman", [("podman-compose",), ("podman", "compose")]),
    ):
        if shutil.which(binary) is None:
            continue
        if not _works(binary, "info"):
            reasons.append(
                f"{binary} is installed, but its engine does not answer: is it started, may this user use it?"
            )
            continue
        for composer in composers:
            if shutil.which(composer[0]) and _works(*composer, "version"):
                return Engine(binary, composer), ""
        reasons.append(f"{binary} works, but {' or '.join(' '.join(composer) for composer in composers)} does not.")
    return None, " ".join(reasons) or "No container engine is installed here."


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=_ASK_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def project_name() -> str:
    """The compose project; COMPOSE_PROJECT_NAME, which Compose itself obeys, may name another."""
    return os.environ.get("COMPOSE_PROJECT_NAME") or PROJECT


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """Run a command to its end; return its exit code and its last lines."""
    lines: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if any(noise in line for noise in _NOISE):
                continue
            lines = [*lines[1 - _KEPT_LINES :], line.rstrip()]
    return process.returncode, lines


def containers(
    engine: Engine, *, judge: bool = False, only: Collection[str] = (), but: Collection[str] = ()
) -> list[Container]:
    """Every container of our project, or those of the services `only`, running or not, sorted by their services.

    `judge` has Podman run the health checks now, which costs a process each; services in `but` are spared it.
    """
    listed = engine.ask("ps", "--all", "--quiet", "--filter", f"label={_PROJECT_LABEL}={project_name()}")
    ids = listed.stdout.split()
    if not ids:
        return []
    inspected = engine.ask("inspect", "--type", "container", *ids)
    try:
        found = json.loads(inspected.stdout or "[]")
    except ValueError:
        return []
    ours = (
        _container(engine, raw, judge=judge and _service(raw) not in but)
        for raw in found
        if _service(raw) not in _ONE_OFF and (not only or _service(raw) in only)
    )
    return sorted(ours, key=lambda container: container.service)


def _service(raw: Mapping[str, Any]) -> str:
    return str(raw["Config"]["Labels"].get(_SERVICE_LABEL, ""))


def _container(engine: Engine, raw: Mapping[str, Any], *, judge: bool) -> Container:
    state = raw["State"]
    health = (state.get("Health") or state.get("Healthcheck") or {}).get("Status") or ""
    if judge and engine.binary == "podman" and state["Status"] == "running" and raw["Config"].get("Healthcheck"):
        health = _podman_health(engine, raw["Id"], health)
    return Container(
        id=raw["Id"],
        service=_service(raw),
        state=str(state["Status"]).lower(),
        health=health,
        started_at=str(state.get("StartedAt", "")),
        pid=int(state.get("Pid") or 0),
        restarts=int(raw.get("RestartCount") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        directory=raw["Config"]["Labels"].get(_DIRECTORY_LABEL, ""),
        published=frozenset(_published(raw.get("HostConfig") or {})),
    )


def _published(host: Mapping[str, Any]) -> Iterator[int]:
    for bindings in (host.get("PortBindings") or {}).values():
        yield from (int(binding["HostPort"]) for binding in bindings or [] if binding.get("HostPort"))


def _podman_health(engine: Engine, container: str, known: str) -> str:
    """Podman leaves the checks to systemd's timers, which are not everywhere; asked for, it runs one at once."""
    try:
        return "healthy" if engine.ask("healthcheck", "run", container).returncode == 0 else known or "unhealthy"
    except subprocess.TimeoutExpired:
        return "unhealthy"


def remove(engine: Engine, container: Container, grace_s: int) -> None:
    """Let a container end in order, then take it away."""
    engine.ask("stop", "--time", str(grace_s), container.id, timeout=grace_s + _ASK_S)
    engine.ask("rm", "--force", container.id)
