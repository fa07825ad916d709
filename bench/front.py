"""nginx under measurement: as it is rendered for operation, or without its routing script, on chosen cores."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.processes import START_WITHIN_S, ServerFailed, ServerProcess, free_port, on_core
from ops.nginx import Nginx, render
from ops.system import Paths, make_sockets_folder, sockets_folder

SCRIPTED = "            js_content routing.interactions;\n"
PLAIN = "            proxy_pass http://any;\n            error_page 502 504 = $hand_over;\n"

TRIVIAL = """
worker_processes 1;
pid "{directory}/trivial.pid";
error_log stderr warn;
events {{
    worker_connections 2048;
}}
http {{
    access_log off;
    keepalive_requests 10000000;
    client_body_temp_path "{directory}/trivial";
    default_type application/json;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            return 200 '{{"type":5}}';
        }}
    }}
}}
"""


class NginxProcess(ServerProcess):
    """A running nginx: its work is done by the master's children."""

    def cpu_s(self) -> float:
        """Seconds of a core that its workers have used; each has one thread, of which the scheduler counts the ns."""
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in self.workers()) / 1e9

    def workers(self) -> Sequence[int]:
        """Return the process ids of its workers."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def wait_until_listening(self) -> None:
        """Wait until it accepts a connection."""
        give_up = time.monotonic() + START_WITHIN_S
        while True:
            self.check()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if time.monotonic() > give_up:
                raise ServerFailed(f"nginx did not listen within {START_WITHIN_S:.0f} s")
            time.sleep(0.02)

    def kill(self) -> None:
        """End the master by a signal that it hands on: killed, it would leave its workers behind."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def version(found: Nginx) -> str:
    """Return nginx's version."""
    told = subprocess.run([found.binary, "-v"], capture_output=True, text=True, check=True)
    return (told.stderr or told.stdout).rpartition("/")[2].strip()


@contextmanager
def front(
    found: Nginx,
    addresses: Sequence[str],
    directory: Path,
    *,
    workers: int,
    scripted: bool = True,
    sockets: Sequence[str] = (),
) -> Iterator[NginxProcess]:
    """Run nginx before the instances at `addresses`, or at their `sockets`, configured by `proxy/render.sh`.

    Without `scripted` it passes interactions on to any instance and reads no body: the same configuration but for that.
    """
    port = free_port()
    variables = {
        "INSTANCE_COUNT": str(len(addresses)),
        "INSTANCE_ADDRESSES": " ".join(addresses),
        "INSTANCE_SOCKETS": " ".join(sockets),
        "PUBLIC_LISTEN": f"127.0.0.1:{port}",
        "OPS_LISTEN": f"127.0.0.1:{free_port()}",
        "NGINX_RUN_DIR": str(directory / "nginx"),
        "NGINX_MODULE": found.module,
        "NGINX_BINARY": found.binary,
        "NGINX_WORKERS": str(workers),
    }
    conf = directory / "nginx-conf"
    render(conf, variables)
    if not scripted:
        text = (conf / "nginx.conf").read_text()
        if text.count(SCRIPTED) != 1:
            raise RuntimeError("proxy/nginx.conf no longer calls its routing script as this benchmark expects")
        (conf / "nginx.conf").write_text(text.replace(SCRIPTED, PLAIN))
    with _running(found, conf / "nginx.conf", directory / "nginx.log", port) as process:
        yield process


def socket_of(directory: Path, number: int) -> str:
    """Return the socket of an instance that runs in `directory`, where a native system has it; "" if it has none."""
    paths = Paths(directory)
    paths.run.mkdir(exist_ok=True)
    make_sockets_folder(paths)
    folder = sockets_folder(paths)
    return f"{folder}/instance-{number}.sock" if folder else ""


@contextmanager
def trivial_upstream(found: Nginx, directory: Path, core: int | None) -> Iterator[NginxProcess]:
    """Run an nginx that answers everything with a deferred response, as the cheapest instance there can be."""
    port, conf = free_port(), directory / "trivial.conf"
    conf.write_text(TRIVIAL.format(directory=directory, port=port))
    with on_core(core), _running(found, conf, directory / "trivial.log", port) as process:
        yield process


@contextmanager
def _running(found: Nginx, conf: Path, log: Path, port: int) -> Iterator[NginxProcess]:
    command = [found.binary, "-p", f"{conf.parent}/", "-c", str(conf), "-e", "stderr", "-g", "daemon off;"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=_environment())
    running = NginxProcess(process, port, log)
    try:
        yield running
    finally:
        running.kill()


def _environment() -> Mapping[str, str]:
    return {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}


@contextmanager
def on_cores(cores: Collection[int] | None) -> Iterator[None]:
    """Keep this process, and those it starts meanwhile, on some cores; None leaves all as it is."""
    before = os.sched_getaffinity(0)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
