"""Memory of an idle instance, and how long it takes from its start to the first healthy answer."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import machine
from bench.contestants import CONTESTANTS, QUARTET
from bench.interactions import Signer
from bench.measure import data_directory
from bench.processes import cores
from bench.report import Spread

MOST_MEMORY_MIB = 110.0
SLOWEST_START_S = 1.5


def main(arguments: Sequence[str]) -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="bench idle", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often an instance is started (default 5)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    wanted = parser.parse_args(arguments)
    if not 1 <= wanted.rounds <= 100:
        parser.error("expected 1 to 100 rounds")
    described = machine.description()
    print(machine.line(described))
    samples = [_sample() for _ in range(wanted.rounds)]
    figures = {name: Spread.of([sample[name] for sample in samples]) for name in samples[0]}
    print(f"start to the first healthy answer, s: {figures['start_s'].to(2)}   goal {SLOWEST_START_S}")
    print(f"memory when quiet, RSS in MiB: {figures['rss'].to(1)}   goal {MOST_MEMORY_MIB:.0f}")
    print(f"memory when quiet, PSS in MiB: {figures['pss'].to(1)}")
    if wanted.json is not None:
        wanted.json.parent.mkdir(parents=True, exist_ok=True)
        wanted.json.write_text(json.dumps({"machine": described, "samples": samples}, indent=1) + "\n")
    return 0


def _sample() -> dict[str, float]:
    """Start one instance on one core; quiet means that the background loading of the OpenAI SDK is done too."""
    with ExitStack() as stack:
        directory = stack.enter_context(data_directory())
        started = time.perf_counter()
        process = stack.enter_context(CONTESTANTS[QUARTET].start(Signer.make(), directory, cores()[0]))
        process.wait_until_healthy()
        start_s = time.perf_counter() - started
        process.wait_until_quiet()
        return {"start_s": start_s, **process.memory_mib()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
