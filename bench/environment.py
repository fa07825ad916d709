"""Makes sure that the rivals are installed; they are no dependency of the product."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from bench.processes import ROOT

NEEDED = ("hikari", "discord_http", "uvloop", "uvicorn", "nacl")
OWN = ROOT / ".venv-bench"
_MARK = "QUARTET_BENCH_ENVIRONMENT"


def ensure(module: str, arguments: Sequence[str]) -> None:
    """Return if everything is here; else set up `.venv-bench` and run `module` there, in place of this process."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing:
        return
    uv = shutil.which("uv")
    if uv is None or _MARK in os.environ:
        sys.exit(
            f"The benchmark needs {', '.join(missing)}. Run ./deploy-multi.sh bench, which installs them, "
            "or: uv sync --frozen --all-extras --group bench"
        )
    print(f"Missing here: {', '.join(missing)}. Setting up {OWN.name} (once, about a minute) ...", file=sys.stderr)
    environment = os.environ | {"UV_PROJECT_ENVIRONMENT": str(OWN), _MARK: "1"}
    environment.pop("VIRTUAL_ENV", None)
    command = [uv, "sync", "--frozen", "--all-extras", "--no-dev", "--group", "bench"]
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
        sys.exit("The packages could not be installed. Is the package index (pypi.org, or your mirror) within reach?")
    os.chdir(ROOT)
    python = OWN / "bin" / "python"
    os.execve(python, [str(python), "-m", module, *arguments], environment)
