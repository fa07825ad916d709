"""How a fault test gets its seed, its size and its record.

`./deploy-multi.sh faults` sets these variables; the test command leaves them out:
QUARTET_FAULTS_SEED (a number), QUARTET_FAULTS_FORM (`short` or `full`), QUARTET_FAULTS_ALL (also those marked
`faults_full`), QUARTET_FAULTS_REPORT (a directory for the records), QUARTET_FAULTS_STORE (`sqlite` or `redis`).
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.nginx import find_nginx
from ops.redis_server import find_redis
from tests.faults.trial import Trial

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is too long for the test command, and everything where nginx is missing."""
    too_long = pytest.mark.skip(reason="too long for the test command: ./deploy-multi.sh faults runs it")
    no_redis = pytest.mark.skip(reason="redis-server is not installed")
    no_nginx = pytest.mark.skip(reason="nginx with its njs module is not installed")
    for item in items:
        if HERE not in item.path.parents:
            continue
        if item.get_closest_marker("faults_full") and not os.environ.get("QUARTET_FAULTS_ALL"):
            item.add_marker(too_long)
        if (item.get_closest_marker("faults") or item.get_closest_marker("faults_full")) and not find_nginx():
            item.add_marker(no_nginx)
        if "[redis]" in item.name and not find_redis():
            item.add_marker(no_redis)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a fault with the store that was asked for; unasked, with each of its module's `STORES`."""
    if "trial" in metafunc.fixturenames and HERE in metafunc.definition.path.parents:
        asked = os.environ.get("QUARTET_FAULTS_STORE")
        known = getattr(metafunc.module, "STORES", None)
        unasked = known or ["sqlite"]
        stores = unasked if asked is None else [asked] if known is None or asked in known else []
        metafunc.parametrize("trial", stores, indirect=True)


@pytest.fixture(name="trial")
def a_trial(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Trial]:
    """A seeded trial; says its seed at once, and keeps its record whatever happens."""
    given = os.environ.get("QUARTET_FAULTS_SEED")
    seed = int(given) if given else secrets.randbelow(2**31)
    module = request.module
    full = os.environ.get("QUARTET_FAULTS_FORM") == "full"
    report = os.environ.get("QUARTET_FAULTS_REPORT")
    trial = Trial(
        number=module.NUMBER,
        title=module.TITLE,
        seed=seed,
        full=full,
        rng=random.Random(seed),
        directory=tmp_path,
        report=Path(report) if report else tmp_path / "report",
        store=request.param,
    )
    with capsys.disabled():
        form = f"{'full' if full else 'short'} form, {trial.store}, seed {seed}"
        print(f"\nfault {module.NUMBER} ({module.TITLE}), {form}", flush=True)
    began = time.monotonic()
    yield trial
    trial.record.seconds = time.monotonic() - began
    path = trial.record.write(trial.report)
    if report:
        with capsys.disabled():
            verdict = "passed" if trial.record.ok else "FAILED"
            print(f"{verdict} in {trial.record.seconds:.0f} s, see {path}", flush=True)
