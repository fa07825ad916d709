"""The commands of the operator's tool in containers: start, stop, rolling restart, status."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO

from ops.checks import OperatorSettings
from ops.engine import Container, Engine, Say, containers, find_engine, remove, run
from ops.envfile import ROOT, EnvFile, read_env_file
from ops.failures import Exit, OpsError
from ops.ports import LOOPBACK, require_free
from ops.scaling import compose_environment, override
from ops.status import ProgramStatus, Status
from ops.supervisor import STOP_WAIT_S, operators_environment

HEALTHY_WITHIN_S = 120.0
LOOK_EVERY_S = 0.3
LOG_LINES = 15
GIVE_UP_AFTER_RESTARTS = 3
SERVICES = {
    "valkey": ["valkey"],
    "tls": ["nginx-tls"],
    "tunnel": ["cloudflared"],
    "monitoring": ["prometheus", "grafana"],
}
PROXIES = ("nginx", "nginx-tls")
DEFAULT_PORTS = {"PUBLIC_PORT": 8080, "OPS_PORT": 8081}
RENDER = "/docker-entrypoint.d/15-quartet.sh"

_EXPLAINED = [
    (("port is already allocated", "address already in use"), "Another program has one of the ports: see the message."),
    (
        ("pool overlaps", "is already used", "already being used", "overlaps with"),
        "Another network of this machine has these addresses: set CONTAINER_SUBNET to three other numbers.",
    ),
    (("permission denied while trying to connect",), "This user may not use Docker: add it to the group docker."),
    (("no space left",), "The disk is full. docker system prune clears what no container uses."),
    (
        ("manifest unknown", "short-name", "no such host", "i/o timeout"),
        "An image could not be fetched: is the registry within reach?",
    ),
]


def engine_answers() -> bool:
    """Whether a container engine with Compose can be used by this user."""
    return find_engine()[0] is not None


def _engine() -> Engine:
    engine, reason = find_engine()
    if engine is None:
        raise OpsError(reason, hint="Start it, or run everything natively: ./deploy-multi.sh start --native")
    return engine


def command_of(engine: Engine, file: EnvFile, profiles: Sequence[str]) -> list[str]:
    """The compose command for this checkout and file, up to the word that says what to do."""
    files = [ROOT / "docker-compose.yml", *override(file)]
    command = [*engine.compose, *(word for path in files for word in ("-f", str(path)))]
    command += ["--env-file", str(file.path.resolve())]
    return [*command, *(word for profile in profiles for word in ("--profile", profile))]


def _profiles(file: EnvFile) -> list[str]:
    return file.values.get("COMPOSE_PROFILES", "").replace(",", " ").split()


def _prepared(env_file: Path, arguments: Sequence[str], *more: str) -> tuple[list[str], dict[str, str]]:
    """The whole command, with `more` profiles than the file's, and its environment."""
    file = read_env_file(env_file)
    command = command_of(_engine(), file, [*_profiles(file), *more])
    return [*command, *arguments], compose_environment(file, operators_environment())


def compose(env_file: Path, arguments: Sequence[str]) -> int:
    """Run a compose command for this checkout, with its output as it comes, and return its exit code."""
    command, environment = _prepared(env_file, arguments)
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def piped(
    env_file: Path, arguments: Sequence[str], *, source: IO[bytes] | None = None, out: IO[bytes] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a tool's container with a file as its standard input or output; the rest of what it says is kept."""
    command, environment = _prepared(env_file, arguments, "tools")
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=source or subprocess.DEVNULL,
        stdout=out or subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )


def started(env_file: Path, arguments: Sequence[str], errors: IO[str]) -> subprocess.Popen[str]:
    """Start a tool's container whose input and output are ours, line by line; `errors` takes what it complains of."""
    command, environment = _prepared(env_file, arguments, "tools")
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=errors, text=True)


def _quietly(engine: Engine, file: EnvFile, arguments: Sequence[str], what: str, before: Sequence[str] = ()) -> None:
    """Run a compose command, `before` in front of it; if it fails, its last lines and their meaning are the error."""
    command = [*before, *command_of(engine, file, _profiles(file)), *arguments]
    code, lines = run(command, compose_environment(file, operators_environment()))
    if code == 0:
        return
    text = "\n".join(lines).lower()
    hint = next((said for marks, said in _EXPLAINED if any(mark in text for mark in marks)), "")
    told = "\n  ".join(lines[-LOG_LINES:])
    raise OpsError(f"{what} (exit code {code}).\n  {told}", hint=hint)


def is_up(env_file: Path) -> bool:
    """Whether containers of this checkout and this file run: those of another file are none of its business."""
    engine, _ = find_engine()
    if engine is None or not env_file.exists():
        return False
    found = containers(engine)
    if not any(container.state in ("running", "restarting") for container in found):
        return False
    ports = {_port(read_env_file(env_file), name) for name in DEFAULT_PORTS}
    published = {port for container in found if container.service == "nginx" for port in container.published}
    here = all(Path(container.directory or ROOT).resolve() == ROOT for container in found)
    return here and (not published or bool(ports & published))


def _port(file: EnvFile, name: str) -> int:
    value = file.values.get(name, "").strip()
    return int(value) if value.isascii() and value.isdigit() else DEFAULT_PORTS[name]


def up(file: EnvFile, settings: OperatorSettings, say: Say) -> None:
    """Build and start the containers and wait until they are healthy; raises `OpsError` if they don't get there."""
    engine = _engine()
    if settings.instance_addresses:
        raise OpsError(
            "INSTANCE_ADDRESSES: is for instances on several hosts without containers of this checkout.",
            hint="Use start --native on each host, or deploy/kubernetes.",
            code=Exit.CONFIGURATION,
        )
    if not containers(engine):
        _require_ports(settings)
    _build(engine, file, say)
    say(f"Starting nginx and {settings.instance_count} instances ...")
    _start(engine, file, _wanted(settings), "The containers could not be started")
    _remove_unwanted(engine, settings, say)
    _await_healthy(engine, say)


def _wanted(settings: OperatorSettings) -> list[str]:
    """The services that are to run, in the order in which they are needed."""
    instances = [f"instance-{number}" for number in range(1, settings.instance_count + 1)]
    besides = [name for profile in settings.compose_profiles for name in SERVICES[profile]]
    return [
        *(name for name in besides if name not in PROXIES),
        *instances,
        "nginx",
        *set(besides).intersection(PROXIES),
    ]


def _start(engine: Engine, file: EnvFile, services: Sequence[str], fault: str, *how: str) -> None:
    """Create and start these services and no other; one that runs and is what the files ask for stays as it is."""
    _quietly(engine, file, ["up", "-d", "--no-build", "--no-deps", *how, *services], fault)


def _require_ports(settings: OperatorSettings) -> None:
    require_free("PUBLIC_PORT", settings.public_port, settings.public_host)
    require_free("OPS_PORT", settings.ops_port)
    if "tls" in settings.compose_profiles:
        require_free("TLS_PORT", settings.tls_port, settings.public_host)
    if "monitoring" in settings.compose_profiles:
        require_free("GRAFANA_PORT", settings.grafana_port)
        require_free("PROMETHEUS_PORT", settings.prometheus_port)


def _build(engine: Engine, file: EnvFile, say: Say) -> None:
    say("Building the image, which takes a minute or two the first time ...")
    # All instances share what the first one builds. They may be running, and go first where this process does the work.
    nice = ["nice", "-n", "19"] if shutil.which("nice") else []
    _quietly(engine, file, ["build", "instance-1"], "The image could not be built", before=nice)


def _remove_unwanted(engine: Engine, settings: OperatorSettings, say: Say) -> None:
    """Instances beyond INSTANCE_COUNT and profiles that were given up: Compose leaves what it no longer starts."""
    wanted = _wanted(settings)
    for container in containers(engine):
        if container.service not in wanted:
            say(f"{container.service} is no longer wanted ...")
            remove(engine, container, STOP_WAIT_S)


def _await_healthy(engine: Engine, say: Say, only: Collection[str] = ()) -> None:
    """Wait until all containers, or those of `only`, have been healthy, saying of each when it is."""
    began = time.monotonic()
    well: set[str] = set()
    while True:
        watched = containers(engine, judge=True, but=well, only=only)
        for container in watched:
            if _is_well(container) and container.service not in well:
                well.add(container.service)
                say(f"{container.service} is healthy after {time.monotonic() - began:.1f} s")
        sick = [container for container in watched if container.service not in well]
        if watched and not sick:
            return
        lost = [found for found in sick if found.state == "exited" or found.restarts >= GIVE_UP_AFTER_RESTARTS]
        if lost or time.monotonic() - began > HEALTHY_WITHIN_S:
            raise OpsError(
                "\n".join(_obituary(engine, container) for container in lost or sick) or "No container runs.",
                hint="See: ./deploy-multi.sh logs",
            )
        time.sleep(LOOK_EVERY_S)


def _is_well(container: Container) -> bool:
    return container.state == "running" and container.health in ("healthy", "")


def _obituary(engine: Engine, container: Container) -> str:
    logs = engine.ask("logs", "--tail", str(LOG_LINES), container.id)
    lines = (logs.stdout + logs.stderr).splitlines()[-LOG_LINES:]
    fate = f"ended with exit code {container.exit_code}" if container.exit_code else "did not get healthy"
    return f"{container.service} {fate}. Its log ends:" + ("".join(f"\n  {line}" for line in lines) or " (empty)")


def restart(file: EnvFile, settings: OperatorSettings, say: Say) -> None:
    """Take the file and the checkout as they are now into use, one instance after the other; the bot goes on answering.

    nginx is replaced only if its own part of the file changed (ports, certificates, the number of instances): then
    connections are refused for about a second. Otherwise it reloads, which nobody notices.
    """
    engine = _engine()
    _build(engine, file, say)
    before = {container.service: container.id for container in containers(engine)}
    wanted = _wanted(settings)
    others = [name for name in wanted if not name.startswith("instance-") and name not in PROXIES]
    if others:
        _start(engine, file, others, f"{' or '.join(others)} could not be started")
    instances = [name for name in wanted if name.startswith("instance-")]
    for name in sorted(instances, key=lambda name: name in before):  # a new one first: nginx is told of it later
        say(f"{name} restarts ..." if name in before else f"{name} is new ...")
        try:
            _start(engine, file, [name], f"{name} could not be started again", "--force-recreate")
            _await_healthy(engine, say, [name])
        except OpsError as error:
            error.hint = (
                error.hint or "The other instances go on as they were. Repair the file, then run restart again."
            )
            raise
    _start(engine, file, [name for name in wanted if name in PROXIES], "nginx could not be started")
    for container in containers(engine):
        if container.service in PROXIES and before.get(container.service) == container.id:
            reload_proxy(engine, container)
    _remove_unwanted(engine, settings, say)
    _await_healthy(engine, say, [name for name in wanted if name not in instances])


def reload_proxy(engine: Engine, container: Container) -> None:
    """Let nginx render its configuration again and take it and its certificates into use."""
    rendered = engine.ask("exec", container.id, RENDER)
    if rendered.returncode != 0:
        raise OpsError(f"{container.service} could not be configured:\n  {rendered.stderr.strip()}")
    engine.ask("kill", "--signal", "HUP", container.id)


def down(env_file: Path) -> None:
    """Stop and remove the containers of every profile; the volumes stay."""
    engine, file = _engine(), read_env_file(env_file)
    command = [*command_of(engine, file, [*SERVICES, "tools"]), "down", "--remove-orphans"]
    code, lines = run(command, compose_environment(file, operators_environment()))
    for container in containers(engine):  # what a former version of the file, or another one, had started
        remove(engine, container, STOP_WAIT_S)
    if code != 0 or containers(engine):
        raise OpsError("Not all containers could be removed:\n  " + "\n  ".join(lines[-LOG_LINES:]))


def read_status(file: EnvFile) -> Status:
    """Look at every container now; the shape is that of a native system."""
    engine = _engine()
    programs = [
        ProgramStatus(
            name=container.service,
            state=container.state.upper(),
            pid=container.pid,
            uptime_s=_age(container),
            restarts=container.restarts,
            address="",
            health=container.health,
        )
        for container in containers(engine, judge=True)
    ]
    public, ops = (_port(file, name) for name in DEFAULT_PORTS)
    urls = {
        "interactions": f"http://{LOOPBACK}:{public}/interactions",
        "dashboard": f"http://{LOOPBACK}:{ops}/dashboard",
    }
    return Status(any(program.state == "RUNNING" for program in programs), programs, urls)


def _age(container: Container) -> float:
    """Seconds since the container was started; 0 where it does not run or the engine writes the time otherwise."""
    if container.state != "running":
        return 0.0
    try:
        # Nanoseconds are more than datetime reads.
        whole, _, rest = container.started_at.partition(".")
        zone = "+00:00" if not rest or rest.endswith("Z") else rest[-6:]
        started = datetime.fromisoformat(whole.removesuffix("Z") + zone)
    except ValueError:
        return 0.0
    return round(max(0.0, time.time() - started.timestamp()), 1)
