"""The operator's command line. Every command ends with one of the codes of `ops.failures.Exit`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ops import docker, native
from ops.console import EnvFileOption, NativeOption, env_file_path, err, load, locate, out, say
from ops.engine import find_engine
from ops.envfile import ROOT, read_env_file
from ops.failures import Exit, OpsError
from ops.faults import faults
from ops.logtail import show_logs
from ops.shutdown import stop as stop_native
from ops.status import Status, read_status, table_of
from ops.store_commands import backup, migrate, restore
from ops.system import Paths, only_one

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    name="deploy-multi.sh",
    help="Run and look after Quartet, the Discord AI bot with four key sets.",
    epilog="Exit codes: 0 done, 1 failed or unhealthy, 2 wrong configuration or usage, 3 not running.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
        say("INSTANCE_ADDRESSES is set, so what is to run here runs natively (the same as --native).")
    if not native_mode and not native.running(paths):
        if docker.engine_answers():
            docker.up(file, settings, say)
            _print_system(docker.read_status(file))
            return
        say(f"{find_engine()[1]} So everything runs natively (the same as --native).")
    with only_one(paths):
        if native.running(paths):
            out.print("It runs already. To take a changed file into use: ./deploy-multi.sh restart", markup=False)
        else:
            with err.status("Starting ..."):
                native.start(file, settings, say)
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
        ran = stop_native(paths, say)
    out.print("Stopped." if ran else "Nothing was running.")


@app.command()
def restart(native_mode: NativeOption = False, env_file: EnvFileOption = None) -> None:
    """Take a changed env file into use, one instance after the other, so that the bot goes on answering."""
    file, settings = load(env_file)
    paths = Paths(file.data_dir)
    if _with_docker(paths, env_file, native_mode):
        docker.restart(file, settings, say)
        _print_system(docker.read_status(file))
        return
    system = native.running(paths)
    if system is None:
        raise OpsError("Nothing is running.", hint="Start it with: ./deploy-multi.sh start", code=Exit.NOT_RUNNING)
    with only_one(paths), err.status("Restarting ..."):
        native.restart(file, settings, system, say)
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


app.command()(backup)
app.command()(restore)
app.command()(migrate)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the tour; 0 only if every answer was right.")] = False,
    tour: Annotated[
        bool, typer.Option("--tour/--no-tour", help="Play all commands first, or open the page at once.")
    ] = True,
) -> None:
    """Run everything against a simulated Discord and simulated providers, without any key, and play all commands."""
    from ops.demo import run_demo

    raise typer.Exit(run_demo(once=once, tour=tour, out=out, say=say))


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
        say("Pods can't share a SQLite file, so the cluster gets a Valkey of its own.")
    out.print(f"Written; it holds the keys. To apply it: kubectl apply -k {place}", markup=False)


@app.command(hidden=True)
def instance(number: Annotated[int, typer.Argument(metavar="K")]) -> None:
    """Become instance K in the foreground, with its own key set and no other's. Options: --port P, --env-file F."""
    raise AssertionError(f"instance {number} is dispatched in ops.__main__")
