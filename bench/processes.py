"""Server processes on one core, and what the kernel knows about them (Linux)."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_WITHIN_S = 30.0
STOP_WITHIN_S = 30.0
QUIET_WITHIN_S = 20.0
QUIET_S = 0.4
QUIET_SHARE = 0.05
"""A process is quiet once it has used less of a core than this for QUIET_S, twice in a row."""

_TICK = os.sysconf("SC_CLK_TCK")


class ServerFailed(RuntimeError):
    """A server did not come up, or died."""


class ServerProcess:
    """A server under measurement."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.pid = process.pid
        self.port = port
        self._process = process
        self._log = log

    def check(self) -> None:
        """Raise `ServerFailed` with the end of its output if the process has ended."""
        if self._process.poll() is not None:
            raise ServerFailed(f"the server ended with {self._process.returncode}: {self._log.read_text()[-2000:]}")

    def wait_until_answering(self, ping: bytes) -> None:
        """Wait until a signed PING request is answered 200."""
        give_up = time.monotonic() + START_WITHIN_S
        while not _answers(self.port, ping):
            self.check()
            if time.monotonic() > give_up:
                raise ServerFailed(f"the server did not answer in {START_WITHIN_S:.0f} s")
            time.sleep(0.02)

    def wait_until_healthy(self) -> None:
        """Wait until `GET /health` is answered 200."""
        give_up = time.monotonic() + START_WITHIN_S
        while not _healthy(self.port):
            self.check()
            if time.monotonic() > give_up:
                raise ServerFailed(f"the server was not healthy in {START_WITHIN_S:.0f} s")
            time.sleep(0.005)

    def wait_until_quiet(self) -> None:
        """Wait until whatever it does in the background after its start is done."""
        quiet, give_up = 0, time.monotonic() + QUIET_WITHIN_S
        while quiet < 2 and time.monotonic() < give_up:
            before = self.cpu_s()
            time.sleep(QUIET_S)
            quiet = quiet + 1 if self.cpu_s() - before < QUIET_SHARE * QUIET_S else 0

    def cpu_s(self) -> float:
        """Seconds of a core that all its threads have used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory_mib(self) -> Mapping[str, float]:
        """RSS, and PSS: RSS with each shared page divided by the number of processes that share it."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {line.partition(":")[0]: line.split()[1] for line in lines}
        return {name.lower(): int(sizes[name]) / 1024 for name in ("Rss", "Pss")}

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def threads(self) -> int:
        """How many threads it has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def stop(self) -> float:
        """Ask it to end in good order (SIGTERM); returns the seconds that took, raises `ServerFailed` if it failed."""
        asked = time.perf_counter()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"the server did not end in {STOP_WITHIN_S:.0f} s") from None
        if code != 0:
            raise ServerFailed(f"the server ended with {code}: {self._log.read_text()[-2000:]}")
        return time.perf_counter() - asked

    def kill(self) -> None:
        """End it at once, as a crash would, and wait."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@contextmanager
def server(
    arguments: Sequence[str], *, port: int, directory: Path, environment: Mapping[str, str], core: int | None
) -> Iterator[ServerProcess]:
    """Run `python ARGUMENTS` on one core; its output goes to a file in `directory`. Killed at the end."""
    log = directory / "output.log"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    with log.open("wb") as output, on_core(core):
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env={**kept, **environment}, stdout=output, stderr=output
        )
    running = ServerProcess(process, port, log)
    try:
        yield running
    finally:
        running.kill()


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Keep this process, and those it starts meanwhile, on one core; None leaves all as it is."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores() -> tuple[int | None, int | None]:
    """Return the core for servers and the one for the load; None for both if there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int, request: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            return connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
