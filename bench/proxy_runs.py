"""The runs of `bench proxy`: an instance alone, behind nginx, nginx alone, four instances; and connections counted."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.contestants import quartet_environment, recorded_jobs
from bench.front import NginxProcess, front, on_cores, socket_of, trivial_upstream
from bench.interactions import Requests, Signer, ping
from bench.load import Run, load
from bench.measure import Plan, data_directory
from bench.processes import ServerProcess, cores, free_port, on_core, server
from bench.relay import relay
from bench.report import BUSIEST_LOAD
from ops.nginx import Nginx
from ops.system import Paths, sockets_folder

DIRECT, BEHIND, PLAIN, ROUTED, FOUR = "direct", "behind nginx", "nginx, plain", "nginx, routed", "four behind nginx"
INSTANCES = 4
PATH = "/interactions"
COUNTED = 10_000
COUNTED_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One run. `instances_us` and `nginx_us` are processor time for each ack, of all instances and of nginx's workers.

    `load_s` is the load generator's own processor time, `load_shares` whether it took that from the servers' two cores.
    `lost` and `unasked` compare what was acked, warm-up included, with what is on disk; None where nothing is kept.
    """

    name: str
    acks: int
    errors: int
    first_error: str
    seconds: float
    acks_per_second: float
    p50_ms: float
    p99_ms: float
    instances_us: float
    nginx_us: float
    load_s: float
    load_shares: bool
    lost: int | None
    unasked: int | None

    @property
    def processor_us(self) -> float:
        """Processor time for each ack, of instances and nginx together."""
        return self.instances_us + self.nginx_us

    @property
    def own_rate(self) -> float:
        """Acks per second of the two cores' time that the load did not take: idle time counts, the load's does not."""
        left_s = self.seconds - (self.load_s / 2 if self.load_shares else 0.0)
        return self.acks / left_s

    def faults(self) -> Sequence[str]:
        """Return what makes the run worthless."""
        too_busy = not self.load_shares and self.instances_us and self.load_s > BUSIEST_LOAD * self.seconds
        found = {
            f"{self.errors} errors, the first: {self.first_error}": self.errors,
            "nothing was acked": not self.acks,
            f"{self.lost} acked interactions are not on disk": self.lost,
            f"{self.unasked} jobs on disk were never acked": self.unasked,
            f"the load generator used more than {BUSIEST_LOAD:.0%} of its core": too_busy,
        }
        return [f"{self.name}: {what}" for what, is_so in found.items() if is_so]


@dataclass(frozen=True, slots=True)
class Connections:
    """How many connections `acks` interactions needed: to nginx, and from nginx to the instance."""

    clients: int
    acks: int
    errors: int
    first_error: str
    at_nginx: int
    at_instance: int

    def faults(self) -> Sequence[str]:
        """Return what makes the count worthless."""
        if self.errors or self.acks != COUNTED:
            return [f"connections: {self.acks} of {COUNTED} acked, {self.errors} errors, the first: {self.first_error}"]
        return []


@dataclass(frozen=True, slots=True)
class Place:
    """Where things run: the servers' core and the load's, or None; and both cores for four instances."""

    server: int | None
    load: int | None
    pair: frozenset[int]
    load_of_four: frozenset[int]

    @property
    def shared(self) -> bool:
        """Whether the load of four instances takes its share of their cores."""
        return bool(self.pair & self.load_of_four)

    @classmethod
    def here(cls) -> Place:
        """Two cores for servers; the load of four instances has a third one if there is one, else shares the two."""
        usable = sorted(os.sched_getaffinity(0))
        pair = frozenset(usable[:2])
        return cls(*cores(), pair, frozenset(usable[2:3]) or pair)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every run needs."""

    nginx: Nginx
    signer: Signer
    plan: Plan
    place: Place

    def round(self, requests: Requests, show: Callable[[Seen], None]) -> dict[str, Seen]:
        """Run everything in turn with the same requests."""
        seen = {}
        for run in (self.direct, self.behind, self.plain, self.routed, self.four):
            one = run(requests)
            seen[one.name] = one
            show(one)
        return seen

    def direct(self, requests: Requests) -> Seen:
        """One instance alone on its core."""
        with _directory() as directory, self._instance(directory, 1, 1, self.place.server) as instance:
            return self._loaded(DIRECT, requests, directory, [instance], [])

    def behind(self, requests: Requests) -> Seen:
        """One instance and nginx with one worker, both on the same core."""
        with (
            _directory() as directory,
            self._instance(directory, 1, 1, self.place.server) as instance,
            on_core(self.place.server),
            front(self.nginx, [_address(instance)], directory, workers=1, sockets=[socket_of(directory, 1)]) as nginx,
        ):
            return self._loaded(BEHIND, requests, directory, [instance], [nginx])

    def plain(self, requests: Requests) -> Seen:
        """nginx without its script on the core, before an upstream that is beside the load and does nothing."""
        return self._nginx_alone(PLAIN, requests, scripted=False)

    def routed(self, requests: Requests) -> Seen:
        """The same with the script."""
        return self._nginx_alone(ROUTED, requests, scripted=True)

    def four(self, requests: Requests) -> Seen:
        """Four instances with one file, each loaded like one alone, and nginx with two workers, free on two cores."""
        with ExitStack() as stack:
            directory = stack.enter_context(_directory())
            with on_cores(self.place.pair):
                numbers = range(1, INSTANCES + 1)
                instances = [
                    stack.enter_context(self._instance(directory, k, INSTANCES, core=None, ready=False))
                    for k in numbers
                ]
                for instance in instances:
                    instance.wait_until_answering(ping(self.signer, PATH))
                addresses = [_address(instance) for instance in instances]
                sockets = [socket_of(directory, k) for k in numbers]
                nginx = stack.enter_context(front(self.nginx, addresses, directory, workers=2, sockets=sockets))
            return self._loaded(FOUR, requests, directory, instances, [nginx], self.place.load_of_four)

    def connections(self, requests: Requests) -> Connections:
        """Send COUNTED interactions through counting relays before nginx and before the instance."""
        between = free_port()
        with (
            _directory() as directory,
            self._instance(directory, 1, 1, self.place.server) as instance,
            front(self.nginx, [f"127.0.0.1:{between}"], directory, workers=2) as nginx,
        ):
            nginx.wait_until_listening()
            return uvloop.run(self._count(requests.to(PATH), nginx, between, instance))

    async def _count(
        self, raw: Sequence[bytes], nginx: NginxProcess, between: int, instance: ServerProcess
    ) -> Connections:
        before = free_port()
        clients = self.plan.connections
        async with relay(before, nginx.port) as first, relay(between, instance.port) as second:
            numbers = iter(range(COUNTED))
            run = await load(before, raw, numbers, connections=clients, seconds=COUNTED_WITHIN_S)
        return Connections(clients, len(run.acked), run.errors, run.first_error, first.opened, second.opened)

    def _nginx_alone(self, name: str, requests: Requests, *, scripted: bool) -> Seen:
        with (
            _directory() as directory,
            trivial_upstream(self.nginx, directory, self.place.load) as upstream,
            on_core(self.place.server),
            front(self.nginx, [_address(upstream)], directory, workers=1, scripted=scripted) as nginx,
        ):
            return self._loaded(name, requests, None, [], [nginx])

    @contextmanager
    def _instance(
        self, directory: Path, number: int, count: int, core: int | None, *, ready: bool = True
    ) -> Iterator[ServerProcess]:
        port = free_port()
        logs = directory / f"instance-{number}"
        logs.mkdir()
        environment = {
            **quartet_environment(port, self.signer, directory),
            "INSTANCE_ID": str(number),
            "INSTANCE_COUNT": str(count),
            "UNIX_SOCKET": socket_of(directory, number),
        }
        with server(["-m", "app"], port=port, directory=logs, environment=environment, core=core) as process:
            if ready:
                process.wait_until_answering(ping(self.signer, PATH))
            yield process

    def _loaded(
        self,
        name: str,
        requests: Requests,
        directory: Path | None,
        instances: Sequence[ServerProcess],
        nginx: Sequence[NginxProcess],
        load_cores: frozenset[int] | None = None,
    ) -> Seen:
        """Warm up, load, kill, and compare with the disk."""
        entrance = (nginx or instances)[0]
        entrance.wait_until_answering(ping(self.signer, PATH))
        for process in (*instances, *nginx):
            process.wait_until_quiet()
        alone = None if self.place.load is None else {self.place.load}
        with on_cores(load_cores or alone):
            warm_up, run, used = uvloop.run(self._run(entrance, requests, [instances, nginx]))
        for process in (*instances, *nginx):
            process.check()
        for instance in instances:
            instance.kill()
        acked = {requests.ids[number] for number in itertools.chain(warm_up.acked, run.acked)}
        kept = None if directory is None else set(recorded_jobs(directory))
        each = 1e6 / max(1, len(run.acked))
        return Seen(
            name=name,
            acks=len(run.acked),
            errors=warm_up.errors + run.errors,
            first_error=warm_up.first_error or run.first_error,
            seconds=run.elapsed_s,
            acks_per_second=run.per_second,
            p50_ms=run.latency_ms(0.5),
            p99_ms=run.latency_ms(0.99),
            instances_us=each * used[0],
            nginx_us=each * used[1],
            load_s=run.cpu_s,
            load_shares=load_cores is not None and self.place.shared,
            lost=None if kept is None else len(acked - kept),
            unasked=None if kept is None else len(kept - acked),
        )

    async def _run(
        self, entrance: ServerProcess, requests: Requests, groups: Sequence[Sequence[ServerProcess]]
    ) -> tuple[Run, Run, list[float]]:
        raw, plan, every = requests.to(PATH), self.plan, range(len(requests.ids))
        numbers = iter(every) if groups[0] else itertools.cycle(every)  # only an instance minds what it has seen before
        clients = plan.connections * max(1, len(groups[0]))
        warm_up = await load(entrance.port, raw, numbers, connections=clients, seconds=plan.warm_up_s)
        before = [sum(process.cpu_s() for process in group) for group in groups]
        run = await load(entrance.port, raw, numbers, connections=clients, seconds=plan.seconds)
        after = [sum(process.cpu_s() for process in group) for group in groups]
        return warm_up, run, [late - early for early, late in zip(before, after, strict=True)]


@contextmanager
def _directory() -> Iterator[Path]:
    """A directory for a run's data, and whatever sockets belong to it."""
    with data_directory() as directory:
        try:
            yield directory
        finally:
            if folder := sockets_folder(Paths(directory)):
                shutil.rmtree(folder, ignore_errors=True)


def _address(process: ServerProcess) -> str:
    return f"127.0.0.1:{process.port}"
