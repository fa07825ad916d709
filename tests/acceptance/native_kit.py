"""A checkout of our own with a stand-in application, for what the operator's tool does around it.

The stand-in starts in a tenth of a second and answers /health; who it was started as can be read from /proc. The real
application is driven the same way in test_native_real.py.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.envfile import ROOT
from ops.processes import processes_of
from ops.system import Paths
from tests.unit.ops.files import env_file

STAND_IN = '''\
"""A stand-in for the application: answers /health until it is told to end, at its port and at its socket."""
import http.server, os, pathlib, signal, socketserver, sys, threading
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if os.environ.get("SYSTEM_PROMPT") == "fail" and os.environ["INSTANCE_ID"] == "2":
    sys.exit("Traceback of the stand-in: it can't start today")
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
class AtSocket(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    def get_request(self):
        return super().get_request()[0], ("socket", 0)
if path := os.environ.get("UNIX_SOCKET"):
    pathlib.Path(path).unlink(missing_ok=True)
    beside = AtSocket(path, Handler)
    os.chmod(path, 0o666)
    threading.Thread(target=beside.serve_forever, daemon=True).start()
print("instance", os.environ["INSTANCE_ID"], "serves", flush=True)
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
'''


def make_checkout(place: Path) -> Path:
    """Copy what the operator's tool consists of, and put the stand-in where the application is."""
    place.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("ops", "proxy", "app", "simulator"):
        shutil.copytree(ROOT / name, place / name, ignore=ignored)
    (place / "app" / "__main__.py").write_text(STAND_IN)
    return place


def free_block(count: int) -> int:
    """Return the first of `count` ports in a row that are free now."""
    for start in range(20_000 + os.getpid() % 100 * 100, 60_000, count):
        sockets = []
        try:
            for port in range(start, start + count):
                probe = socket.socket()
                sockets.append(probe)
                probe.bind(("127.0.0.1", port))
            return start
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
    raise AssertionError("no free block of ports")


def until(condition: Callable[[], bool], timeout: float, description: str) -> None:
    """Look until the condition holds; fail, naming `description`, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout:g} s in vain: {description}"
        time.sleep(0.02)


@dataclass
class Bot:
    """One native system as its operator handles it."""

    checkout: Path
    directory: Path
    base: int

    @classmethod
    def prepare(cls, checkout: Path, directory: Path, **changes: str | None) -> Bot:
        """Write an env file in `directory`, with ports of its own and data beside it."""
        directory.mkdir(parents=True, exist_ok=True)
        base = free_block(6)
        bot = cls(checkout, directory, base)
        bot.configure(**changes)
        return bot

    def configure(self, **changes: str | None) -> None:
        """Write the env file anew."""
        ports = {
            "PUBLIC_HOST": "127.0.0.1",
            "PUBLIC_PORT": str(self.base),
            "OPS_PORT": str(self.base + 1),
            "INSTANCE_BASE_PORT": str(self.base + 2),
        }
        env_file(self.directory, **{"DATA_DIR": f"'{self.directory}/data'", **ports, **changes})

    @property
    def paths(self) -> Paths:
        """Where its files are, with the usual DATA_DIR."""
        return Paths((self.directory / "data").resolve())

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run one command of the operator's tool to its end."""
        command = [sys.executable, "-m", "ops", *arguments, "--env-file", str(self.directory / ".env.multi")]
        environment = {**os.environ, "OPENAI_API_KEY": "sk-from-the-shell", "QUARTET_CWD": str(self.checkout)}
        return subprocess.run(
            command, cwd=self.checkout, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self) -> None:
        """Start and expect success."""
        done = self.run("start", "--native")
        assert done.returncode == 0, done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        """What `status --json` says."""
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def pids(self) -> dict[str, int]:
        """The programs' pids."""
        return {program["name"]: program["pid"] for program in self.status()["programs"]}

    def supervisor_pid(self) -> int:
        """The supervisor's pid."""
        return int((self.paths.run / "supervisord.pid").read_text())

    def alive(self) -> list[int]:
        """Everything that still belongs to it."""
        return processes_of(self.paths)
