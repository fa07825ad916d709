"""Runs nginx and N instances on this machine, under supervisord: start and rolling restart."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Iterable, Mapping
from pathlib import Path

from ops.checks import OperatorSettings
from ops.envfile import EnvFile
from ops.failures import OpsError
from ops.health import NO_ANSWER, verdicts
from ops.ingress import proxy_ingress
from ops.nginx import Nginx, ensure_nginx, render
from ops.plan import plan, replan
from ops.processes import PROC, processes_of, wait_for
from ops.shutdown import Say, stop
from ops.supervisor import Supervisor, configuration, start_supervisor
from ops.system import Paths, System, load_system, make_sockets_folder

HEALTHY_WITHIN_S = 60.0
GIVE_UP_AFTER_STARTS = 4
LOG_LINES = 15


def running(paths: Paths) -> System | None:
    """Return the record of the system below `paths` if its supervisor answers."""
    system = load_system(paths.run)
    return system if system and Supervisor(system.socket).answers() else None


def start(file: EnvFile, settings: OperatorSettings, say: Say, simulator: tuple[str, list[str]] = ("", [])) -> System:
    """Start everything and return once all of it is healthy. Raises `OpsError`, with nothing left running, if not.

    `simulator` is its URL and command, in a demo.
    """
    if not PROC.exists():
        raise OpsError("Running natively needs Linux.", hint="Use Docker: ./deploy-multi.sh start")
    paths = Paths(file.data_dir)
    nginx = ensure_nginx()
    _clear_leftovers(paths, say)
    system = plan(file, settings, nginx, paths, say)
    system.simulator_url, system.simulator = simulator
    try:
        paths.make()
    except OSError as error:
        raise OpsError(f"DATA_DIR: {paths.data_dir} can't be used: {error.strerror}.") from error
    make_sockets_folder(paths)
    _write(system, paths, nginx, settings)
    offsets = {name: _size(paths.log(name)) for name in system.programs}
    say(f"Starting nginx and {len(system.instances)} instances ...")
    try:
        supervisor = start_supervisor(system, paths)
        _await_health(system, paths, supervisor, offsets)
    except BaseException:  # Ctrl-C too: half a system must not stay
        stop(paths, lambda _: None)
        raise
    return system


def _clear_leftovers(paths: Paths, say: Say) -> None:
    """After a crash of the machine or of supervisord, what is left is ended and cleared before anything new starts."""
    if not paths.run.exists():
        return
    left = processes_of(paths)
    say(
        f"An earlier run ended without `stop`; ending the {len(left)} processes it left."
        if left
        else "An earlier run ended without `stop`; clearing the pid and socket files it left."
    )
    stop(paths, lambda _: None)


def proxy_variables(system: System, module: str, run_dir: Path) -> Mapping[str, str]:
    """The variables `proxy/render.sh` reads."""
    return {
        "INSTANCE_COUNT": str(len(system.ports)),
        "INSTANCE_ADDRESSES": ",".join(system.addresses.values()),
        "INSTANCE_SOCKETS": ",".join(system.socket_of(name) or "-" for name in system.addresses),
        "PUBLIC_LISTEN": system.public,
        "OPS_LISTEN": system.ops,
        "NGINX_RUN_DIR": str(run_dir),
        "NGINX_MODULE": module,
    }


def _write(system: System, paths: Paths, nginx: Nginx, settings: OperatorSettings) -> None:
    told = proxy_variables(system, nginx.module, paths.run / "nginx-run")
    render(paths.run / "nginx", {**told, "NGINX_BINARY": nginx.binary, **proxy_ingress(settings)})
    system.save()


def health_urls(system: System) -> dict[str, str]:
    """Where each program of this host tells how it is."""
    urls = {name: f"http://{system.addresses[name]}/health" for name in system.instances}
    if system.simulator:
        urls["simulator"] = f"{system.simulator_url}/"
    return {**urls, "nginx": f"{system.public_url}/health"}


def _await_health(system: System, paths: Paths, supervisor: Supervisor, offsets: Mapping[str, int]) -> None:
    _await([name for name in system.programs if name != "nginx"], system, paths, offsets)
    supervisor.start("nginx")
    _await(["nginx"], system, paths, offsets)


def _settled(system: System, verdict: str) -> bool:
    """Whether a program has got there. Where only nginx runs, instances that are down elsewhere are not its fault."""
    return verdict == "healthy" or (not system.instances and verdict != NO_ANSWER)


def _await(names: Iterable[str], system: System, paths: Paths, offsets: Mapping[str, int]) -> None:
    """Wait until all of them are healthy; raise `OpsError` with the ends of their logs if one does not get there."""
    urls = health_urls(system)
    sick = list(names)

    def settled() -> bool:
        answers = verdicts([urls[name] for name in sick])
        sick[:] = [name for name, verdict in zip(list(sick), answers, strict=True) if not _settled(system, verdict)]
        return not sick or any(starts_of(paths, name) >= GIVE_UP_AFTER_STARTS for name in sick)

    wait_for(settled, HEALTHY_WITHIN_S, pause=0.15)
    if sick:
        crashed = [name for name in sick if starts_of(paths, name) >= GIVE_UP_AFTER_STARTS]
        raise OpsError("\n".join(_obituary(name, paths, offsets.get(name, 0)) for name in crashed or sick))


def _obituary(name: str, paths: Paths, offset: int) -> str:
    starts = starts_of(paths, name)
    fate = f"ended {starts} times right after its start" if starts >= GIVE_UP_AFTER_STARTS else "did not get healthy"
    with paths.log(name).open("rb") as log:
        log.seek(offset if offset <= _size(paths.log(name)) else 0)
        lines = log.read()[-20_000:].decode(errors="replace").splitlines()[-LOG_LINES:]
    shown = "".join(f"\n  {line}" for line in lines) or " (empty)"
    return f"{name} {fate}. Its log ({paths.log(name)}) ends:{shown}"


def starts_of(paths: Paths, name: str) -> int:
    """How often a program was started since the system was."""
    try:
        return int((paths.starts / name).read_text())
    except (OSError, ValueError):
        return 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def restart(file: EnvFile, settings: OperatorSettings, old: System, say: Say) -> System:
    """Take the file as it is now into use, one instance after the other, so that the bot never stops answering."""
    paths = Paths(file.data_dir)
    nginx = ensure_nginx()
    system = replan(file, settings, old, nginx, paths)
    supervisor = Supervisor(old.socket)
    _write(system, paths, nginx, settings)
    (paths.run / "supervisord.conf").write_text(configuration(system))
    added, removed = supervisor.reread()
    kept = [name for name in system.instances if name not in added]
    for name in added:
        say(f"{name} is new ...")
        _await_instance(system, paths, name)
    # nginx must know a new address before its instance is needed, and forget an old one before it goes.
    supervisor.signal("nginx", "HUP")
    for name in kept:
        say(f"{name} restarts ...")
        supervisor.stop(name)
        (paths.starts / name).unlink(missing_ok=True)
        _start_again(supervisor, name)
        _await_instance(system, paths, name)
    for name in removed:
        say(f"{name} is no longer wanted ...")
        supervisor.remove(name)
        (paths.starts / name).unlink(missing_ok=True)
    if not wait_for(lambda: _settled(system, verdicts([health_urls(system)["nginx"]])[0]), 10):
        raise OpsError(_obituary("nginx", paths, 0))
    return system


def _start_again(supervisor: Supervisor, name: str) -> None:
    try:
        supervisor.start(name)
    except xmlrpc.client.Fault as fault:
        raise OpsError(f"{name} could not be started again: {fault.faultString}") from fault


def _await_instance(system: System, paths: Paths, name: str) -> None:
    try:
        _await([name], system, paths, {name: _size(paths.log(name))})
    except OpsError as error:
        error.hint = "The other instances go on as they were. Repair the file, then run restart again."
        raise
