"""`deploy-multi.sh bench`: lists what lies in bench/ and hands over to it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence

from rich.console import Console

from ops.envfile import ROOT
from ops.failures import Exit

MAIN_GUARD = '__name__ == "__main__"'


def benchmarks() -> dict[str, str]:
    """The runnable modules and packages of bench/ with the first line of their docstrings."""
    found = {}
    for path in sorted([*(ROOT / "bench").glob("*.py"), *(ROOT / "bench").glob("*/__main__.py")]):
        text = path.read_text()
        if MAIN_GUARD in text:
            name = path.parent.name if path.stem == "__main__" else path.stem
            found[name] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


def dispatch(arguments: Sequence[str], console: Console) -> int:
    """Run `bench NAME …` and return its exit code; `acks` finds `bench/ack.py` as well as `bench/acks.py`."""
    known = benchmarks()
    wanted = arguments[0] if arguments else ""
    name = next((name for name in (wanted, wanted.removesuffix("s")) if name in known), None)
    if name is not None:
        command = [sys.executable, "-m", f"bench.{name}", *arguments[1:]]
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    if wanted and wanted not in ("--help", "-h", "list"):
        console.print(f"There is no benchmark {wanted}.", style="red", markup=False)
    console.print(
        "Benchmarks, each run as ./deploy-multi.sh bench NAME [arguments]:" if known else "There are none yet."
    )
    for name, summary in known.items():
        console.print(f"  {name:<12} {summary}", markup=False)
    return Exit.OK if not wanted or wanted in ("--help", "-h", "list") else Exit.CONFIGURATION
