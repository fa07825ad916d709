"""What all commands of the operator's tool share: where they print, and how they find and check the env file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops import docker, native
from ops.checks import OperatorSettings, check
from ops.envfile import ROOT, EnvFile, read_env_file
from ops.failures import Exit, OpsError
from ops.system import Paths

DEFAULT_ENV_FILE = ".env.multi"

# A file or a pipe has no width; a table must not be cut to 80 columns for it.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)

EnvFileOption = Annotated[
    Path | None, typer.Option("--env-file", metavar="FILE", help="Default: .env.multi in the checkout.")
]
NativeOption = Annotated[bool, typer.Option("--native", help="Processes on this machine, also if Docker is there.")]


def say(sentence: str) -> None:
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


def in_containers(paths: Paths, native_mode: bool) -> bool:
    """Whether the store is the containers', by the same rule as for `start`."""
    return not native_mode and native.running(paths) is None and docker.engine_answers()
