"""Hosts for tests of many machines: network namespaces with a cable each, or loopback addresses where those can't be.

Each host is a native system of its own, started by the operator's command from an env file of its own; a store's server
and the simulator stand outside of them. All of it is this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.envfile import ROOT, format_line
from ops.processes import is_alive, processes_of
from ops.shutdown import stop
from ops.system import Paths
from simulator.config import SimulatorConfig
from simulator.server import SimulatorServer
from tests.acceptance.native_kit import free_block
from tests.kit.running import key_of
from tests.redis_kit import RedisServer, running_redis

PASSWORD = "the-stores-password"


def run(*command: str) -> str:
    """Run a command of the machine; its complaint is the failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@dataclass
class Network:
    """Where hosts get addresses. `outside` is the address of what is on no host."""

    outside: str
    namespaces: bool
    prefix: str = ""
    hosts: dict[str, str] = field(default_factory=dict)  # address → namespace

    def address(self, number: int) -> str:
        """The address of host `number`, 1 or 2."""
        return f"{self.outside.rpartition('.')[0]}.{number + 1}"

    def inside(self, address: str) -> list[str]:
        """What to put before a command so that it runs on that host."""
        return ["ip", "netns", "exec", self.hosts[address]] if self.namespaces else []

    def cable(self, address: str, state: str) -> None:
        """Pull a host's cable (`down`) or put it in again (`up`)."""
        run("ip", "link", "set", f"{self.hosts[address]}r", state)


def namespaces_work() -> bool:
    """Whether this user may make network namespaces here."""
    name = f"qt{os.getpid() % 10_000}"
    if shutil.which("ip") is None:
        return False
    try:
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"{name}r", "type", "veth", "peer", "name", "eth0", "netns", name)
    except OSError:
        return False
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return True


@contextmanager
def network(*, namespaces: bool) -> Iterator[Network]:
    """Two hosts' worth of network: a switch with two namespaces on it, or loopback."""
    if not namespaces:
        yield Network("127.0.0.1", False)
        return
    number = os.getpid() % 10_000
    prefix, subnet = f"q{number}", f"10.213.{number % 250}"
    made = Network(f"{subnet}.1", True, prefix)
    try:
        run("ip", "link", "add", f"{prefix}b", "type", "bridge")
        run("ip", "addr", "add", f"{subnet}.1/24", "dev", f"{prefix}b")
        run("ip", "link", "set", f"{prefix}b", "up")
        for host in (1, 2):
            _plug_in(made, host)
        yield made
    finally:
        for name in made.hosts.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", f"{prefix}b"], capture_output=True, check=False)


def _plug_in(made: Network, host: int) -> None:
    name, address = f"{made.prefix}h{host}", made.address(host)
    run("ip", "netns", "add", name)
    made.hosts[address] = name
    run("ip", "link", "add", f"{name}r", "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", f"{name}r", "master", f"{made.prefix}b", "up")
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    run("ip", "-n", name, "link", "set", "eth0", "up")


@dataclass
class Host:
    """One host with its instances and its nginx, as its operator handles it."""

    network: Network
    address: str
    directory: Path
    port: int

    @property
    def interactions(self) -> str:
        """Where its nginx takes interactions."""
        return f"http://{self.address}:{self.port}/interactions"

    @property
    def paths(self) -> Paths:
        """Its system's files."""
        return Paths((self.directory / "data").resolve())

    def write(self, values: dict[str, str]) -> None:
        """Write its env file."""
        self.directory.mkdir(exist_ok=True)
        path = self.directory / ".env.multi"
        path.write_text("".join(format_line(name, value) + "\n" for name, value in values.items()))
        path.chmod(0o600)

    async def ops(self, *arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """Run a command of the operator's tool on it."""
        command = [*self.network.inside(self.address), sys.executable, "-m", "ops", *arguments]
        command += ["--env-file", str(self.directory / ".env.multi")]
        return await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
        )

    async def start(self) -> None:
        """Start what is to run here."""
        done = await self.ops("start", "--native")
        assert done.returncode == 0, done.stdout + done.stderr

    async def status(self) -> dict[str, dict[str, Any]]:
        """What `status --json` says of each program."""
        told = json.loads((await self.ops("status", "--json")).stdout)
        return {program["name"]: program for program in told["programs"]}

    def cut_off(self) -> None:
        """Take it out of the network: its cable is pulled, or every process of it frozen where it has none."""
        if self.network.namespaces:
            self.network.cable(self.address, "down")
        else:
            self._send(signal.SIGSTOP)

    def bring_back(self) -> None:
        """Undo `cut_off`."""
        if self.network.namespaces:
            self.network.cable(self.address, "up")
        else:
            self._send(signal.SIGCONT)

    def _send(self, sent: signal.Signals) -> None:
        for pid in processes_of(self.paths):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)

    def end(self) -> None:
        """End all of it, and make sure that nothing is left."""
        self._send(signal.SIGCONT)
        pids = processes_of(self.paths)
        stop(self.paths, lambda _: None)
        left = [pid for pid in pids if is_alive(pid)]
        assert not left, f"left running: {left}"


@dataclass
class Machines:
    """Two hosts, a simulator and a store."""

    sim: SimulatorServer
    store: RedisServer
    hosts: list[Host]


@asynccontextmanager
async def machines(
    directory: Path, config: SimulatorConfig, *, namespaces: bool, **settings: str
) -> AsyncIterator[Machines]:
    """Instances 1 and 2 on the first host, 3 and 4 on the second, an nginx on each; nothing is started yet.

    Each host's file holds its own key sets alone.
    """
    with network(namespaces=namespaces) as net:
        addresses = [net.address(1), net.address(2)]
        base = free_block(6)
        places = ",".join(f"{address}:{base + k}" for address in addresses for k in (0, 1))
        listening = " ".join(dict.fromkeys(("127.0.0.1", net.outside)))
        with running_redis(tcp=True, bind=listening, requirepass=PASSWORD) as store:
            async with SimulatorServer(config, host=net.outside) as sim:
                hosts = []
                for number, address in enumerate(addresses):
                    host = Host(net, address, directory / f"host-{number + 1}", base + 2)
                    here = (2 * number + 1, 2 * number + 2)
                    own = {f"{p.upper()}_API_KEY_{k}": key_of(p, k) for k in here for p in
                           ("openai", "stability", "minimax")}  # fmt: skip
                    host.write({
                        **own, **_shared(sim), "INSTANCE_ADDRESSES": places, "INSTANCES_HERE": ",".join(map(str, here)),
                        "STORE_URL": f"redis://:{PASSWORD}@{net.outside}:{store.port}/0",
                        "DATA_DIR": str((host.directory / "data").resolve()), "PUBLIC_HOST": address,
                        "PUBLIC_PORT": str(base + 2), "OPS_PORT": str(base + 3 + number), **settings,
                    })  # fmt: skip
                    hosts.append(host)
                try:
                    yield Machines(sim, store, hosts)
                finally:
                    for host in hosts:
                        await asyncio.to_thread(host.end)


def _shared(sim: SimulatorServer) -> dict[str, str]:
    return {
        "DISCORD_TOKEN": "simulated-bot-token", "DISCORD_APPLICATION_ID": sim.app.world.config.application_id,
        "DISCORD_PUBLIC_KEY": sim.public_key, "DISCORD_API_URL": sim.discord_url, "OPENAI_BASE_URL": sim.openai_url,
        "STABILITY_BASE_URL": sim.stability_url, "MINIMAX_BASE_URL": sim.minimax_url, "NO_PROXY": "*",
        "IMAGE_COOLDOWN_S": "0",
    }  # fmt: skip
