"""One run of one fault: its seed, its size, its stage and its verdict."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from simulator.check_secrets import leaks, leaks_in
from tests.faults.judge import Judge
from tests.faults.pressure import Pressure
from tests.faults.record import Record
from tests.faults.stage import Stage, stage

T = TypeVar("T")


@dataclass
class Trial:
    """What a fault test works with. Everything that is chance comes from `rng`."""

    number: int
    title: str
    seed: int
    full: bool
    rng: random.Random
    directory: Path
    report: Path
    store: str = "sqlite"
    record: Record = field(init=False)
    _pressure: Pressure = field(init=False, default_factory=Pressure)

    def __post_init__(self) -> None:
        self.record = Record(self.number, self.title, self.seed, "full" if self.full else "short", self.store)

    def size(self, short: T, full: T) -> T:
        """Return the figure of this run's form."""
        return full if self.full else short

    @asynccontextmanager
    async def stage(self, name: str = "stage", **more: Any) -> AsyncIterator[tuple[Stage, Judge]]:
        """Run a system; see `tests.faults.stage.stage` for what can be chosen."""
        options = more.pop("judge", {})
        async with stage(self.directory / name, self.rng, **{"store": self.store, **more}) as running:
            self._pressure = Pressure()
            yield running, Judge(running.ledger, **options)

    async def verdict(self, running: Stage, judge: Judge, *, settle_s: float = 60.0, pages: bool = True) -> None:
        """Wait for everybody's answer, then let the checker judge the ledger and search every output for secrets."""
        await judge.settled(settle_s)
        await judge.quiet()
        report = judge.checker.report()
        outputs = [running.paths.logs, running.paths.run, running.ledger, running.directory / "simulator.log"]
        report.leaks = await asyncio.to_thread(leaks, outputs, running.secrets)
        # The store holds tokens by design, until their jobs are done; it never holds a key.
        stores = sorted([*running.paths.data_dir.glob("*.db*"), *running.directory.glob("redis/**/*.aof")])
        report.leaks += await asyncio.to_thread(leaks, stores, running.secrets, tokens=False)
        if pages:
            report.leaks += leaks_in(await asyncio.to_thread(running.pages), running.secrets)
        self.record.starved = max(self.record.starved, round(self._pressure.share(), 3))
        self.record.judge(report)
        self.record.tell(running.began, running.happenings)
