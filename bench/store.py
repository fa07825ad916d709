"""Acks per second of one instance whose jobs are in a Redis server that flushes always, against the SQLite file."""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from bench import environment

T = TypeVar("T")

QUARTET, REDIS = "quartet", "redis"
SIGNED_PER_SECOND = 14_000
STARTS_WITHIN_S = 20.0
JOB = "{quartet}:job:"
RESULT = "store"


def main(arguments: Sequence[str]) -> int:
    """Measure both in turn and report; 1 if the figures are worthless or the ratio is below `--at-least`."""
    wanted = _parse(arguments)
    if shutil.which("redis-server") is None:
        print("redis-server is not installed: `./deploy-multi.sh test` installs it, or apt-get install redis-server")
        return 1
    environment.ensure("bench.store", arguments)

    from bench import machine, report, saving
    from bench.contestants import CONTESTANTS, Contestant
    from bench.interactions import Signer, presigned
    from bench.measure import Plan, measure
    from bench.processes import ServerProcess

    class OnRedis(Contestant):
        """The same instance, with a server of its own beside it, which may use any core."""

        def start(self, signer: Signer, directory: Path, core: int | None) -> AbstractContextManager[ServerProcess]:
            return _with_redis(directory, super().start(signer, directory, core))

    sqlite = CONTESTANTS[QUARTET]
    on_redis = OnRedis(
        REDIS,
        sqlite.path,
        sqlite.arguments,
        lambda port, signer, directory: {**sqlite.environment(port, signer, directory), **_redis_settings(directory)},
        _recorded,
    )
    described = machine.description()
    print(machine.line(described))
    if warning := machine.busy():
        print(warning)
    signer, plan = Signer.make(), Plan(wanted.seconds, wanted.connections)
    rounds = []
    for number in range(1, wanted.rounds + 1):
        requests = presigned(signer, int(SIGNED_PER_SECOND * (plan.seconds + plan.warm_up_s)))
        rounds.append({one.name: measure(one, requests, signer, plan) for one in (sqlite, on_redis)})
        print(f"round {number} of {wanted.rounds}", file=sys.stderr, flush=True)
    faults = report.faults(rounds)
    print(*report.lines(rounds), *(f"WORTHLESS: {fault}" for fault in faults), sep="\n")
    result = {"machine": described, "options": saving.options(wanted), **report.as_json(rounds)}
    for path in saving.places(RESULT, wanted.json, save=wanted.save and not faults):
        saving.write_json(path, result)
    reached = 1 / report.ratio(rounds, REDIS).median
    print(f"{REDIS} / {QUARTET}: {reached:.2f}")
    return 1 if faults or (wanted.at_least is not None and reached < wanted.at_least) else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench store", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each of one run with either store (default 3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of a run (default 3)")
    parser.add_argument("--connections", type=int, default=64, help="keep-alive connections (default 64)")
    parser.add_argument("--at-least", type=float, help="exit 1 if the median ratio is below this")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--save", action="store_true", help="write the figures to bench/results")
    wanted = parser.parse_args(arguments)
    if not (1 <= wanted.rounds <= 100 and 0 < wanted.seconds <= 60 and 1 <= wanted.connections <= 1000):
        parser.error("expected 1 to 100 rounds of at most 60 seconds over 1 to 1,000 connections")
    return wanted


def _socket_of(directory: Path) -> Path:
    """Return where the server listens: a short path, since a socket's name may have 107 bytes."""
    return Path("/tmp") / f"quartet-{directory.name}.sock"


def _redis_settings(directory: Path) -> Mapping[str, str]:
    return {"STORE_URL": f"unix://{_socket_of(directory)}?db=0"}


@contextmanager
def _with_redis(directory: Path, inner: AbstractContextManager[T]) -> Iterator[T]:
    with _redis(directory), inner as value:
        yield value


@contextmanager
def _redis(directory: Path) -> Iterator[Path]:
    """Run a server with the data in `directory`; it ends as by a power failure."""
    place, address = directory / "redis", _socket_of(directory)
    place.mkdir(exist_ok=True)
    options = {"port": "0", "unixsocket": str(address), "dir": str(place), "appendonly": "yes", "appendfsync": "always",
               "save": "", "logfile": "redis.log"}  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    process = subprocess.Popen(["redis-server", *words])
    try:
        _wait_for(address)
        yield address
    finally:
        process.kill()
        process.wait()
        address.unlink(missing_ok=True)


def _wait_for(address: Path) -> None:
    give_up = time.monotonic() + STARTS_WITHIN_S
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(address))
                probe.sendall(b"PING\r\n")
                if probe.recv(64).startswith(b"+PONG"):
                    return
            except OSError:
                pass
        if time.monotonic() > give_up:
            raise SystemExit("redis-server did not start")
        time.sleep(0.02)


def _recorded(directory: Path) -> Collection[str]:
    """Start a new server on what the killed one left on its disk, and return the ids that it holds."""
    import redis

    with _redis(directory) as address, redis.Redis(unix_socket_path=str(address)) as client:
        return [key.decode().removeprefix(JOB) for key in client.scan_iter(match=f"{JOB}*", count=10_000)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
