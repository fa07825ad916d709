"""The demo's switchboard: lets the playground kill an instance, keep it off, and start it again.

A small HTTP service on loopback inside the demo's own process, for the simulator alone (it is given the address and a
token). GET answers the instances' states and what `/stats` says of the latest jobs; POST takes
`{"act": "kill" | "off" | "on", "instance": k}`.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import xmlrpc.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ops.health import get_json
from ops.ports import LOOPBACK
from ops.supervisor import Supervisor
from ops.system import System

LARGEST_WISH = 4096
RUNNING = "RUNNING"


class Switchboard:
    """`with Switchboard() as board:` listens; what it operates is told later by `connect`, once it has started."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(16)
        self._system: System | None = None
        self._server = ThreadingHTTPServer((LOOPBACK, 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self._server.server_port}/"

    def connect(self, system: System) -> None:
        """Operate this system from now on."""
        self._system = system

    def __enter__(self) -> Switchboard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def state(self) -> dict[str, Any]:
        """Return `{"instances": [{"instance", "running", "state", "pid", "uptime_s"}], "jobs": [...]}`."""
        system = self._connected()
        known = Supervisor(system.socket).programs()
        instances = [
            {
                "instance": number,
                "running": known[name].state == RUNNING,
                "state": known[name].state.lower(),
                "pid": known[name].pid,
                "uptime_s": round(known[name].uptime_s, 1),
            }
            for number, name in enumerate(system.instances, start=1)
            if name in known
        ]
        stats = get_json(f"{system.ops_url}/stats") or {}
        return {"instances": instances, "jobs": stats.get("recent_jobs") or []}

    def act(self, act: object, number: object) -> None:
        """Do what a switch asks for. `ValueError` says what is wrong with the wish."""
        system = self._connected()
        if not isinstance(number, int) or not 1 <= number <= len(system.ports):
            raise ValueError(f"instance must be a number from 1 to {len(system.ports)}")
        name, supervisor = system.instances[number - 1], Supervisor(system.socket)
        if act == "kill":
            supervisor.signal(name, "KILL")
        elif act == "off":
            # Frozen first: the TERM with which supervisord stops a program must not let it tidy up before the KILL.
            supervisor.signal(name, "STOP")
            supervisor.stop(name, wait=False)
            supervisor.signal(name, "KILL")
        elif act == "on":
            supervisor.start(name)
        else:
            raise ValueError("act must be one of kill, off, on")

    def _connected(self) -> System:
        if self._system is None:
            raise OSError("the system is still starting")
        return self._system

    def answer(self, method: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        """Judge one request; return status and JSON."""
        given = str(headers.get("authorization", "")).removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return 401, {"error": "the token is missing or wrong"}
        try:
            if method == "POST":
                wish = json.loads(body)
                self.act(wish.get("act"), wish.get("instance"))
            return 200, self.state()
        except (ValueError, AttributeError) as error:
            return 400, {"error": str(error)}
        except (OSError, xmlrpc.client.Fault) as error:
            return 503, {"error": f"the supervisor does not answer: {error}"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        board = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def _serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                if length > LARGEST_WISH:
                    self.close_connection = True
                    length = 0
                status, value = board.answer(self.command, self.headers, self.rfile.read(length))
                raw = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = _serve

            def log_message(self, format: str, *arguments: object) -> None:
                """Stay silent: the demo's terminal is for its answers."""

        return Handler
