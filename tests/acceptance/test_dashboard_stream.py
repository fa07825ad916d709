"""The dashboard's stream over real sockets and processes: what it costs, and that it holds up nobody's end."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.web.dashboard.feed import MOST_LISTENERS
from simulator.server import SimulatorServer
from tests.integration.process_kit import processes
from tests.kit.running import simulator_config, system
from tests.kit.waiting import wait_until

STREAM = {"accept": "text/event-stream"}
USERS = range(4 * 10**17, 4 * 10**17 + 12)


@asynccontextmanager
async def following(url: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Yield the pictures of a stream."""
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=10) as client,
        client.stream("GET", f"{url}/dashboard/events", headers=STREAM) as answer,
    ):
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")

        async def pictures() -> AsyncIterator[dict[str, Any]]:
            name = ""
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name == "picture":
                    yield json.loads(line.removeprefix("data: "))

        yield pictures()


async def until(pictures: AsyncIterator[dict[str, Any]], seen: Any) -> dict[str, Any]:
    """Return the first picture for which `seen` is true."""
    async with asyncio.timeout(15):
        async for picture in pictures:
            if seen(picture):
                return picture
    raise AssertionError("the stream ended before it was seen")


def openai_calls(picture: dict[str, Any]) -> list[int]:
    """How often each instance's OpenAI key was used in the hour."""
    return [
        sum(sum(key["calls"]) for key in one["keys"] if key["provider"] == "openai") for one in picture["instances"]
    ]


def all_told(picture: dict[str, Any]) -> bool:
    """Whether what is looked at once a second, or every three, has everybody's job."""
    return bool(picture["budget"][0]["used"] == sum(openai_calls(picture)) == len(USERS))


@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_every_instance_shows_the_whole_system(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    """Known traffic of four users at each of three homes: every instance shows the same right figures, and no user."""
    where = {"store_url": request.getfixturevalue("redis_url")} if store == "redis" else {}
    async with system(tmp_path, count=3, **where) as running:
        for user in USERS:
            await running.ask(user, "채팅", {"질문": "왜?"})
        for one in running.instances:
            async with following(one.url) as pictures:
                seen = await until(pictures, all_told)
            assert sum(seen["hour"]["answered"]) == len(USERS) and seen["hour"]["users"] == [4, 4, 4]
            assert openai_calls(seen) == [member["done_today"] for member in seen["instances"]]
            assert seen["faults"] == []
            assert all(str(user) not in json.dumps(seen) for user in USERS)


@pytest.mark.processes
async def test_an_open_dashboard_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """SIGTERM with pages open: their streams end, and the process is gone in seconds; the others go on."""
    async with (
        SimulatorServer(simulator_config(2)) as sim,
        processes(sim, tmp_path, 2) as (one, two),
        following(one.url) as first,
        following(two.url) as second,
    ):
        await until(first, lambda picture: picture["answered_by"] == 1)
        began = time.monotonic()
        await one.kill(signal.SIGTERM)
        assert time.monotonic() - began < 8
        with pytest.raises(AssertionError, match="the stream ended"):
            await until(first, lambda picture: False)
        await until(second, lambda picture: not picture["instances"][0]["alive"])


async def test_one_page_too_many(tmp_path: Path) -> None:
    """It is told to try elsewhere, and there is room again as soon as another has gone."""
    async with system(tmp_path, count=1) as running:
        (one,) = running.instances
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
            streams = [
                await client.send(client.build_request("GET", f"{one.url}/dashboard/events"), stream=True)
                for _ in range(MOST_LISTENERS)
            ]
            assert (await client.get(f"{one.url}/dashboard/events")).status_code == 503
            for stream in streams:
                await stream.aclose()
        await wait_until(lambda: one.instance.feed.listeners == 0, 5, "all have gone")
        async with following(one.url) as pictures:
            await until(pictures, lambda picture: picture["answered_by"] == 1)
