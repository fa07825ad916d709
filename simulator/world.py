"""What all parts of one simulator share."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

from simulator.config import SimulatorConfig, Speed
from simulator.faults import FaultBook
from simulator.keys import KeyRing
from simulator.ledger import Ledger


class World:
    """Configuration, ledger, faults, keys and the one source of chance."""

    def __init__(self, config: SimulatorConfig, ledger_path: Path | None = None) -> None:
        self.config = config
        self.seed = config.seed if config.seed is not None else random.SystemRandom().randrange(2**32)
        self.rng = random.Random(self.seed)
        self.ledger = Ledger(ledger_path)
        self.ledger.add(
            "start", seed=self.seed, ack_limit_s=config.ack_limit_s, token_lifetime_s=config.token_lifetime_s
        )
        self.faults = FaultBook(random.Random(self.seed + 1))
        self.keys = KeyRing(config, self.ledger)
        self.closing = asyncio.Event()
        for fault in config.faults:
            self.faults.add(fault)

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the simulator lives."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self.closing.wait()

    def spread(self, seconds: float, speed: Speed) -> float:
        """Return `seconds` with the speed's random spread."""
        return seconds * self.rng.uniform(1 - speed.spread, 1 + speed.spread)
