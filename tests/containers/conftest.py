"""A fresh system of containers for a test of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.kit import IMAGE, Containers, missing


@pytest.fixture
def fresh_system(tmp_path: Path) -> Iterator[Containers]:
    """Four instances and nginx in containers, and a simulator beside them; afterwards nothing of them is left."""
    if reason := missing():
        pytest.skip(reason)
    system = Containers(tmp_path)
    system.configure()
    try:
        build = system.engine.ask("build", "--quiet", "--tag", IMAGE, str(Path(__file__).parents[2]), timeout=230)
        assert build.returncode == 0, build.stderr
        system.began = time.monotonic()
        system.must("start")
        system.start_simulator()
        yield system
    finally:
        system.end()
