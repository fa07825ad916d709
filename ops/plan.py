"""Decides where the programs of a native system listen, and what of it may change while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ops.checks import OperatorSettings
from ops.envfile import EnvFile
from ops.failures import Exit, OpsError
from ops.hosts import host_of, port_of
from ops.ingress import tls_address
from ops.nginx import Nginx
from ops.ports import LOOPBACK, instance_ports, is_own, require_free
from ops.shutdown import Say
from ops.system import Paths, System, program_of, socket_path


def plan(file: EnvFile, settings: OperatorSettings, nginx: Nginx, paths: Paths, say: Say) -> System:
    """Return the system that the file asks for; raises `OpsError` where a port of it can't be had."""
    require_free("PUBLIC_PORT", settings.public_port, settings.public_host)
    require_free("OPS_PORT", settings.ops_port)
    if settings.tls:
        require_free("TLS_PORT", settings.tls_port, settings.public_host)
    hosts, ports = _places(settings, say)
    return System(
        env_file=str(file.path.resolve()),
        data_dir=str(paths.data_dir),
        public=f"{settings.public_host}:{settings.public_port}",
        ops=f"{LOOPBACK}:{settings.ops_port}",
        tls=tls_address(settings),
        ports=ports,
        socket=str(socket_path(paths)),
        nginx=_nginx_command(nginx, paths),
        hosts=hosts,
        here=None if settings.instances_here is None else list(settings.instances_here),
    )


def _places(settings: OperatorSettings, say: Say) -> tuple[list[str], list[int]]:
    """Return where the instances listen: hosts (none on a single host) and ports, in the order of their ids."""
    addresses = settings.instance_addresses
    if not addresses:
        taken = (settings.public_port, settings.ops_port)
        ports, remark = instance_ports(settings.instance_base_port, settings.instance_count, taken)
        if remark:
            say(remark)
        return [], ports
    for number in settings.here:
        _require_own(program_of(number), addresses[number - 1], "INSTANCE_ADDRESSES")
    return _split(addresses)


def _split(addresses: Sequence[str]) -> tuple[list[str], list[int]]:
    """Hosts (an IPv6 one in brackets) and ports."""
    return [address.rpartition(":")[0] for address in addresses], [port_of(address) for address in addresses]


def _require_own(name: str, address: str, variable: str) -> None:
    """Raise an `OpsError` unless an instance of this host can listen at its address."""
    host = host_of(address)
    if not is_own(host):
        raise OpsError(
            f"{variable}: {host} is not an address of this machine, but {name} is to run here.",
            hint="Name in INSTANCES_HERE only the instances whose addresses are this machine's.",
            code=Exit.CONFIGURATION,
        )
    require_free(variable, port_of(address), host)


def _nginx_command(nginx: Nginx, paths: Paths) -> list[str]:
    prefix, file = paths.run / "nginx-run", paths.run / "nginx" / "nginx.conf"
    return [nginx.binary, "-p", f"{prefix}/", "-c", str(file), "-e", "stderr", "-g", "daemon off;"]


def replan(file: EnvFile, settings: OperatorSettings, old: System, nginx: Nginx, paths: Paths) -> System:
    """Keep the ports that are in use; check only those that are new."""
    public = f"{settings.public_host}:{settings.public_port}"
    ops = f"{LOOPBACK}:{settings.ops_port}"
    host, _, port = old.public.rpartition(":")
    if settings.instance_base_port not in (0, old.ports[0]) or settings.public_host != host:
        raise _unchangeable("INSTANCE_BASE_PORT and PUBLIC_HOST")
    if bool(settings.instance_addresses) != bool(old.hosts):
        raise _unchangeable("Whether there are INSTANCE_ADDRESSES")
    if settings.public_port != int(port):
        require_free("PUBLIC_PORT", settings.public_port, settings.public_host)
    if ops != old.ops:
        require_free("OPS_PORT", settings.ops_port)
    if settings.tls and tls_address(settings) != old.tls:
        require_free("TLS_PORT", settings.tls_port, settings.public_host)
    hosts, ports = _places_again(settings, old)
    system = replace(
        old,
        env_file=str(file.path.resolve()),
        public=public,
        ops=ops,
        tls=tls_address(settings),
        nginx=_nginx_command(nginx, paths),
        here=None if settings.instances_here is None else list(settings.instances_here),
        hosts=hosts,
        ports=ports,
    )
    for name in system.instances:
        before, after = old.addresses.get(name), system.addresses[name]
        if name in old.instances and before != after:
            raise _unchangeable(f"The address of {name}")
        if name not in old.instances:
            _require_own(name, after, "INSTANCE_ADDRESSES" if system.hosts else "INSTANCE_COUNT")
    return system


def _places_again(settings: OperatorSettings, old: System) -> tuple[list[str], list[int]]:
    """The places of all instances with the file as it is now."""
    if not settings.instance_addresses:
        return [], list(range(old.ports[0], old.ports[0] + settings.instance_count))
    return _split(settings.instance_addresses)


def _unchangeable(what: str) -> OpsError:
    return OpsError(f"{what} can't be changed while the system runs.", hint="Run stop, then start.")
