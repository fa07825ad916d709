"""Becomes one program of a native system: builds its environment from the file and replaces itself with it.

This way no key lies in a second file, an instance's environment holds its own key set alone, and a restart reads the
file again. Standard library only: an instance that was killed has to be back soon.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ops.envfile import ROOT, is_key, read_env_file
from ops.system import MARKER, Paths, System, load_system

DEFAULT_BASE_PORT = 8101


def clean_environment() -> dict[str, str]:
    """Our own environment without what the operator's shell may hold of keys: the file is the one source."""
    ours = {"INSTANCE_ID", "HOST", "PORT", "UNIX_SOCKET", "DISCORD_TOKEN", "SECRETS_DIR"}
    return {name: value for name, value in os.environ.items() if name not in ours and not is_key(name)}


def launch(arguments: Sequence[str]) -> NoReturn:
    """Run `instance K [--port P] [--env-file F]` or `supervised NAME`; never returns."""
    parser = argparse.ArgumentParser(prog="python -m ops")
    commands = parser.add_subparsers(dest="command", required=True)
    instance = commands.add_parser("instance", help="become instance K, in the foreground")
    instance.add_argument("number", type=int)
    instance.add_argument("--port", type=int)
    instance.add_argument("--env-file", default=os.environ.get("QUARTET_ENV_FILE", str(ROOT / ".env.multi")))
    commands.add_parser("supervised", help="become a program of a native system").add_argument("name")
    options = parser.parse_args(arguments)
    if options.command == "instance":
        here = Path(os.environ.get("QUARTET_CWD", "."))
        port = options.port or DEFAULT_BASE_PORT + options.number - 1
        _become_instance(options.number, here / options.env_file, f"127.0.0.1:{port}")
    run_dir = os.environ.get(MARKER)
    system = load_system(Path(run_dir)) if run_dir else None
    if system is None:
        parser.exit(2, f"{MARKER} does not name a system: this is for the supervisor's use.\n")
    _become(options.name, system)


def _become(name: str, system: System) -> NoReturn:
    paths = Paths(Path(system.data_dir))
    _count_start(paths, name)
    if name in system.instances:
        number = list(system.addresses).index(name) + 1
        _become_instance(number, Path(system.env_file), system.addresses[name], system.socket_of(name))
    command = {"nginx": system.nginx, "simulator": system.simulator}[name]
    os.execvpe(command[0], command, clean_environment())  # noqa: S606 - no shell is wanted


def _count_start(paths: Paths, name: str) -> None:
    """Write down our pid, which the program keeps, and that it was started once more."""
    paths.make()
    (paths.pids / name).write_text(str(os.getpid()))
    counter = paths.starts / name
    try:
        count = int(counter.read_text())
    except (FileNotFoundError, ValueError):
        count = 0
    counter.write_text(str(count + 1))


def _become_instance(number: int, env_file: Path, address: str, socket: str = "") -> NoReturn:
    try:
        file = read_env_file(env_file)
    except OSError as error:
        sys.exit(f"{env_file}: {error.strerror}")
    host, _, port = address.rpartition(":")
    own = {**file.instance_environment(number), "HOST": host.strip("[]"), "PORT": port, "UNIX_SOCKET": socket}
    os.chdir(ROOT)
    os.execve(sys.executable, [sys.executable, "-m", "app"], {**clean_environment(), **own})  # noqa: S606
