"""The commands that handle the store as a whole: `backup`, `restore` and `migrate`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ops import docker
from ops.console import EnvFileOption, NativeOption, env_file_path, err, in_containers, locate, out
from ops.failures import Exit, OpsError
from ops.processes import processes_of
from ops.system import only_one


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
    place = Place(env_file_path(env_file), containers=in_containers(paths, native_mode))
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
        containers = in_containers(paths, native_mode)
        report = Place(path, containers=containers).restore(chosen)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for line in told(report, containers=containers):
            out.print(line, markup=False)


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
        containers = in_containers(paths, native_mode)
        report = migrate_store(path, source, target, containers=containers, say=status.update)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for line in told(report):
            out.print(line, markup=False)
