"""Ends a native system completely, in whatever state it is."""

from __future__ import annotations

import shutil
import xmlrpc.client
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ops.failures import OpsError
from ops.processes import end, processes_of, wait_for, wait_gone
from ops.supervisor import DRAIN_S, STOP_WAIT_S, Supervisor
from ops.system import Paths, System, load_system, sockets_folder

Say = Callable[[str], None]


def stop(paths: Paths, say: Say) -> bool:
    """End every process of the system and clear its run directory; return whether anything ran.

    Works through the supervisor if it answers. If it does not (it was killed), the processes are found by the marker in
    their environments and ended directly. Raises `OpsError` if something survives even SIGKILL.
    """
    system = load_system(paths.run)
    supervisor = Supervisor(system.socket) if system else None
    ran = processes_of(paths)
    if system and supervisor and supervisor.answers():
        say("Draining: the instances finish or hand over what they are working on ...")
        _stop_orderly(system, supervisor)
        wait_gone(processes_of(paths), 10)
    elif ran:
        say(f"The supervisor is gone; ending the {len(ran)} processes it left ...")
        end(ran, grace=DRAIN_S + 5)
    left = processes_of(paths)
    if left:
        end(left, grace=1)
        left = processes_of(paths)
    if left:
        raise OpsError(f"These processes could not be ended: {', '.join(map(str, left))}.")
    _clear(paths, system, say=None if ran else say)
    return bool(ran)


def _stop_orderly(system: System, supervisor: Supervisor) -> None:
    """Stop nginx first, so that nothing new comes in, then all instances at once, then what they depend on."""
    with suppress(OSError, xmlrpc.client.Fault):
        supervisor.stop("nginx")
        for name in system.instances:
            supervisor.stop(name, wait=False)
        wait_for(lambda: _all_stopped(supervisor, system.instances), STOP_WAIT_S + 5, pause=0.1)
        supervisor.call("shutdown")


def _all_stopped(supervisor: Supervisor, names: list[str]) -> bool:
    programs = supervisor.programs()
    return all(programs[name].pid == 0 for name in names if name in programs)


def _clear(paths: Paths, system: System | None, say: Say | None) -> None:
    if not paths.run.exists():
        return
    if say is not None and any(paths.pids.glob("*")):
        say("Nothing ran; cleared the pid and socket files an earlier run left behind.")
    if system:
        socket = Path(system.socket)
        socket.unlink(missing_ok=True)
        if socket.parent != paths.run:
            with suppress(OSError):  # not empty: another system's socket is there too
                socket.parent.rmdir()
    if folder := sockets_folder(paths):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(paths.run)
