"""What `status` tells about a native system, and the tables it and `start` print."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from ops.health import verdicts
from ops.native import health_urls, starts_of
from ops.processes import processes_of
from ops.supervisor import Supervisor
from ops.system import Paths, System, load_system

ELSEWHERE = "ELSEWHERE"


@dataclass(frozen=True)
class ProgramStatus:
    """One program as the operator sees it."""

    name: str
    state: str
    pid: int
    uptime_s: float
    restarts: int
    address: str
    health: str
    here: bool = True  # else another host runs it, and only its health can be known

    @property
    def well(self) -> bool:
        """Whether nothing is wrong with it."""
        return (self.state == "RUNNING" or not self.here) and self.health in ("healthy", "")


@dataclass(frozen=True)
class Status:
    """The whole system. `problem` is a sentence where there is more to say than the programs tell."""

    running: bool
    programs: list[ProgramStatus]
    urls: dict[str, str]
    problem: str = ""

    @property
    def healthy(self) -> bool:
        """Whether everything of this host runs and is well."""
        return self.running and not self.problem and all(program.well for program in self.programs if program.here)

    def to_json(self) -> dict[str, Any]:
        """The shape of `status --json`."""
        return {"healthy": self.healthy, **asdict(self)}


def read_status(paths: Paths) -> Status:
    """Look at everything now."""
    system = load_system(paths.run)
    if system is None or not Supervisor(system.socket).answers():
        left = len(processes_of(paths))
        if not left:
            return Status(False, [], {})
        return Status(False, [], {}, f"The supervisor is gone; {left} processes go on unwatched. Run start or stop.")
    known = Supervisor(system.socket).programs()
    elsewhere = [name for name in system.addresses if name not in system.instances]
    urls = health_urls(system) | {name: f"http://{system.addresses[name]}/health" for name in elsewhere}
    health = dict(zip(urls, verdicts(list(urls.values())), strict=True))
    programs = []
    for name in system.programs:
        program = known.get(name)
        programs.append(
            ProgramStatus(
                name=name,
                state=program.state if program else "UNKNOWN",
                pid=program.pid if program else 0,
                uptime_s=round(program.uptime_s, 1) if program else 0.0,
                restarts=max(0, starts_of(paths, name) - 1),
                address=_address(system, name),
                health=health.get(name, ""),
            )
        )
    programs += [_elsewhere(name, system.addresses[name], health[name]) for name in elsewhere]
    return Status(True, programs, addresses(system))


def _elsewhere(name: str, address: str, health: str) -> ProgramStatus:
    """An instance that another host runs."""
    return ProgramStatus(name, ELSEWHERE, 0, 0.0, 0, address, health, here=False)


def _address(system: System, name: str) -> str:
    return system.public if name == "nginx" else system.addresses.get(name, "")


def addresses(system: System) -> dict[str, str]:
    """The URLs an operator needs."""
    return {"interactions": f"{system.public_url}/interactions", "dashboard": f"{system.ops_url}/dashboard"}


def table_of(status: Status) -> Table:
    """The programs as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("program", "state", "pid", "uptime", "restarts", "address", "health"):
        table.add_column(heading, justify="right" if heading in ("pid", "uptime", "restarts") else "left")
    for program in status.programs:
        table.add_row(
            program.name,
            program.state.lower(),
            str(program.pid or "-"),
            duration(program.uptime_s),
            str(program.restarts),
            program.address,
            program.health,
            style="" if program.well else "red",
        )
    return table


def duration(seconds: float) -> str:
    """Seconds as an operator reads them: `42s`, `7m03s`, `5h12m`, `3d04h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"
