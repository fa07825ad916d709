"""Native mode with real processes: supervisord, nginx, and a stand-in for the application."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.health import get
from ops.nginx import find_nginx
from ops.ports import is_free
from ops.processes import is_alive
from ops.system import sockets_folder
from tests.acceptance.native_kit import Bot, make_checkout, until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.nginx,
    pytest.mark.skipif(find_nginx() is None, reason="nginx with njs is not installed"),
]


@pytest.fixture(name="checkout", scope="module")
def a_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout at a path with everything that could be misread."""
    return make_checkout(tmp_path_factory.mktemp("native") / "a checkout; #1 100% 봇")


@pytest.fixture(name="bot")
def a_bot(checkout: Path, tmp_path: Path) -> Iterator[Bot]:
    """A configured system that is ended whatever the test does to it."""
    bot = Bot.prepare(checkout, tmp_path / "of the operator")
    yield bot
    bot.configure()
    done = bot.run("stop")
    assert done.returncode == 0, done.stderr
    assert bot.alive() == []


def environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def test_start_brings_up_everything_and_stop_leaves_nothing(bot: Bot) -> None:
    """After `start` all is healthy, a second start changes nothing, and after `stop` no process or port is held."""
    bot.start()
    found = bot.status()
    assert found["healthy"] is True
    assert [program["name"] for program in found["programs"]] == [*(f"instance-{k}" for k in range(1, 5)), "nginx"]
    assert get(found["urls"]["interactions"].replace("/interactions", "/health"))[0] == 200
    again = bot.run("start", "--native")
    assert again.returncode == 0
    assert "runs already" in again.stdout
    assert {p["name"]: p["pid"] for p in found["programs"]} == bot.pids()
    everything = bot.alive()
    assert len(everything) >= 7
    sockets = sockets_folder(bot.paths)
    conf = (bot.paths.run / "nginx/nginx.conf").read_text()
    assert sockets is None or f"server unix:{sockets}/instance-1.sock" in conf

    stopped = bot.run("stop")
    assert (stopped.returncode, stopped.stdout.strip()) == (0, "Stopped.")
    assert [pid for pid in everything if is_alive(pid)] == []
    assert all(is_free(port) for port in range(bot.base, bot.base + 6))
    assert not bot.paths.run.exists() and not (sockets and sockets.exists())
    assert bot.run("status").returncode == 3
    assert bot.run("stop").stdout.strip() == "Nothing was running."


def test_each_instance_holds_its_own_key_set_and_nobody_else_any(bot: Bot) -> None:
    """The environments of the real processes hold one set each; the supervisor's and nginx's none; no second file."""
    bot.start()
    pids = bot.pids()
    for k in range(1, 5):
        environment = environment_of(pids[f"instance-{k}"])
        assert environment["INSTANCE_ID"] == str(k)
        assert environment["OPENAI_API_KEY"] == f"sk-openai-of-set-{k}"
        assert sum("of-set-" in value for value in environment.values()) == 3
        assert "sk-from-the-shell" not in environment.values()
    supervisor = environment_of(bot.supervisor_pid())
    assert not [value for value in supervisor.values() if "of-set-" in value or "sk-from-the-shell" in value]
    files = [path for path in bot.paths.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"of-set-" in path.read_bytes()]
    assert bot.paths.run.stat().st_mode & 0o077 == 0


def test_an_instance_killed_again_and_again_is_back_each_time(bot: Bot) -> None:
    """After every kill -9 there is a new process that answers, within five seconds, and the count is kept."""
    bot.start()
    pid_file = bot.paths.pids / "instance-2"
    url = f"http://127.0.0.1:{bot.base + 3}/health"
    for _ in range(8):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: int(pid_file.read_text() or pid) != pid, 5, "a new process")  # type: ignore[misc]
        until(lambda: get(url)[0] == 200, 5, "an answer of the new process")
    program = next(entry for entry in bot.status()["programs"] if entry["name"] == "instance-2")
    assert (program["restarts"], program["health"]) == (8, "healthy")


def test_restart_takes_a_changed_file_into_use_without_a_gap(bot: Bot) -> None:
    """Instances are replaced one after the other and one is taken away; the public port answers all the while."""
    bot.start()
    before, failures, done = bot.pids(), [], threading.Event()

    def ask() -> None:
        while not done.wait(0.02):
            status, _ = get(f"http://127.0.0.1:{bot.base}/health")
            if status != 200:
                failures.append(status)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        bot.configure(INSTANCE_COUNT="3", SYSTEM_PROMPT="changed")
        restarted = bot.run("restart")
    finally:
        done.set()
        asking.join()
    assert restarted.returncode == 0, restarted.stderr
    after = bot.pids()
    assert set(after) == {"instance-1", "instance-2", "instance-3", "nginx"}
    assert after["nginx"] == before["nginx"]
    assert all(after[f"instance-{k}"] != before[f"instance-{k}"] for k in (1, 2, 3))
    assert not is_alive(before["instance-4"])
    assert environment_of(after["instance-1"])["SYSTEM_PROMPT"] == "changed"
    assert failures == []


def test_stop_ends_what_a_killed_supervisor_left(bot: Bot) -> None:
    """Without its supervisor the bot goes on; `status` says so, and `stop` still finds every process."""
    bot.start()
    os.kill(bot.supervisor_pid(), signal.SIGKILL)
    until(lambda: not is_alive(bot.supervisor_pid()), 5, "the supervisor's end")
    assert get(f"http://127.0.0.1:{bot.base}/health")[0] == 200
    told = bot.run("status")
    assert told.returncode == 1
    assert "supervisor is gone" in told.stdout
    left = bot.alive()
    assert len(left) >= 6
    assert bot.run("stop").returncode == 0
    assert [pid for pid in left if is_alive(pid)] == []


def test_start_clears_what_a_crash_left_behind(bot: Bot) -> None:
    """Orphans, a stale pid file and a stale socket do not keep the system from starting, and are told of."""
    bot.start()
    orphans = bot.alive()
    for pid in [bot.supervisor_pid(), *orphans[:2]]:
        os.kill(pid, signal.SIGKILL)
    done = bot.run("start", "--native")
    assert done.returncode == 0, done.stderr
    assert "An earlier run ended without `stop`" in done.stderr
    assert [pid for pid in orphans if is_alive(pid)] == []
    assert bot.status()["healthy"] is True


def test_an_instance_that_does_not_come_up_is_shown_and_everything_is_stopped(bot: Bot) -> None:
    """The last lines of that program's log are on the screen; nothing is left running."""
    bot.configure(SYSTEM_PROMPT="fail")
    done = bot.run("start", "--native")
    assert done.returncode == 1
    assert "instance-2 ended" in done.stderr
    assert "it can't start today" in done.stderr
    assert "instance-1 " not in done.stderr
    assert bot.alive() == []


def test_a_taken_port_is_named_before_anything_starts(bot: Bot) -> None:
    """The variable, the port and the process that holds it."""
    with socket.create_server(("127.0.0.1", bot.base)):
        done = bot.run("start", "--native")
    assert done.returncode == 1
    assert f"PUBLIC_PORT: port {bot.base}" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert bot.alive() == []


def test_two_systems_run_beside_each_other(bot: Bot, checkout: Path, tmp_path: Path) -> None:
    """Another data directory, one too long for a socket, is another system: to stop the one leaves the other alone."""
    bot.start()
    other = Bot.prepare(checkout, tmp_path / ("o" * 120))
    try:
        other.start()
        assert bot.run("stop").returncode == 0
        assert other.status()["healthy"] is True
        assert bot.alive() == []
    finally:
        assert other.run("stop").returncode == 0
    assert other.alive() == []


def test_logs_are_shown_by_number_and_name(bot: Bot) -> None:
    """`logs 3` is instance 3's log; an unknown name lists those there are."""
    bot.start()
    assert bot.run("logs", "3").stdout.strip() == "instance 3 serves"
    unknown = bot.run("logs", "9")
    assert unknown.returncode == 2
    assert "instance-1" in unknown.stderr


def test_a_wrong_file_starts_nothing_and_names_every_fault(bot: Bot) -> None:
    """Exit code 2, each fault by its variable's name, no value."""
    bot.configure(DISCORD_PUBLIC_KEY="SECRET", OPENAI_API_KEY_2=None, LEASE_S="SECRET")
    done = bot.run("start", "--native")
    assert done.returncode == 2
    for name in ("DISCORD_PUBLIC_KEY", "OPENAI_API_KEY_2", "LEASE_S"):
        assert f"  {name}: " in done.stderr
    assert "SECRET" not in done.stdout + done.stderr
    (bot.directory / ".env.multi").unlink()
    missing = bot.run("start", "--native")
    assert missing.returncode == 2
    assert ".env.multi.example" in missing.stderr
