"""The judge of fault tests on an undisturbed system: whatever users do, there is nothing to find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from simulator.check import check
from simulator.config import Speed
from simulator.discord_components import find_action
from simulator.discord_state import Interaction
from tests.kit.running import System, simulator_config, system
from tests.kit.waiting import wait_until

USER = 4242


async def press(running: System, asked: Interaction, action: str) -> Interaction:
    """Press what is under the answer, once the job is written down as done."""
    assert asked.message is not None
    custom_id = find_action(asked.message.components, action)
    assert custom_id is not None, f"no {action} under the answer"

    async def kept() -> bool:
        return await running.home(USER).instance.store.repeatable(asked.id, user_id=str(USER)) is not None

    if action in ("again", "continue"):
        await wait_until(kept, 5, "the job is done and its payload kept")
    return await running.sim.discord.press(running.home(USER).interactions, asked, custom_id)


async def shows(asked: Interaction, holds: Callable[[], bool], what: str) -> None:
    """Wait for something to be seen."""

    async def seen() -> bool:
        return holds()

    await wait_until(seen, 20, what)


async def test_long_broken_stopped_and_deleted_answers_are_one_answer_each(tmp_path: Path) -> None:
    """Answers in parts, answers that break off and go on, are stopped or deleted: none is lost, twice or changed."""
    config = simulator_config(1, speed=Speed(ttft_s=0.05, tokens_per_s=4000.0))
    async with system(tmp_path, sim=config) as running:
        long = await running.ask(USER, "채팅", {"질문": "길게 #chars=4500"})
        huge = await running.ask(USER, "채팅", {"질문": "아주 길게 #chars=12000"})
        broken = await running.ask(USER, "채팅", {"질문": "끊겨요 #chars=900 #cut=300"})
        slow = await running.ask(USER, "채팅", {"질문": "천천히 #chars=900 #seconds=30"})
        for asked in (long, huge, broken):
            await asked.final(20)
        await shows(long, lambda: len(long.messages) == 3, "the whole long answer")
        assert [file.filename for file in huge.message.attachments] == ["answer.md"]
        await shows(slow, lambda: "▌" in slow.message.content, "the beginning of the slow answer")
        await press(running, slow, "stop")
        await slow.final(20)
        await (await press(running, broken, "continue")).final(20)
        await press(running, long, "delete")
        await shows(long, lambda: not long.messages, "the deletion of the long answer and its parts")
        report = check(running.sim.ledger.since(0))
    assert report.violations() == {}
    assert report.figures["parts"] == 2 and report.figures["answered"] == 5
