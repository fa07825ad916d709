"""`deploy-multi.sh faults`: runs the fault tests of docs/faults.md and writes a report."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ops.envfile import ROOT
from ops.failures import Exit, OpsError
from ops.nginx import ensure_nginx
from ops.redis_server import ensure_redis

FAULTS = range(1, 17)
STORES = ("sqlite", "redis")
REPORTS = ROOT / "data" / "faults"
TESTS = ROOT / "tests" / "faults"


def faults(
    number: Annotated[int | None, typer.Argument(min=1, max=16, help="Which one; all of them without it.")] = None,
    full: Annotated[bool, typer.Option("--full", help="With the full figures; some take most of an hour.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Replays the same faults.")] = None,
    store: Annotated[str, typer.Option("--store", help="sqlite or redis: where jobs are kept.")] = "sqlite",
    report: Annotated[Path, typer.Option("--report", metavar="DIR", help="Where the records go.")] = REPORTS,
) -> None:
    """Break the running system in sixteen ways, judge it by the simulator's ledger, and write a report."""
    if store not in STORES:
        raise OpsError(f"--store {store}: there are {' and '.join(STORES)}.", code=Exit.CONFIGURATION)
    console = Console(highlight=False, soft_wrap=True)
    ensure_nginx()
    chosen = [number] if number else list(FAULTS)
    seed = secrets.randbelow(2**31) if seed is None else seed
    place = (Path(os.environ.get("QUARTET_CWD", ".")) / report).resolve() if report != REPORTS else REPORTS
    began = time.time()
    if store == "redis":
        ensure_redis()
    code = _run(chosen, full=full, seed=seed, report=place, store=store)
    records = [record for record in _records(place) if record["began_wall"] >= began]
    _write(place, records, seed)
    console.print(_table(records))
    console.print(f"Report: {place / 'report.md'}", markup=False)
    raise typer.Exit(Exit.OK if code == 0 and records and all(r["ok"] for r in records) else Exit.FAILED)


def _run(chosen: list[int], *, full: bool, seed: int, report: Path, store: str) -> int:
    """Run them one after the other in one pytest; a record is written for each."""
    files = [str(path) for n in chosen for path in sorted(TESTS.glob(f"test_fault_{n:02d}_*.py"))]
    environment = {
        **os.environ,
        "QUARTET_FAULTS_ALL": "1",
        "QUARTET_FAULTS_SEED": str(seed),
        "QUARTET_FAULTS_FORM": "full" if full else "short",
        "QUARTET_FAULTS_REPORT": str(report),
        "QUARTET_FAULTS_STORE": store,
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _records(place: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(place.glob("fault-*.json"))]


def _write(place: Path, records: list[dict[str, Any]], seed: int) -> None:
    """Write the overview of this run beside its records."""
    lines = [f"# Fault tests, seed {seed}", "", "| # | fault | form | verdict | s | what fell short |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for record in records:
        short = "; ".join([*_failed(record), *record["not_run"]]) or "-"
        lines.append(
            f"| {record['number']}{record['part'] and ' ' + record['part']} | {record['title']} | {record['scale']} | "
            f"{'passed' if record['ok'] else '**FAILED**'} | {record['seconds']:.0f} | {short.replace('|', '/')} |"
        )
    place.mkdir(parents=True, exist_ok=True)
    (place / "report.md").write_text("\n".join(lines) + "\n")
    (place / "report.json").write_text(json.dumps({"seed": seed, "records": records}, indent=2) + "\n")


def _failed(record: dict[str, Any]) -> list[str]:
    found = [check["name"] for check in record["checks"] if not check["ok"]]
    return found if record["complete"] else [*found, "the test broke off"]


def _table(records: list[dict[str, Any]]) -> Table:
    table = Table("#", "fault", "form", "verdict", "s", "seed")
    for record in records:
        verdict = "[green]passed[/]" if record["ok"] else "[red]FAILED[/]"
        table.add_row(str(record["number"]), record["title"], record["scale"], verdict, f"{record['seconds']:.0f}",
                      str(record["seed"]))  # fmt: skip
    return table
