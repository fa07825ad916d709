#!/usr/bin/env python3
"""Moves everything one store keeps to another: SQLite to Redis or Valkey, or back, while no instance runs.

`./deploy-multi.sh migrate` runs this where the stores can be reached, in a container for example. Standard input holds
one JSON object: {"from": URL, "to": URL}; so no password stands in a list of processes. An empty `from` is STORE_URL;
`$DATA_DIR` in a URL is read from the environment. On standard output comes a line of JSON for each step of progress,
{"kind", "found", "moved"}, and at last the report.
Exit codes: 0 done, 1 it could not be done (and may be repeated), 2 a URL is missing or wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.clock import SystemClock
from app.errors import StoreUnavailable
from app.moving import NotMovable, move
from app.settings import CommonSettings

DEFAULT_STORE: str = CommonSettings.model_fields["store_url"].default


def placed(url: str, environment: Mapping[str, str]) -> str:
    """Return a store's URL as the instances read it."""
    if not url.startswith("sqlite:"):
        return url
    data_dir = environment.get("DATA_DIR") or "./data"
    return url.replace("${DATA_DIR}", "$DATA_DIR").replace("$DATA_DIR", data_dir)


def say(kind: str, found: int, moved: int) -> None:
    """Write a line of progress."""
    print(json.dumps({"kind": kind, "found": found, "moved": moved}), flush=True)


def main() -> int:
    """Move, and return the exit code."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        asked = json.load(sys.stdin)
        source = asked.get("from") or os.environ.get("STORE_URL") or DEFAULT_STORE
        urls = (placed(source, os.environ), placed(asked.get("to") or "", os.environ))
        report = asyncio.run(move(*urls, progress=say, clock=SystemClock()))
    except (NotMovable, StoreUnavailable) as error:
        print(error, file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"A store's URL {error}", file=sys.stderr)
        return 2
    print(json.dumps(report.to_json()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
