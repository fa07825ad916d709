"""Looks at processes through /proc: who belongs to a system, who holds a port, who is still there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ops.system import MARKER, Paths

PROC = Path("/proc")
_LISTENING = "0A"


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return _stat(pid)[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the name before it may itself hold blanks and brackets."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _group(pid: int) -> int:
    return int(_stat(pid)[2])


def command_of(pid: int) -> str:
    """The command line, for the operator to recognise a process by; empty if it is gone."""
    with suppress(OSError):
        raw = (PROC / str(pid) / "cmdline").read_bytes()
        return raw.replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in PROC.glob("[0-9]*")]  # none where there is no /proc


def processes_of(paths: Paths) -> list[int]:
    """Return the pids of everything alive that belongs to this system, whoever started it.

    Every process carries the marker in its environment. nginx writes its title over that memory, so it is known by the
    pid written down at its start, and its workers by that process group.
    """
    mark = os.fsencode(f"{MARKER}={paths.run}")
    nginx = _recorded(paths, "nginx")
    found = []
    for pid in _all_pids():
        with suppress(OSError, IndexError, ValueError):
            environment = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
            ours = mark in environment or (_group(pid) == nginx and command_of(pid).startswith("nginx:"))
            if ours and pid != os.getpid() and is_alive(pid):
                found.append(pid)
    return found


def _recorded(paths: Paths, program: str) -> int:
    try:
        return int((paths.pids / program).read_text())
    except (OSError, ValueError):
        return -1


def wait_gone(pids: Iterable[int], timeout: float) -> list[int]:
    """Wait until all are gone; return those that still live after `timeout` seconds."""
    left = list(pids)
    wait_for(lambda: not [pid for pid in left if is_alive(pid)], timeout)
    return [pid for pid in left if is_alive(pid)]


def wait_for(condition: Callable[[], bool], timeout: float, pause: float = 0.05) -> bool:
    """Look every `pause` seconds until the condition holds; return whether it came to hold within `timeout`."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def end(pids: Iterable[int], grace: float) -> None:
    """Ask the processes to end, and kill what is left after `grace` seconds."""
    pids = list(pids)
    send(pids, signal.SIGTERM)
    left = wait_gone(pids, grace)
    send(left, signal.SIGKILL)
    wait_gone(left, 5)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def holder_of(port: int) -> str:
    """Say who listens on a TCP port, as far as this user may know: `pid 17 (nginx: master…)`, or an empty string."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for pid in _all_pids() if inodes else []:
        with suppress(OSError):
            if any(str(entry.readlink()) in inodes for entry in (PROC / str(pid) / "fd").iterdir()):
                return f"pid {pid} ({command_of(pid)[:80]})"
    return ""
