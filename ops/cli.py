"""The operator's command line. Every command ends with one of the codes of `ops.failures.Exit`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from ops import docker, native
from ops.checks import OperatorSettings, check
from ops.engine import find_engine
from ops.envfile import ROOT, EnvFile, read_env_file
from ops.failures import Exit, OpsError
from ops.faults import faults
from ops.logtail import show_logs
from ops.processes import processes_of
from ops.shutdown import stop as stop_native
from ops.status import Status, read_status, table_of
from ops.system import Paths, only_one

DEFAULT_ENV_FILE = ".env.multi"
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

# A file or a pipe has no width; a table must not be cut to 80 columns for it.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)
app = typer.Typer(
    name="deploy-multi.sh",
    help="Run and look after Quartet, the Discord AI bot with four key sets.",
    epilog="Exit codes: 0 done, 1 failed or unhealthy, 2 wrong configuration or usage, 3 not running.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

EnvFileOption = Annotated[
    Path | None, typer.Option("--env-file", metavar="FILE", help="Default: .env.multi in the checkout.")
]
NativeOption = Annotated[bool, typer.Option("--native", help="Processes on this machine, also if Docker is there.")]


def run() -> NoReturn:
    """Run the command line; what it can't do becomes a sentence and an exit code, never a traceback."""
    try:
        app(prog_name="./deploy-multi.sh")
    except OpsError as error:
        err.print(str(error), style="red", markup=False)
        if error.hint:
            err.print(error.hint, markup=False)
        sys.exit(error.code)
    except PermissionError as error:
        err.print(f"Not allowed: {error.filename or error}.", style="red", markup=False)
        sys.exit(Exit.FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(Exit.OK)


def _say(sentence: str) -> None:
    err.print(sentence, markup=False)


def env_file_path(given: Path | None) -> Path:
    """The env file a command works with: the option, else QUARTET_ENV_FILE, else `.env.multi` in the checkout."""
    chosen = given or (Path(value) if (value := os.environ.get("QUARTET_ENV_FILE")) else None)
    if chosen is None:
        return ROOT / DEFAULT_ENV_FILE
    return Path(os.environ.get("QUARTET_CWD", ".")).resolve() / chosen.expanduser()


def load(given: Path | None) -> tuple[EnvFile, OperatorSettings]:
    """Read and check the env file; raises `OpsError` with every fault at once."""
    path = env_file_path(given)
    try:
        file = read_env_file(path)
    except FileNotFoundError:
        raise OpsError(
            f"There is no {path}.",
            hint=f"Make it from the example, then fill it in:\n  cp {ROOT / '.env.multi.example'} {path}\n"
            f"  chmod 600 {path}\n"
            "It needs DISCORD_TOKEN, DISCORD_APPLICATION_ID and DISCORD_PUBLIC_KEY (Developer Portal) and, for\n"
            "each of the four instances k = 1..4, OPENAI_API_KEY_k, MINIMAX_API_KEY_k and STABILITY_API_KEY_k.\n"
            "To look around first, without any key: ./deploy-multi.sh demo",
            code=Exit.CONFIGURATION,
        ) from None
    report = check(file)
    for warning in report.warnings:
        err.print(f"Warning: {warning}", style="yellow", markup=False)
    if report.settings is None:
        count = len(report.faults)
        lines = "\n".join(f"  {fault}" for fault in report.faults)
        raise OpsError(f"{path.name} has {count} fault{'s' if count > 1 else ''}:\n{lines}", code=Exit.CONFIGURATION)
    return file, report.settings


def locate(given: Path | None) -> Paths:
    """Where the system of this env file keeps its files; works with a broken file, and without the default one."""
    path = env_file_path(given)
    if given and not path.exists():
        raise OpsError(f"There is no {path}.", code=Exit.CONFIGURATION)
    file = read_env_file(path) if path.exists() else EnvFile(path, {})
    return Paths(file.data_dir)


def _with_docker(paths: Paths, env_file: Path | None, native_only: bool) -> bool:
    """Whether a command is meant for the containers: nothing native is here, and containers are up."""
    return not native_only and not paths.record.exists() and docker.is_up(env_file_path(env_file))


def _print_system(status: Status) -> None:
    out.print(table_of(status))
    for name, url in status.urls.items():
        out.print(f"{name + ':':<14}{url}", markup=False)


@app.command()
def start(native_mode: NativeOption = False, env_file: EnvFileOption = None) -> None:
    """Start nginx and the instances and wait until all are healthy: in Docker, or with --native on this machine."""
    file, settings = load(env_file)
    paths = Paths(file.data_dir)
    if settings.instance_addresses and not native_mode:
        native_mode = True
        _say("INSTANCE_ADDRESSES is set, so what is to run here runs natively (the same as --native).")
    if not native_mode and not native.running(paths):
        if docker.engine_answers():
            docker.up(file, settings, _say)
            _print_system(docker.read_status(file))
            return
        _say(f"{find_engine()[1]} So everything runs natively (the same as --native).")
    with only_one(paths):
        if native.running(paths):
            out.print("It runs already. To take a changed file into use: ./deploy-multi.sh restart", markup=False)
        else:
            with err.status("Starting ..."):
                native.start(file, settings, _say)
    status = read_status(paths)
    _print_system(status)
    if not status.healthy:
        raise typer.Exit(Exit.FAILED)
    out.print("Discord reaches the interactions URL through your HTTPS front; enter that one in the Developer Portal.")


@app.command()
def stop(native_mode: NativeOption = False, env_file: EnvFileOption = None) -> None:
    """Let the instances finish or hand over their work, then end everything."""
    paths = locate(env_file)
    if _with_docker(paths, env_file, native_mode):
        with err.status("Stopping ..."):
            docker.down(env_file_path(env_file))
        out.print("Stopped.")
        return
    if not paths.data_dir.exists():
        out.print("Nothing was running.")
        return
    with only_one(paths), err.status("Stopping ..."):
        ran = stop_native(paths, _say)
    out.print("Stopped." if ran else "Nothing was running.")


@app.command()
def restart(native_mode: NativeOption = False, env_file: EnvFileOption = None) -> None:
    """Take a changed env file into use, one instance after the other, so that the bot goes on answering."""
    file, settings = load(env_file)
    paths = Paths(file.data_dir)
    if _with_docker(paths, env_file, native_mode):
        docker.restart(file, settings, _say)
        _print_system(docker.read_status(file))
        return
    system = native.running(paths)
    if system is None:
        raise OpsError("Nothing is running.", hint="Start it with: ./deploy-multi.sh start", code=Exit.NOT_RUNNING)
    with only_one(paths), err.status("Restarting ..."):
        native.restart(file, settings, system, _say)
    status = read_status(paths)
    _print_system(status)
    raise typer.Exit(Exit.OK if status.healthy else Exit.FAILED)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    native_mode: NativeOption = False,
    env_file: EnvFileOption = None,
) -> None:
    """Show every program's state, pid, uptime, restarts and health; ends with 0 only if all is well."""
    paths = locate(env_file)
    in_docker = _with_docker(paths, env_file, native_mode)
    found = docker.read_status(read_env_file(env_file_path(env_file))) if in_docker else read_status(paths)
    if as_json:
        sys.stdout.write(json.dumps(found.to_json(), indent=2) + "\n")
    elif found.running:
        _print_system(found)
    else:
        out.print(found.problem or "Not running.", markup=False)
    if not found.running and not found.problem:
        raise typer.Exit(Exit.NOT_RUNNING)
    raise typer.Exit(Exit.OK if found.healthy else Exit.FAILED)


@app.command()
def logs(
    program: Annotated[str, typer.Argument(metavar="[INSTANCE|nginx]", help="A number 1.. or a program's name.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines of each log.")] = 50,
    env_file: EnvFileOption = None,
) -> None:
    """Show the last lines of the programs' logs."""
    paths = locate(env_file)
    name = f"instance-{program}" if program.isdigit() else program
    if _with_docker(paths, env_file, native_only=False):
        arguments = ["logs", "--tail", str(lines), *(["--follow"] if follow else []), *([name] if name else [])]
        raise typer.Exit(docker.compose(env_file_path(env_file), arguments))
    known = sorted(path.stem for path in paths.logs.glob("*.log")) if paths.logs.exists() else []
    if not known:
        raise OpsError(f"There are no logs in {paths.logs}.", code=Exit.NOT_RUNNING)
    if name and name not in known:
        place = system.addresses.get(name, "") if (system := native.running(paths)) else ""
        where = f" It runs at {place}, on another host." if place else ""
        hint = f"There is: {', '.join(known)}"
        raise OpsError(f"There is no log of {name} here.{where}", hint=hint, code=Exit.CONFIGURATION)
    shown = [name] if name else [entry for entry in known if not entry.startswith("supervisord")]
    show_logs([(entry, paths.log(entry)) for entry in shown], lines, follow=follow, write=_write_line)


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@app.command()
def register(
    guild: Annotated[
        str, typer.Option("--guild", metavar="ID", help="Only in this guild, where it is there at once.")
    ] = "",
    plan: Annotated[bool, typer.Option("--plan", "--dry-run", help="Only show what would change.")] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Also delete commands that are registered but not Quartet's.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="For development: register again whenever a definition changes (one guild).")
    ] = False,
    env_file: EnvFileOption = None,
) -> None:
    """Register the commands with Discord: shows the difference, and sends it if there is any."""
    arguments = ["--env-file", str(env_file_path(env_file)), *(["--guild", guild] if guild else [])]
    arguments += [flag for flag, given in (("--plan", plan), ("--delete", delete), ("--watch", watch)) if given]
    script = ROOT / "scripts" / "register_commands.py"
    raise typer.Exit(subprocess.run([sys.executable, str(script), *arguments], cwd=ROOT, check=False).returncode)


@app.command()
def doctor(
    url: Annotated[
        str, typer.Argument(metavar="[URL]", help="The public address; without it, the one that Discord has.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")] = False,
    env_file: EnvFileOption = None,
    signing_key_file: Annotated[Path | None, typer.Option("--signing-key-file", hidden=True)] = None,
) -> None:
    """Look for what keeps the bot from answering, as Discord does, and say what to do. Changes and costs nothing."""
    from ops.doctor.command import from_environment
    from ops.doctor.command import run as run_doctor

    file = from_environment()
    if file is None:
        path = env_file_path(env_file)
        if not path.exists():
            load(env_file)  # says what to do
        file = read_env_file(path)
    raise typer.Exit(run_doctor(file, url, signing_key_file, out, err, machine=as_json))


@app.command()
def backup(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Ends in .gz: compressed. Default: DATA_DIR/backups/quartet-TIME.db"),
    ] = None,
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=0, help="Keep only the newest N in DATA_DIR/backups; 0: all.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    native_mode: NativeOption = False,
    env_file: EnvFileOption = None,
) -> None:
    """Write a verified copy of the store to one file, while everything runs. It holds what users wrote: guard it."""
    from ops.backup import Place, drop_old, size, target_of

    paths = locate(env_file)
    place = Place(env_file_path(env_file), containers=_in_containers(paths, native_mode))
    target = target_of(file, paths.data_dir)
    with err.status("Backing up ..."):
        report = {"file": str(target), **place.backup(target)}
    report["deleted"] = [str(old) for old in drop_old(paths, keep)] if keep else []
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    sizes = f"{size(report['bytes'])}, schema {report['schema']}, {report['open_jobs']} jobs open"
    out.print(f"Backed up to {target} ({sizes}).", markup=False)
    if report["deleted"]:
        out.print(f"Deleted {len(report['deleted'])} older ones.", markup=False)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    native_mode: NativeOption = False,
    env_file: EnvFileOption = None,
) -> None:
    """Put a backup in the place of the store, with nothing running. The store that is there is kept beside it."""
    from ops.backup import Place, told

    paths, path = locate(env_file), env_file_path(env_file)
    chosen = Path(os.environ.get("QUARTET_CWD", ".")).resolve() / file.expanduser()
    if not chosen.is_file():
        raise OpsError(f"There is no {chosen}.", code=Exit.CONFIGURATION)
    with only_one(paths), err.status("Restoring ..."):
        if processes_of(paths) or docker.is_up(path):
            raise OpsError("It runs.", hint="Stop it first: ./deploy-multi.sh stop")
        containers = _in_containers(paths, native_mode)
        report = Place(path, containers=containers).restore(chosen)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for line in told(report, containers=containers):
            out.print(line, markup=False)


@app.command()
def migrate(
    target: Annotated[
        str, typer.Option("--to", metavar="URL", envvar="MIGRATE_TO", help="redis://… or sqlite:///…", show_envvar=True)
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="URL", envvar="MIGRATE_FROM", help="Default: the env file's STORE_URL.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    native_mode: NativeOption = False,
    env_file: EnvFileOption = None,
) -> None:
    """Move the store to another server or file, with no instance running: open jobs, and all that is kept of users.

    May be repeated: what is there already stays as it is. Nothing is deleted from the old store. A password is better
    given in the environment: MIGRATE_TO=redis://… ./deploy-multi.sh migrate
    """
    from ops.migration import migrate as migrate_store
    from ops.migration import told

    paths, path = locate(env_file), env_file_path(env_file)
    with only_one(paths), err.status("Moving ...") as status:
        containers = _in_containers(paths, native_mode)
        report = migrate_store(path, source, target, containers=containers, say=status.update)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for line in told(report):
            out.print(line, markup=False)


def _in_containers(paths: Paths, native_mode: bool) -> bool:
    """Whether the store is the containers', by the same rule as for `start`."""
    return not native_mode and native.running(paths) is None and docker.engine_answers()


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the tour; 0 only if every answer was right.")] = False,
    tour: Annotated[
        bool, typer.Option("--tour/--no-tour", help="Play all commands first, or open the page at once.")
    ] = True,
) -> None:
    """Run everything against a simulated Discord and simulated providers, without any key, and play all commands."""
    from ops.demo import run_demo

    raise typer.Exit(run_demo(once=once, tour=tour, out=out, say=_say))


@app.command(context_settings=PASS_ON)
def test(context: typer.Context) -> None:
    """Check style, types and layers, then run every test; what CI runs. Further arguments go to pytest."""
    from ops.testing import run_tests

    raise typer.Exit(run_tests(context.args, out))


@app.command(context_settings={**PASS_ON, "help_option_names": []})
def bench(context: typer.Context) -> None:
    """Run a benchmark: `bench NAME [arguments]`; without a name, list them."""
    from ops.benchmarks import dispatch

    raise typer.Exit(dispatch(context.args, out))


app.command()(faults)


@app.command()
def kubernetes(
    host: Annotated[str, typer.Option("--host", help="Public host name for an Ingress; none: no Ingress.")] = "",
    image: Annotated[str, typer.Option("--image", help="The instances' image, where the cluster finds it.")] = "",
    directory: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Default: deploy/kubernetes/mine in the checkout.")
    ] = None,
    env_file: EnvFileOption = None,
) -> None:
    """Write the env file as a kustomize overlay, one Secret for each key set, for `kubectl apply -k`."""
    from ops.kubernetes import DEFAULT_OUT, is_inside, write_overlay

    file, settings = load(env_file)
    place = (Path(os.environ.get("QUARTET_CWD", ".")) / directory).resolve() if directory else DEFAULT_OUT
    write_overlay(file, settings, place, host=host, image=image or "quartet:local")
    if is_inside(settings):
        _say("Pods can't share a SQLite file, so the cluster gets a Valkey of its own.")
    out.print(f"Written; it holds the keys. To apply it: kubectl apply -k {place}", markup=False)


@app.command(hidden=True)
def instance(number: Annotated[int, typer.Argument(metavar="K")]) -> None:
    """Become instance K in the foreground, with its own key set and no other's. Options: --port P, --env-file F."""
    raise AssertionError(f"instance {number} is dispatched in ops.__main__")
