"""Real processes, killed as the kernel kills: what was accepted is answered once all the same."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.errors import VideoUnknown
from simulator.config import Speed
from simulator.server import SimulatorServer
from tests.integration.ledger_kit import calls, judged, keys_of
from tests.integration.process_kit import Process, processes
from tests.kit.running import simulator_config
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.processes

RESUMED_S = 15.0
"""A dead instance is known after 3 s; the rest is the answer's own time and a busy machine's."""


def at_work(sim: SimulatorServer, both: list[Process], provider: str) -> Process:
    """Return the instance whose key was used: on a busy machine a home may be overtaken."""
    (key,) = keys_of(sim, provider)
    return both[int(key.removeprefix("set-")) - 1]


async def test_a_dead_home_s_jobs_are_taken_over(tmp_path: Path) -> None:
    """kill -9 in the middle of an answer: the other instance answers with its own key, soon and once."""
    config = simulator_config(2, speed=Speed(ttft_s=1.0))
    async with SimulatorServer(config) as sim, processes(sim, tmp_path, 2) as both:
        asked = await sim.discord.interact(both[0].interactions, "채팅", {"질문": "살아남을 질문"}, user_id=80)
        await wait_until(lambda: bool(keys_of(sim, "openai")), 20, "somebody works on it")
        await at_work(sim, both, "openai").kill()
        killed = time.monotonic()
        await asked.final(20)
        assert time.monotonic() - killed < RESUMED_S
        assert asked.message and "살아남을 질문" in asked.message.content
        assert keys_of(sim, "openai") == {"set-1": 1, "set-2": 1}
        judged(sim)


async def test_a_video_is_followed_on_after_a_kill(tmp_path: Path) -> None:
    """The paid task is polled by the same key set when its instance is back; nobody else touches or repeats it."""
    async with SimulatorServer(simulator_config(2)) as sim, processes(sim, tmp_path, 2) as both:
        asked = await sim.discord.interact(both[0].interactions, "비디오", {"설명": "#seconds=4 파도"}, user_id=80)
        await wait_until(lambda: bool(calls(sim, "minimax", costly=False)), 20, "the task is polled")
        maker = at_work(sim, both, "minimax")
        await maker.kill()
        before = len(calls(sim, "minimax", costly=False))
        await maker.start()
        await asked.final(30)
        assert asked.message and [file.filename for file in asked.message.attachments] == ["video.mp4"]
        assert sum(keys_of(sim, "minimax").values()) == 1
        assert set(keys_of(sim, "minimax", costly=False)) == set(keys_of(sim, "minimax"))
        assert len(calls(sim, "minimax", costly=False)) > before
        judged(sim)


async def test_a_create_call_cut_off_by_a_kill_is_never_repeated(tmp_path: Path) -> None:
    """Nobody knows whether the task was made: the user is told so, and nothing is paid for twice."""
    async with SimulatorServer(simulator_config(2)) as sim, processes(sim, tmp_path, 2) as both:
        sim.app.world.faults.add({"target": "minimax", "route": "video_generation", "kind": "hang", "seconds": 60})
        asked = await sim.discord.interact(both[0].interactions, "비디오", {"설명": "산"}, user_id=80)
        await wait_until(lambda: bool(calls(sim, "minimax")), 20, "the create call is under way")
        await at_work(sim, both, "minimax").kill()
        await asked.final(20)
        assert asked.message and VideoUnknown.sentence.ko in asked.message.content
        assert sum(keys_of(sim, "minimax").values()) == 1
        judged(sim)
