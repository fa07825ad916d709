"""supervisord as our process keeper: its configuration, its start, and its XML-RPC interface over a unix socket.

http://supervisord.org/configuration.html, http://supervisord.org/api.html
"""

from __future__ import annotations

import http.client
import os
import shlex
import socket
import subprocess
import sys
import xmlrpc.client
from dataclasses import dataclass
from typing import Any

from ops.checks import OPERATOR_VARIABLES
from ops.envfile import ROOT, is_key
from ops.failures import OpsError
from ops.processes import wait_for
from ops.system import MARKER, Paths, System

DRAIN_S = 30  # an instance told to stop finishes what it can in this time
STOP_WAIT_S = DRAIN_S + 10
NOT_FOUND = 10  # XML-RPC fault BAD_NAME
NOT_RUNNING = 70  # XML-RPC fault NOT_RUNNING
ALREADY_STARTED = 60  # XML-RPC fault ALREADY_STARTED

# The file holds no path: a blank and `;` or `#` would begin a comment in it, and `%` an expansion. What differs from
# system to system comes as %(here)s and %(ENV_…)s, which are filled in after the file has been parsed.
_HEAD = """\
; Written by Quartet at every start; changes made here are lost.
[supervisord]
logfile=%(here)s/../logs/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile=%(here)s/supervisord.pid
childlogdir=%(here)s
silent=true
strip_ansi=false
minfds=1024
{user}
[unix_http_server]
file=%(ENV_QUARTET_SOCKET)s
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

# startsecs=0: however often and soon a program is killed, it is started again at once, without back-off or giving up.
_PROGRAM = """
[program:{name}]
command=%(ENV_QUARTET_PYTHON)s -m ops supervised {name}
autostart={autostart}
autorestart=true
startsecs=0
stopsignal={signal}
stopwaitsecs={wait}
stopasgroup=false
killasgroup=true
priority={priority}
redirect_stderr=true
stdout_logfile=%(here)s/../logs/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


def configuration(system: System) -> str:
    """Return supervisord's configuration for the system."""
    parts = [_HEAD.format(user="user=root\n" if os.geteuid() == 0 else "")]
    for name in system.programs:
        # nginx leaves with QUIT after its present requests; an open dashboard stream must not hold it for long.
        signal, wait = ("QUIT", 5) if name == "nginx" else ("TERM", STOP_WAIT_S)
        autostart = "false" if name == "nginx" else "true"  # it is started once there is somebody to send to
        priority = {"simulator": 100, "nginx": 900}.get(name, 500)
        parts.append(_PROGRAM.format(name=name, autostart=autostart, signal=signal, wait=wait, priority=priority))
    return "".join(parts)


@dataclass(frozen=True)
class Program:
    """What supervisord knows of a program."""

    name: str
    state: str  # RUNNING, STOPPED, EXITED, …
    pid: int
    uptime_s: float


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=self._timeout)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(self._timeout)
        try:
            connection.sock.connect(self._path)
        except OSError:
            connection.sock.close()
            raise
        self._connection = host, connection
        return connection


class Supervisor:
    """The running supervisord of a system."""

    def __init__(self, socket_path: str) -> None:
        self._socket = socket_path

    def call(self, method: str, *arguments: object, timeout: float = STOP_WAIT_S + 20) -> Any:
        """Call `supervisor.METHOD`. Raises `OSError` if nobody listens and `xmlrpc.client.Fault` if it refuses."""
        transport = _UnixTransport(self._socket, timeout)
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport, allow_none=True)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise ConnectionError(str(error)) from error
        finally:
            transport.close()

    def answers(self) -> bool:
        """Whether supervisord runs and takes calls."""
        try:
            return bool(self.call("getState", timeout=5))
        except OSError:
            return False

    def programs(self) -> dict[str, Program]:
        """Every program by name."""
        return {
            info["name"]: Program(
                info["name"], info["statename"], info["pid"], info["now"] - info["start"] if info["pid"] else 0.0
            )
            for info in self.call("getAllProcessInfo")
        }

    def stop(self, name: str, *, wait: bool = True) -> None:
        """Stop a program; one that does not run is fine."""
        self._tolerating(NOT_RUNNING, "stopProcess", name, wait)

    def start(self, name: str) -> None:
        """Start a program; one that runs already is fine."""
        self._tolerating(ALREADY_STARTED, "startProcess", name, False)

    def signal(self, name: str, signal_name: str) -> None:
        """Send a signal to a program; one that does not run is fine."""
        self._tolerating(NOT_RUNNING, "signalProcess", name, signal_name)

    def _tolerating(self, code: int, method: str, *arguments: object) -> None:
        try:
            self.call(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != code:
                raise

    def reread(self) -> tuple[list[str], list[str]]:
        """Read the configuration file again: return the programs that were added (not started yet) and removed."""
        ((added, _changed, removed),) = self.call("reloadConfig")
        for name in added:
            self.call("addProcessGroup", name)
        return list(added), list(removed)

    def remove(self, name: str) -> None:
        """Stop a program and forget it."""
        self.stop(name)
        self.call("removeProcessGroup", name)


def operators_environment() -> dict[str, str]:
    """Our environment without any variable of Quartet's: a running system is told by its file alone."""
    return {name: value for name, value in os.environ.items() if name not in OPERATOR_VARIABLES and not is_key(name)}


def start_supervisor(system: System, paths: Paths) -> Supervisor:
    """Start supervisord, apart from this terminal, and return when it takes calls."""
    path = paths.run / "supervisord.conf"
    path.write_text(configuration(system))
    environment = {
        **operators_environment(),
        MARKER: str(paths.run),
        "QUARTET_PYTHON": shlex.quote(sys.executable),
        "QUARTET_SOCKET": system.socket,
        "PYTHONUNBUFFERED": "1",
    }
    errors = paths.log("supervisord-errors")
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.supervisord", str(path)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
    supervisor = Supervisor(system.socket)
    wait_for(lambda: supervisor.answers() or process.poll() is not None, 20)
    if process.poll() is not None or not supervisor.answers():
        process.kill()
        process.wait()
        raise OpsError(f"supervisord did not start:\n  {errors.read_text().strip()[-2000:]}")
    return supervisor
