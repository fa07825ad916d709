"""Where the parts of the system are, as seen from where the doctor runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ops import docker
from ops.checks import OperatorSettings
from ops.envfile import EnvFile
from ops.hosts import read_addresses
from ops.ports import LOOPBACK
from ops.scaling import FIRST_ADDRESS
from ops.status import Status, read_status
from ops.system import Paths, load_system

INSIDE = "QUARTET_INSIDE"
"""Set by docker-compose.yml for its tools service: the doctor runs beside the instances, in their network."""


DEFAULT_SUBNET = "10.203.44"
CONTAINER_PORT = 8000
REACHED_WITHIN_S = 1.0


class Kind(StrEnum):
    """What runs the system."""

    NATIVE = "native"
    CONTAINERS = "containers"
    INSIDE = "inside"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Place:
    """`proxy` and `ops` are base URLs of nginx, `instances` those of the instances that can be reached from here."""

    kind: Kind
    paths: Paths
    proxy: str = ""
    ops: str = ""
    instances: Mapping[int, str] = field(default_factory=dict)
    status: Status | None = None

    @property
    def runs(self) -> bool:
        """Whether anything of the system runs."""
        return self.kind is not Kind.STOPPED


def look_around(file: EnvFile, settings: OperatorSettings, environment: Mapping[str, str] | None = None) -> Place:
    """Find out how the system runs. Blocks: it asks the supervisor and the container engine."""
    environment = os.environ if environment is None else environment
    paths = Paths(file.data_dir)
    if environment.get(INSIDE):
        beside = addressed(read_addresses(environment.get("INSTANCE_ADDRESSES", "")))
        return Place(Kind.INSIDE, paths, "http://nginx:8080", "http://nginx:8081", beside)
    status = read_status(paths)
    system = load_system(paths.run) if status.running else None
    if system is not None:
        everywhere = addressed(system.addresses.values())
        return Place(Kind.NATIVE, paths, system.public_url, system.ops_url, everywhere, status)
    if docker.is_up(file.path):
        proxy, ops = f"http://{LOOPBACK}:{settings.public_port}", f"http://{LOOPBACK}:{settings.ops_port}"
        return Place(Kind.CONTAINERS, paths, proxy, ops, _containers(file), docker.read_status(file))
    return Place(Kind.STOPPED, paths, instances=addressed(settings.instance_addresses), status=status)


def _containers(file: EnvFile) -> dict[int, str]:
    """The instances' containers, if this machine reaches their network: with Docker Desktop it does not."""
    subnet = file.values.get("CONTAINER_SUBNET", "").strip() or DEFAULT_SUBNET
    hosts = [f"{subnet}.{FIRST_ADDRESS + number}" for number in range(1, file.instance_count + 1)]
    try:
        socket.create_connection((hosts[0], CONTAINER_PORT), timeout=REACHED_WITHIN_S).close()
    except OSError:
        return {}
    return addressed(f"{host}:{CONTAINER_PORT}" for host in hosts)


def addressed(addresses: Iterable[str]) -> dict[int, str]:
    """Return the base URL of each `host:port`, which come in the order of the instances' ids."""
    return {number: f"http://{address}" for number, address in enumerate(addresses, start=1)}
