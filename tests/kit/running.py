"""Runs real instances on real sockets inside a test's event loop, against a simulator."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from app.__main__ import Server
from app.clock import Clock
from app.main import Instance
from app.settings import InstanceSettings
from simulator.config import Key, SimulatorConfig
from simulator.server import SimulatorServer

PROVIDERS = ("openai", "stability", "minimax")


def key_of(provider: str, instance: int) -> str:
    """Return an instance's simulated key."""
    return f"sk-simulated-{provider}-{instance}"


def simulator_config(instances: int = 4, **fields: Any) -> SimulatorConfig:
    """Return a configuration whose keys are labelled `set-1`, `set-2`, … for every provider."""
    keys = tuple(
        Key(provider, key_of(provider, instance), label=f"set-{instance}")
        for provider in PROVIDERS
        for instance in range(1, instances + 1)
    )
    return SimulatorConfig(**{"seed": 7, "keys": keys, "image_px": 32, **fields})


def settings_for(sim: SimulatorServer, data_dir: Path, instance: int, **fields: Any) -> InstanceSettings:
    """Return settings of an instance that talks to the simulator."""
    values: dict[str, Any] = {
        "discord_application_id": sim.app.world.config.application_id,
        "discord_public_key": sim.public_key,
        "discord_token": "simulated-bot-token",
        "discord_api_url": sim.discord_url,
        "openai_base_url": sim.openai_url,
        "stability_base_url": sim.stability_url,
        "minimax_base_url": sim.minimax_url,
        "data_dir": data_dir,
        "instance_id": instance,
        "video_poll_s": 0.2,
        **{f"{provider}_api_key": key_of(provider, instance) for provider in PROVIDERS},
    }
    return InstanceSettings(**values | fields)


class _Server(Server):
    """Leaves the process's signals to the test runner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(asgi: Any, ending: Callable[[], None] = lambda: None) -> AsyncIterator[str]:
    """Serve an ASGI application on a free loopback port; yields its URL. `ending` is called when it is told to stop."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(asgi, log_config=None, access_log=False, lifespan="on", ws="none")
    server = _Server(config, ending=ending)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        while not server.started:
            if task.done():
                raise RuntimeError("the application did not start")
            await asyncio.sleep(0)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


class RunningInstance:
    """A started instance and where it listens."""

    def __init__(self, instance: Instance, url: str) -> None:
        self.instance = instance
        self.url = url
        self.interactions = f"{url}/interactions"


@asynccontextmanager
async def running(settings: InstanceSettings, clock: Clock | None = None) -> AsyncIterator[RunningInstance]:
    """Run one instance."""
    instance = Instance(settings, clock)
    async with serving(instance.asgi, instance.feed.close) as url:
        yield RunningInstance(instance, url)


class System:
    """A simulator and some instances that share one store; `home(user)` is the one that user is sent to."""

    def __init__(self, sim: SimulatorServer, instances: list[RunningInstance]) -> None:
        self.sim = sim
        self.instances = instances

    def home(self, user_id: int) -> RunningInstance:
        return self.instances[user_id % len(self.instances)]

    async def ask(self, user_id: int, command: str, options: dict[str, Any] | None = None, **more: Any) -> Any:
        """Use a command as a user would, at the user's home."""
        target = self.home(user_id).interactions
        return await self.sim.discord.interact(target, command, options, user_id=user_id, **more)


@asynccontextmanager
async def system(
    tmp_path: Path, *, count: int = 1, sim: SimulatorConfig | None = None, **fields: Any
) -> AsyncIterator[System]:
    """Run a simulator and `count` instances; `fields` are settings for all of them."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(SimulatorServer(sim or simulator_config(count)))
        instances = []
        for number in range(1, count + 1):
            settings = settings_for(simulator, tmp_path, number, instance_count=count, **fields)
            instances.append(await stack.enter_async_context(running(settings)))
        yield System(simulator, instances)
