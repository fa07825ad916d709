"""How much processor time processes and the whole machine have used (Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Used:
    """Between two moments: cores that some processes used, and the share of all cores that anybody used."""

    cores: float
    machine_busy: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds up to one moment."""

    at: float
    by_process: Mapping[int, float]
    machine_busy_s: float
    machine_total_s: float

    @classmethod
    def of(cls, pids: Iterable[int]) -> Usage:
        """Read the counters of these processes, as far as they live, and of the machine."""
        used = {}
        for pid in pids:
            with suppress(OSError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
                used[pid] = (int(fields[11]) + int(fields[12])) / _TICK
        user, nice, system, idle, wait, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
        busy = user + nice + system + sum(rest)
        return cls(time.monotonic(), used, busy / _TICK, (busy + idle + wait) / _TICK)

    def since(self, earlier: Usage) -> Used:
        """Return what was used in between; a process that began meanwhile counts from its start."""
        seconds = sum(used - earlier.by_process.get(pid, 0.0) for pid, used in self.by_process.items())
        total = self.machine_total_s - earlier.machine_total_s
        return Used(
            cores=seconds / max(1e-9, self.at - earlier.at),
            machine_busy=min(1.0, (self.machine_busy_s - earlier.machine_busy_s) / max(1e-9, total)),
        )
