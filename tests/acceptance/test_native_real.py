"""The real application under the operator's tool: a start, a job through nginx, an orderly end; and the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.envfile import ROOT
from ops.health import get, get_json
from ops.nginx import find_nginx
from ops.processes import PROC, is_alive
from tests.acceptance.native_kit import Bot, until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.skipif(find_nginx() is None, reason="nginx with njs is not installed"),
]


@pytest.fixture(name="bot")
def a_bot(tmp_path: Path) -> Iterator[Bot]:
    """This checkout's application, with data and ports of its own; ended whatever happens."""
    bot = Bot.prepare(ROOT, tmp_path / "real")
    yield bot
    assert bot.run("stop").returncode == 0
    assert bot.alive() == []


def test_the_application_starts_shows_itself_and_ends_in_order(bot: Bot) -> None:
    """All answer, a forged PING gets 401, the ops pages are on their port only; `stop` drains each to exit code 0."""
    nobody = "http://127.0.0.1:1"
    bot.configure(
        DISCORD_API_URL=f"{nobody}/api/v10",
        OPENAI_BASE_URL=nobody,
        STABILITY_BASE_URL=nobody,
        MINIMAX_BASE_URL=nobody,
    )
    bot.start()
    stats = get_json(f"http://127.0.0.1:{bot.base + 1}/stats")
    assert stats["alive"] == [1, 2, 3, 4]
    assert get(f"http://127.0.0.1:{bot.base + 1}/dashboard")[0] == 200
    states = {finding["subject"]: finding["state"] for finding in json.loads(bot.run("doctor", "--json").stdout)}
    well = ["configuration", "store", "nginx, signatures", *(f"instance-{k}, signatures" for k in range(1, 5))]
    well += [*(f"instance-{k}" for k in range(1, 5)), *(f"instance-{k}, health" for k in range(1, 5))]
    assert [states[subject] for subject in well] == ["ok"] * len(well)
    assert [subject for subject, state in states.items() if state == "fault"] == [
        "Discord",
        "OpenAI, all sets",
        "Stability, all sets",
        "MiniMax, all sets",
    ]
    for path in ("stats", "metrics", "dashboard"):
        assert get(f"http://127.0.0.1:{bot.base}/{path}")[0] == 404
    assert (bot.paths.data_dir / "quartet.db").exists()
    log = bot.paths.log("supervisord")
    assert bot.run("stop").returncode == 0
    stopped = [line for line in log.read_text().splitlines() if "stopped: instance-" in line]
    assert len(stopped) == 4
    assert [line for line in stopped if "exit status 0" not in line] == []


def processes_below(directory: Path) -> list[int]:
    """Everything whose command line or environment names the directory."""
    found = []
    for entry in PROC.iterdir():
        try:
            facts = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if os.fsencode(directory) in facts:
            found.append(int(entry.name))
    return found


@pytest.mark.timeout(180)
def test_the_demo_plays_every_command_rightly_and_leaves_nothing(tmp_path: Path) -> None:
    """Each of the 68 answers is right, without any key; afterwards there is no process and no file of it."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "ops", "demo", "--once"]
    demo = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "68 of 68 answers are right." in demo.stdout
    assert list(tmp_path.iterdir()) == []
    assert [pid for pid in processes_below(tmp_path) if is_alive(pid)] == []


@pytest.mark.timeout(180)
def test_a_demo_that_is_told_to_end_clears_everything_away(tmp_path: Path) -> None:
    """SIGTERM in the middle of the tour, or right before it, is as good as its end."""
    command = [sys.executable, "-m", "ops", "demo", "--once"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as demo:
        until(lambda: any(tmp_path.glob("quartet-demo-*/run/pids/instance-1")), 60, "the first instance")
        seen = processes_below(tmp_path)
        demo.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while demo.poll() is None and time.monotonic() < deadline:
            seen = sorted({*seen, *processes_below(tmp_path)})
            time.sleep(0.05)
        assert demo.poll() == 130
    assert len(seen) > 2
    assert [pid for pid in seen if pid != demo.pid and is_alive(pid)] == []
    assert list(tmp_path.iterdir()) == []
