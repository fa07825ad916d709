"""`deploy-multi.sh test`: style, types, layers, speed, then every test; what CI runs and what a contributor runs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from rich.console import Console

from ops.chromium import ensure_chromium
from ops.envfile import ROOT
from ops.failures import Exit, OpsError
from ops.nginx import ensure_nginx
from ops.redis_server import ensure_redis

_LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
STEPS: list[tuple[str, list[str]]] = [
    ("style", ["-m", "ruff", "check", "."]),
    ("format", ["-m", "ruff", "format", "--check", "."]),
    ("types", ["-m", "mypy"]),
    ("layers", ["-c", _LINT_IMPORTS]),
    ("speed", ["-m", "bench.guard"]),  # fails on a gross loss only
]


def run_tests(pytest_arguments: Sequence[str], console: Console) -> int:
    """Run every step even if one fails, so that one run shows all there is to repair."""
    for ensure in (ensure_nginx, ensure_chromium, ensure_redis):
        try:
            ensure()
        except OpsError as error:
            console.print(
                f"{error} {error.hint}\nThe tests that need it will be skipped.", style="yellow", markup=False
            )
    results = []
    for name, arguments in [*STEPS, ("tests", ["-m", "pytest", *pytest_arguments])]:
        console.rule(f"{name}: {' '.join(arguments[1:]) if arguments[0] == '-m' else 'lint-imports'}")
        console.file.flush()  # before the step's own output
        started = time.monotonic()
        code = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode
        results.append((name, code, time.monotonic() - started))
    console.rule("summary")
    for name, code, seconds in results:
        mark = "[green]passed[/]" if code == 0 else f"[red]FAILED[/] (exit code {code})"
        console.print(f"{name:<8} {mark}  {seconds:.1f} s")
    return Exit.OK if all(code == 0 for _, code, _ in results) else Exit.FAILED
