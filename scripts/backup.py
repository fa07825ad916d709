#!/usr/bin/env python3
"""Backs up the store's SQLite file while instances use it, or puts a backup in its place while none does.

`./deploy-multi.sh backup` and `restore` run this where the file is, in a container for example; `-` is standard output
or input. Reads STORE_URL, DATA_DIR, DISCORD_APPLICATION_ID and DISCORD_API_URL from the environment. The report is one
JSON object, on standard error if the backup itself goes to standard output.
Exit codes: 0 done, 1 it could not be done and nothing was changed, 2 a variable is missing or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.clock import SystemClock
from app.errors import BackupUnusable, StoreUnavailable
from app.jobs.sqlite_backup import Contents, stream_backup, write_backup
from app.restoring import Restored, restore
from app.settings import SQLITE_PREFIX, CommonSettings

STREAM = "-"
DEFAULT_STORE: str = CommonSettings.model_fields["store_url"].default
DEFAULT_API_URL: str = CommonSettings.model_fields["discord_api_url"].default


class NotHere(Exception):
    """The environment names no SQLite file, or lacks what is needed."""


def store_path(environment: Mapping[str, str]) -> Path:
    """Return the file that STORE_URL names, as the instances read it."""
    url = environment.get("STORE_URL") or DEFAULT_STORE
    if not url.startswith(SQLITE_PREFIX):
        raise NotHere("STORE_URL: is no SQLite file; the store's own tools back it up (docs/backup.md)")
    data_dir = environment.get("DATA_DIR") or "./data"
    return Path(url.removeprefix(SQLITE_PREFIX).replace("${DATA_DIR}", "$DATA_DIR").replace("$DATA_DIR", data_dir))


def main(arguments: list[str] | None = None) -> int:
    """Back up or restore, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("make", "restore"))
    parser.add_argument("file", help="the backup; - is standard output or input")
    options = parser.parse_args(arguments)
    try:
        store = store_path(os.environ)
        report = make(store, options.file) if options.what == "make" else put_back(store, options.file, os.environ)
    except NotHere as error:
        print(error, file=sys.stderr)
        return 2
    except (BackupUnusable, StoreUnavailable) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(report), file=sys.stderr if options.what == "make" and options.file == STREAM else sys.stdout)
    return 0


def make(store: Path, target: str) -> dict[str, Any]:
    """Make a backup; returns the report."""
    if target == STREAM:
        # Beside the store there is room for a file as large; on a container's /tmp there may not be.
        return made(stream_backup(store, sys.stdout.buffer, store.parent))
    return made(write_backup(store, Path(target)))


def put_back(store: Path, backup: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Put a backup in the store's place; returns the report."""
    application_id = environment.get("DISCORD_APPLICATION_ID", "")
    if not application_id:
        raise NotHere("DISCORD_APPLICATION_ID: is missing")
    api_url = environment.get("DISCORD_API_URL") or DEFAULT_API_URL
    store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=store.parent, prefix=".incoming-") as incoming:
        if backup == STREAM:
            shutil.copyfileobj(sys.stdin.buffer, incoming)
            incoming.flush()
            backup = incoming.name
        done = restore(store, Path(backup), api_url=api_url, application_id=application_id, clock=SystemClock())
        return restored(asyncio.run(done))


def made(contents: Contents) -> dict[str, Any]:
    """What is said of a backup."""
    return {
        "made_at": round(time.time()),
        "schema": contents.schema,
        "bytes": contents.size,
        "open_jobs": contents.open_jobs,
        "rows": dict(contents.rows),
    }


def restored(done: Restored) -> dict[str, Any]:
    """What is said of a restoration."""
    return {
        "schema": done.contents.schema,
        "rows": dict(done.contents.rows),
        "kept_aside": done.aside.name if done.aside else "",
        "merged": done.merged,
        "still_owed": done.owed,
        "ended_quietly": done.ended,
    }


if __name__ == "__main__":
    sys.exit(main())
