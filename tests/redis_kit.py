"""Real Redis servers for tests: started, stopped, killed and configured by the test that needs one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

START_WITHIN_S = 10.0
MISSING = "redis-server is not installed"

DURABLE: Mapping[str, str] = {"appendonly": "yes", "appendfsync": "always", "save": ""}
"""What production needs, too."""


def require_redis() -> str:
    """Return the server's program; skip the test where there is none."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        pytest.skip(MISSING)
    return found


HIGHEST_PORT = 55_535
"""A cluster's nodes talk at the port 10,000 above their own, and Redis does not start where there is none."""


def free_port() -> int:
    """Return a port of loopback that is free at the moment."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port <= HIGHEST_PORT:
            return port


class RedisServer:
    """One server, its data in `directory`. It listens on a Unix socket there or, if `tcp`, on a port of loopback."""

    def __init__(self, directory: Path, *, tcp: bool = False, **config: str) -> None:
        self.directory = directory
        self.config = {**DURABLE, **{name.replace("_", "-"): value for name, value in config.items()}}
        self.socket = directory / "redis.sock"
        self.port = free_port() if tcp else 0
        self.password = config.get("requirepass")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The `STORE_URL` that reaches it."""
        credentials = f":{self.password}@" if self.password else ""
        if self.port:
            return f"redis://{credentials}127.0.0.1:{self.port}/0"
        return f"unix://{credentials}{self.socket}?db=0"

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> RedisServer:
        """Start it, with the data that it has; returns once it answers."""
        program = require_redis()
        settings = {
            "port": str(self.port), "bind": "127.0.0.1", "dir": str(self.directory), "logfile": "redis.log",
            **({} if self.port else {"unixsocket": str(self.socket)}), **self.config,
        }  # fmt: skip
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if wait:
            self.wait()
        return self

    def wait(self) -> None:
        """Return once it answers and has loaded its data."""
        give_up = time.monotonic() + START_WITHIN_S
        while True:
            try:
                self.call("PING")
            except redis.RedisError as error:
                if time.monotonic() > give_up or not self.alive:
                    log = self.directory / "redis.log"
                    told = log.read_text()[-2000:] if log.exists() else ""
                    raise AssertionError(f"redis-server did not start: {error}\n{told}") from error
                time.sleep(0.02)
            else:
                return

    def call(self, *command: Any) -> Any:
        """Run one command on a connection of its own and return the reply."""
        client = redis.Redis.from_url(self.url, socket_timeout=5)
        with contextlib.closing(client):
            return client.execute_command(*command)  # type: ignore[no-untyped-call]

    def set(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        self.call("CONFIG", "SET", name, value)

    def keys(self, pattern: str = "*") -> list[str]:
        """Every key that fits, sorted."""
        return sorted(key.decode() for key in self.call("KEYS", pattern))

    def endless(self) -> frozenset[str]:
        """Every key that does not expire."""
        found = self.keys()
        return frozenset(key for key in found if self.call("TTL", key) == -1)

    def memory(self) -> int:
        """Return the bytes that its data takes."""
        return int(self.call("INFO", "memory")["used_memory"])

    def kill(self) -> None:
        """End it at once, as if its machine had stopped."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it without ending it: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def running_redis(*, tcp: bool = False, **config: str) -> Iterator[RedisServer]:
    """Run a server with an empty directory of its own, short enough a path for a socket's name."""
    require_redis()
    with tempfile.TemporaryDirectory(prefix="quartet-redis-") as directory:
        server = RedisServer(Path(directory), tcp=tcp, **config)
        try:
            yield server.start()
        finally:
            server.kill()


class Sentinel(RedisServer):
    """A Sentinel that alone decides, within a second, that the master is gone."""

    def __init__(self, directory: Path, name: str, master: RedisServer) -> None:
        super().__init__(directory, tcp=True)
        self._lines = [
            f"port {self.port}", "bind 127.0.0.1", f"dir {directory}", "logfile redis.log",
            f"sentinel monitor {name} 127.0.0.1 {master.port} 1", f"sentinel down-after-milliseconds {name} 500",
            f"sentinel failover-timeout {name} 2000",
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *, wait: bool = True) -> RedisServer:
        path = self.directory / "sentinel.conf"
        path.write_text("\n".join(self._lines) + "\n")
        command = [require_redis(), str(path), "--sentinel"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if wait:
            self.wait()
        return self


@contextlib.contextmanager
def running_sentinel(name: str, master: RedisServer) -> Iterator[RedisServer]:
    """Run a Sentinel that watches `master` under this name."""
    with tempfile.TemporaryDirectory(prefix="quartet-sentinel-") as directory:
        sentinel = Sentinel(Path(directory), name, master)
        try:
            yield sentinel.start()
        finally:
            sentinel.kill()


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server for all tests that only need a store."""
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """Return the `STORE_URL` of the shared server, emptied."""
    shared_redis.call("FLUSHALL")
    return shared_redis.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server of the test's own, which it may stop, kill and configure."""
    with running_redis(tcp=True) as server:
        yield server
