"""A simulator, a scripted application and its webhook client, each on a free loopback port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from simulator.config import SimulatorConfig, Speed
from simulator.server import SimulatorServer
from tests.unit.simulator.bot import Bot, Webhook

FAST = Speed(ttft_s=0.0, tokens_per_s=1e6, image_s=0.0, video_s=0.0)


@pytest.fixture
def config() -> SimulatorConfig:
    """Quick and reproducible; a test module may override this."""
    return SimulatorConfig(seed=1, speed=FAST)


@pytest.fixture
async def sim(config: SimulatorConfig) -> AsyncIterator[SimulatorServer]:
    """A running simulator."""
    async with SimulatorServer(config) as server:
        yield server


@pytest.fixture
async def bot() -> AsyncIterator[Bot]:
    """An application that defers everything until told otherwise."""
    async with Bot() as scripted:
        yield scripted


@pytest.fixture
async def webhook(sim: SimulatorServer) -> AsyncIterator[Webhook]:
    """The application's side of the webhook."""
    caller = Webhook(sim)
    yield caller
    await caller.http.aclose()
