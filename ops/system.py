"""One native system on this machine: where its files lie, and what is written down about it while it runs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

MARKER = "QUARTET_RUN_DIR"  # in the environment of every process of a system: says which system it belongs to
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")  # what nginx takes for a path without quotes
SOCKET_LIMIT = 90  # sockaddr_un holds 108 bytes, and supervisord binds to the path with its pid added


@dataclass(frozen=True)
class Paths:
    """The files of a system, all below its DATA_DIR."""

    data_dir: Path

    @property
    def run(self) -> Path:
        """Everything that lasts only while the system runs; only its user may enter."""
        return self.data_dir / "run"

    @property
    def logs(self) -> Path:
        """One rotated log for each program."""
        return self.data_dir / "logs"

    @property
    def record(self) -> Path:
        """The `System` as JSON."""
        return self.run / "system.json"

    @property
    def pids(self) -> Path:
        """One file for each program: the pid of its present process."""
        return self.run / "pids"

    @property
    def starts(self) -> Path:
        """One file for each program: how often it was started."""
        return self.run / "starts"

    @property
    def simulated_key(self) -> Path:
        """What a demo's simulated Discord signs with, for the doctor: 64 hexadecimal digits."""
        return self.data_dir / "simulated-signing-key"

    def log(self, program: str) -> Path:
        """The log of one program."""
        return self.logs / f"{program}.log"

    def make(self) -> None:
        """Make the directories; what is run or logged is nobody else's business."""
        for path in (self.run, self.logs, self.pids, self.starts, self.run / "nginx", self.run / "nginx-run"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)


def program_of(number: int) -> str:
    """The program name of an instance."""
    return f"instance-{number}"


@dataclass
class System:
    """What the processes of a running system, and later commands, have to know. It holds no key."""

    env_file: str
    data_dir: str
    public: str  # host:port
    ops: str  # host:port
    ports: list[int]  # of all instances, in the order of their ids
    socket: str
    nginx: list[str]  # the command
    simulator: list[str] = field(default_factory=list)  # the command, in a demo
    simulator_url: str = ""
    hosts: list[str] = field(default_factory=list)  # of all instances, if several hosts share them; else loopback
    here: list[int] | None = None  # the instances this host runs; None: all of them
    tls: str = ""  # host:port of HTTPS, if nginx serves it

    @property
    def addresses(self) -> dict[str, str]:
        """Every instance's `host:port` by its program name, in the order of their ids, wherever it runs."""
        hosts = self.hosts or ["127.0.0.1"] * len(self.ports)
        pairs = enumerate(zip(hosts, self.ports, strict=True), start=1)
        return {program_of(number): f"{host}:{port}" for number, (host, port) in pairs}

    @property
    def instances(self) -> list[str]:
        """The program names of the instances that run here, in order."""
        everywhere = list(self.addresses)
        return everywhere if self.here is None else [everywhere[number - 1] for number in self.here]

    def socket_of(self, name: str) -> str:
        """The socket of an instance that runs here, which nginx takes rather than its port; nothing if it has none.

        There are some if the folder was made at the start.
        """
        folder = sockets_folder(Paths(Path(self.data_dir)))
        return str(folder / f"{name}.sock") if folder and folder.is_dir() and name in self.instances else ""

    @property
    def programs(self) -> list[str]:
        """Every program the supervisor runs."""
        return [*(["simulator"] if self.simulator else []), *self.instances, "nginx"]

    @property
    def public_url(self) -> str:
        """Where this machine itself reaches the public port."""
        host, _, port = self.public.rpartition(":")
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
        return f"http://{host}:{port}"

    @property
    def ops_url(self) -> str:
        """The operator's pages."""
        return f"http://{self.ops}"

    def save(self) -> None:
        """Write the record so that a reader sees the old one or the new one."""
        path = Paths(Path(self.data_dir)).record
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=1))
        fresh.replace(path)


def load_system(run_dir: Path) -> System | None:
    """Return the record of the system below `run_dir`, if one is written down there."""
    try:
        return System(**json.loads((run_dir / "system.json").read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None


def socket_path(paths: Paths) -> Path:
    """Return a path for the supervisor's socket: in the run directory, or a short one if that is too long for a socket.

    A path containing `%`, which supervisor would expand, also moves to the short place.
    """
    path = paths.run / "supervisor.sock"
    if len(os.fsencode(path)) <= SOCKET_LIMIT:
        return path
    name = hashlib.sha256(os.fsencode(paths.run)).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = Path(runtime if runtime and os.access(runtime, os.W_OK) and len(runtime) < 50 else tempfile.gettempdir())
    parent = parent if len(os.fsencode(parent)) < 50 else Path("/tmp")  # noqa: S108 - the directory below is checked
    directory = parent / f"quartet-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{directory} belongs to somebody else or is open to others")
    return directory / f"{name}.sock"


def sockets_folder(paths: Paths) -> Path | None:
    """Where the instances' sockets lie; None where there can be none. Without them nginx takes the ports.

    As root nginx's workers are another user, who can't enter the run directory; then it is below /run, which only root
    may write to.
    """
    folder = paths.run / "sockets"
    if os.getuid() == 0:
        folder = Path("/run") / f"quartet-{hashlib.sha256(os.fsencode(paths.run)).hexdigest()[:16]}"
    return folder if _PLAIN.fullmatch(str(folder)) and len(str(folder)) <= SOCKET_LIMIT else None


def make_sockets_folder(paths: Paths) -> None:
    """Make the folder, if there can be one. It is as open as the instances' ports are."""
    folder = sockets_folder(paths)
    if folder is not None:
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o711)


@contextmanager
def only_one(paths: Paths) -> Iterator[None]:
    """Let one start, stop or restart work on a system at a time; a second one waits."""
    paths.data_dir.mkdir(parents=True, exist_ok=True)
    with (paths.data_dir / ".ops.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
