"""What a call costs more than the bare SDK's: Quartet's way, budget and lease included, beside LiteLLM's Router.

LiteLLM needs an older OpenAI SDK than the product, so it lives in an environment of its own, made on first use.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.measure import data_directory
from bench.processes import ROOT, on_core
from bench.report import Spread
from bench.simulated import Simulated
from simulator.config import Speed

LITELLM = "1.106.2"
UVLOOP = "0.23.0"
LITELLM_ENVIRONMENT = ROOT / ".venv-litellm"
MOST_OF_LITELLM = 1 / 3
SEED = 1
WARM_UP_CALLS = 60
ONE, MANY = 1, 40
"""Calls at once: one tells how much longer a call takes, many how much processor time it needs."""

_RIVALS = ("litellm", "quartet")


@dataclass(frozen=True, slots=True)
class Cost:
    """One run: the median time of a call, the time and the processor time for each call; milliseconds."""

    median_ms: float
    each_ms: float
    cpu_ms: float

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """Return the cost of a run as its process tells it."""
        took = told["took_s"]
        count = len(took)
        return cls(1000 * statistics.median(took), 1000 * told["elapsed_s"] / count, 1000 * told["cpu_s"] / count)

    def over(self, bare: Cost) -> Cost:
        """Return what this costs more than the bare call."""
        return Cost(self.median_ms - bare.median_ms, self.each_ms - bare.each_ms, self.cpu_ms - bare.cpu_ms)


@dataclass(frozen=True, slots=True)
class Pair:
    """What each rival added in one round, at so many calls at once, and the bare call's own cost beside it."""

    at_once: int
    added: dict[str, Cost]
    bare: dict[str, Cost]


@dataclass(frozen=True, slots=True)
class CallFigures:
    """Milliseconds that each adds to a call: waiting time of one call at a time, processor time of one and of many."""

    wait_ms: dict[str, Spread]
    cpu_ms: dict[str, Spread]
    cpu_many_ms: dict[str, Spread]
    bare_ms: dict[str, Spread]
    versions: dict[str, dict[str, str]]

    def share(self, of: dict[str, Spread]) -> float:
        """Return Quartet's addition as a share of LiteLLM's."""
        return of["quartet"].median / max(1e-9, of["litellm"].median)


def figures(pairs: Sequence[Pair], versions: dict[str, dict[str, str]]) -> CallFigures:
    """Return the medians of the rounds."""
    one = [pair for pair in pairs if pair.at_once == ONE]
    many = [pair for pair in pairs if pair.at_once == MANY]
    return CallFigures(
        wait_ms={name: Spread.of([pair.added[name].median_ms for pair in one]) for name in _RIVALS},
        cpu_ms={name: Spread.of([pair.added[name].cpu_ms for pair in one]) for name in _RIVALS},
        cpu_many_ms={name: Spread.of([pair.added[name].cpu_ms for pair in many]) for name in _RIVALS},
        bare_ms={name: Spread.of([pair.bare[name].median_ms for pair in one]) for name in _RIVALS},
        versions=versions,
    )


def measure(rounds: int, calls: int) -> CallFigures:
    """Measure `rounds` rounds of `calls` calls each way; in each round every rival has its turn beside its bare SDK."""
    python = litellm_python()
    with ExitStack() as stack:
        directory = stack.enter_context(data_directory())
        speed = Speed(ttft_s=0.0, tokens_per_s=1_000_000, spread=0)
        simulated = stack.enter_context(Simulated.running(directory, seed=SEED, speed=speed))
        url = simulated.openai_url
        rivals = {
            "litellm": stack.enter_context(rival([python, "-m", "bench.servers.litellm_calls", url])),
            "quartet": stack.enter_context(
                rival([sys.executable, "-m", "bench.servers.quartet_calls", url, str(directory / "quartet.db")])
            ),
        }
        versions = {name: one.versions for name, one in rivals.items()}
        pairs = []
        for at_once in (ONE, MANY):
            for one in rivals.values():
                for how in ("bare", "own"):
                    one.run(how, WARM_UP_CALLS, at_once)
            pairs += [_round(rivals, calls, at_once, number) for number in range(rounds)]
        return figures(pairs, versions)


def _round(rivals: dict[str, Rival], calls: int, at_once: int, number: int) -> Pair:
    """Let each have its turn; who begins changes from round to round."""
    names = _RIVALS if number % 2 == 0 else _RIVALS[::-1]
    bare, added = {}, {}
    for name in names:
        bare[name] = rivals[name].run("bare", calls, at_once)
        added[name] = rivals[name].run("own", calls, at_once).over(bare[name])
    print(
        f"{at_once} at once, round {number + 1}: "
        + ", ".join(f"{n} adds {a.median_ms:.1f} ms, {a.cpu_ms:.1f} ms of processor" for n, a in added.items()),
        file=sys.stderr, flush=True,
    )  # fmt: skip
    return Pair(at_once, added, bare)


class Rival:
    """A process that calls as it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._next = 0
        self.versions: dict[str, str] = self._answer()

    def run(self, how: str, calls: int, at_once: int) -> Cost:
        """Let it make calls, with questions that nobody asked it yet."""
        asked = {"how": how, "first": self._next, "calls": calls, "at_once": at_once}
        self._next += calls
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return Cost.of(self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process that was to make calls has ended; its complaint stands above")
        return dict(json.loads(line))


@contextmanager
def rival(command: Sequence[str]) -> Iterator[Rival]:
    """Run a process that makes calls; it ends with its input."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    with on_core(None):
        process = subprocess.Popen(
            command, cwd=ROOT, env={**kept, "NO_PROXY": "127.0.0.1"}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
    try:
        yield Rival(process)
    finally:
        process.communicate(timeout=20)


def litellm_python() -> str:
    """Return the interpreter of LiteLLM's environment; make that first if it is not there."""
    python = LITELLM_ENVIRONMENT / "bin" / "python"
    if _has_litellm(python):
        return str(python)
    uv = shutil.which("uv")
    if uv is None:
        raise SystemExit("Measuring LiteLLM needs uv, which makes an environment for it.")
    print(f"Setting up {LITELLM_ENVIRONMENT.name} for LiteLLM {LITELLM} (once) ...", file=sys.stderr)
    interpreter = f"{sys.version_info.major}.{sys.version_info.minor}"
    steps = (
        ["venv", "--quiet", "--clear", "--python", interpreter, str(LITELLM_ENVIRONMENT)],
        ["pip", "install", "--quiet", "--python", str(python), f"litellm=={LITELLM}", f"uvloop=={UVLOOP}"],
    )
    for step in steps:
        if subprocess.run([uv, *step], cwd=ROOT, check=False).returncode != 0:
            raise SystemExit("LiteLLM could not be installed. Is the package index within reach?")
    return str(python)


def _has_litellm(python: Path) -> bool:
    try:
        found = subprocess.run(
            [str(python), "-c", "from importlib.metadata import version as v; print(v('litellm'), v('uvloop'))"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return False
    return found.stdout.split() == [LITELLM, UVLOOP]
