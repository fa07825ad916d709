"""Chooses and checks the TCP ports a native system listens on."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from ops.failures import OpsError
from ops.launch import DEFAULT_BASE_PORT
from ops.processes import holder_of

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether this process could listen there now; a connection that still lingers in TIME_WAIT does not count."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
            # Linux lets two sockets bind with SO_REUSEADDR as long as neither listens.
            probe.listen(1)
        except OSError:
            return False
    return True


def is_own(host: str) -> bool:
    """Whether a host (a name or an address) is this machine."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
    except OSError:
        return False
    return True


def require_free(variable: str, port: int, host: str = LOOPBACK) -> None:
    """Raise an `OpsError` that names the variable, the port and, where it may be known, who holds it."""
    if is_free(port, host):
        return
    holder = holder_of(port)
    reason = f"is taken by {holder}" if holder else "is taken by another program, or not allowed for this user"
    raise OpsError(f"{variable}: port {port} on {host} {reason}.", hint=f"Stop that program, or set {variable}.")


def instance_ports(base: int, count: int, avoid: Iterable[int]) -> tuple[list[int], str]:
    """Return the instances' ports and, if it was not the usual block, a sentence about that.

    `base` 0 leaves the choice to us: the first block of `count` free ports from 8101 on, in steps of a hundred.
    """
    avoid = set(avoid)
    if base:
        for port in range(base, base + count):
            require_free("INSTANCE_BASE_PORT", port)
        return list(range(base, base + count)), ""
    for start in range(DEFAULT_BASE_PORT, 65000, 100):
        block = list(range(start, start + count))
        if not avoid & set(block) and all(is_free(port) for port in block):
            said = f"Ports {DEFAULT_BASE_PORT} and up are taken, so the instances listen on {block[0]}-{block[-1]}."
            return block, "" if start == DEFAULT_BASE_PORT else said
    raise OpsError("INSTANCE_BASE_PORT: no free block of ports was found.")


def free_port(preferred: int, avoid: Iterable[int] = ()) -> int:
    """Return the preferred port if it is free, or one the system picks."""
    avoid = set(avoid)
    if preferred not in avoid and is_free(preferred):
        return preferred
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in avoid:
            return port
