"""Long and late answers, through real instances and the simulated Discord."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app import intake
from app.commands import video
from app.errors import ProviderTimeout
from app.worker import late, rescue, runner
from simulator.check import check
from tests.kit.running import System, system
from tests.kit.waiting import wait_until

USER = 12345
LIFE_S = 5.0
"""So long a token may be used in these tests; the instances believe it, the simulator's live on."""


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[System]:
    """One instance."""
    async with system(tmp_path, video_cooldown_s=0) as running:
        yield running


@pytest.fixture
def short_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is measured against a token's life is measured against `LIFE_S`."""
    life = intake.ANSWER_MARGIN_S + LIFE_S
    for module, name, value in (
        (intake, "TOKEN_LIFE_S", life), (late, "TOKEN_LIFE_S", life), (rescue, "END_BEFORE_S", 0.5),
        (runner, "TIME_TO_DELIVER_S", 1.0), (video, "SHORTEST_S", 0.5), (video, "TIME_TO_DELIVER_S", 1.0),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)


async def ended(running: System, job_id: str) -> None:
    """Wait until the job's end is on record."""

    async def done() -> bool:
        return any(job.id == job_id for job in await running.instances[0].instance.store.history())

    await wait_until(done, 20, "the end is on record")


def sound(running: System) -> None:
    """Nothing lost, nothing twice, nothing sent in vain."""
    report = check(running.sim.ledger.since(0))
    assert report.ok, report.violations()


async def test_a_long_answer_is_three_messages(one: System) -> None:
    """The answer and two more, with the buttons on the first; each part is on record with its id."""
    asked = await one.ask(USER, "채팅", {"질문": "길게 말해 줘 #chars=4800"})
    await asked.final(20)
    await ended(one, asked.id)
    assert len(asked.followups) == 2
    assert asked.message.components and not any(part.components for part in asked.followups)
    whole = "".join(message.content for message in (asked.message, *asked.followups))
    assert len("".join(whole.split())) > 3000
    parts = await one.instances[0].instance.store.parts(asked.id)
    assert [part["id"] for part in parts] == [part.id for part in asked.followups]
    sound(one)


async def test_a_part_whose_answer_got_lost_is_not_posted_again(one: System) -> None:
    """Posted, but the connection broke: the answer gets its whole as a file, and no message comes twice."""
    fault = {"target": "discord", "kind": "done_then_drop", "route": "POST followup", "count": 1}
    one.sim.app.world.faults.add(fault)
    asked = await one.ask(USER, "채팅", {"질문": "길게 말해 줘 #chars=4800"})
    await asked.final(20)
    await ended(one, asked.id)
    assert len(asked.followups) == 1
    assert [file.filename for file in asked.message.attachments] == ["answer.md"]
    sound(one)


@pytest.mark.usefixtures("short_tokens")
async def test_a_late_video_is_announced_and_posted(one: System) -> None:
    """The original says in time where the video will be; then the bot posts it there, for the asker alone."""
    asked = await one.ask(USER, "비디오", {"설명": "느린 파도 #seconds=7"})
    await asked.final(20)
    assert "이 채널에" in asked.message.content
    await wait_until(lambda: bool(asked.late), 20, "the video is posted")
    await ended(one, asked.id)
    (posted,) = asked.late
    assert posted.content.startswith(f"<@{USER}>\n🎬")
    assert posted.pings == [str(USER)]
    assert [file.filename for file in posted.attachments] == ["video.mp4"]
    created = [e for e in one.sim.ledger.since(0) if e["event"] == "provider_call" and e["costly"]]
    assert len(created) == 1
    sound(one)


@pytest.mark.usefixtures("short_tokens")
@pytest.mark.parametrize("place", [{"place": "user_install"}, {"app_permissions": 0}], ids=["user install", "no leave"])
async def test_who_can_not_be_reached_late_is_told_in_time(one: System, place: dict[str, Any]) -> None:
    """Where the bot may not post, the original says before its token's end that it did not come about."""
    asked = await one.ask(USER, "비디오", {"설명": "느린 파도 #seconds=60"}, **place)
    await asked.final(20)
    await ended(one, asked.id)
    assert ProviderTimeout.sentence.ko in asked.message.content
    assert asked.late == []
    sound(one)
