"""One interaction, followed by its id through the logs of all instances."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.config import Speed
from simulator.server import SimulatorServer
from tests.integration.process_kit import processes
from tests.kit.running import simulator_config
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.processes

PLACE = {"interaction", "job", "kind", "home", "instance", "timestamp", "level", "logger", "event"}


def lines(directory: Path) -> list[dict[str, Any]]:
    """Return what all instances logged, in the order of their times; a line cut off by a kill is left out."""

    def read(path: Path) -> Iterator[dict[str, Any]]:
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue

    found = [line for path in sorted(directory.glob("*.log")) for line in read(path)]
    return sorted(found, key=lambda line: str(line["timestamp"]))


def steps(directory: Path, interaction: str) -> list[dict[str, Any]]:
    """Return the journal's lines about one interaction."""
    return [line for line in lines(directory) if line.get("interaction") == interaction and line["logger"] == "journal"]


async def test_a_chat_is_six_lines(tmp_path: Path) -> None:
    """Accepted, leased, the call's begin and end, delivered, finished; each says whose it is, none what was asked."""
    async with SimulatorServer(simulator_config(2)) as sim, processes(sim, tmp_path, 2, logs=tmp_path) as both:
        asked = await sim.discord.interact(both[0].interactions, "채팅", {"질문": "속삭임"}, user_id=80)
        await asked.final(20)
        await wait_until(lambda: len(steps(tmp_path, asked.id)) >= 6, 5, "its last line is written")
    told = steps(tmp_path, asked.id)
    assert [line["event"] for line in told] == [
        "job accepted", "job leased", "provider call begun", "provider call ended", "job delivered", "job finished",
    ]  # fmt: skip
    for line in told:
        assert set(line) >= PLACE and line["job"] == asked.id and line["home"] == 1 and line["kind"] == "chat"
    assert [line["key_set"] == line["instance"] and line["fence"] == 1 for line in told[1:]] == [True] * 5
    assert told[-1]["outcome"] == "answered" and told[-1]["provider"] == "openai"
    everything = json.dumps(lines(tmp_path), ensure_ascii=False)
    assert "속삭임" not in everything and "sk-simulated" not in everything and asked.token not in everything


async def test_a_job_is_followed_across_a_crash(tmp_path: Path) -> None:
    """The lines of the instance that was killed and of the one that took over make one story."""
    config = simulator_config(2, speed=Speed(ttft_s=1.0))
    async with SimulatorServer(config) as sim, processes(sim, tmp_path, 2, logs=tmp_path) as both:
        asked = await sim.discord.interact(both[0].interactions, "채팅", {"질문": "왜?"}, user_id=80)
        begun = {"provider call begun"}
        await wait_until(lambda: begun <= {s["event"] for s in steps(tmp_path, asked.id)}, 20, "it is worked on")
        first = int(steps(tmp_path, asked.id)[-1]["instance"])
        await both[first - 1].kill()
        await asked.final(20)
        await wait_until(lambda: steps(tmp_path, asked.id)[-1]["event"] == "job finished", 5, "its end is written")
    told = [(line["event"], line["instance"]) for line in steps(tmp_path, asked.id)]
    other = 3 - first
    assert told[0] == ("job accepted", 1)
    assert told[1:] == [
        ("job leased", first), ("provider call begun", first), ("job recovered", other), ("provider call begun", other),
        ("provider call ended", other), ("job delivered", other), ("job finished", other),
    ]  # fmt: skip
    fences = [line["fence"] for line in steps(tmp_path, asked.id)[1:]]
    assert fences == [1, 1, 2, 2, 2, 2, 2]


async def test_a_refusal_and_a_copy_are_told(tmp_path: Path) -> None:
    """Who is refused is found by the id as well, with the reason; a copy of an accepted one says that it is one."""
    async with SimulatorServer(simulator_config(1)) as sim, processes(sim, tmp_path, 1, logs=tmp_path) as (one,):
        accepted = await sim.discord.interact(one.interactions, "비디오", {"설명": "산 #seconds=0.2"}, user_id=80)
        refused = await sim.discord.interact(one.interactions, "비디오", {"설명": "산"}, user_id=80)
        await accepted.final(20)
        await wait_until(lambda: bool(steps(tmp_path, refused.id)), 5, "the refusal is written")
    (line,) = steps(tmp_path, refused.id)
    assert (line["event"], line["reason"], line["home"]) == ("job refused", "cooldown", 1)
    assert "key_set" not in line
