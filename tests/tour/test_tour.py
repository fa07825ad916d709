"""The way of one interaction, from Discord's signed request to the one answer its user sees.

Read this first: each test is one station, over real HTTP, against the simulator.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from simulator.config import Speed
from simulator.discord_components import find_action
from tests.kit.running import System, simulator_config, system
from tests.kit.waiting import wait_until

USER = 12345
HOME = 2


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[System]:
    """One instance: every user's home."""
    async with system(tmp_path) as running:
        yield running


def events(running: System, kind: str) -> list[dict[str, Any]]:
    """Return the ledger's events of one kind."""
    return [event for event in running.sim.ledger.since(0) if event["event"] == kind]


async def test_only_discord_is_heard(one: System) -> None:
    """A request with a bad signature is answered 401 and nothing else happens; a signed PING is answered PONG."""
    endpoint = one.instances[0].interactions
    assert await one.sim.discord.probe_bad_signature(endpoint) == 401
    pinged = await one.sim.discord.ping(endpoint)
    assert pinged.state == "pong"


async def test_a_question_is_deferred_and_answered_once(one: System) -> None:
    """The user sees "thinking…" at once and then one answer, which is about what was asked."""
    asked = await one.ask(USER, "채팅", {"질문": "바다는 왜 파란가요?"})
    assert asked.ack.type == 5
    await asked.final(10)
    assert "바다는 왜 파란가요?" in asked.message.content
    assert [call["key"] for call in events(one, "provider_call")] == ["set-1"]


async def test_a_picture_comes_as_a_file(one: System) -> None:
    """The picture is attached to the one message, with the words it was made from."""
    asked = await one.ask(USER, "이미지", {"설명": "달빛 아래 고양이", "비율": "16:9"})
    await asked.final(10)
    (file,) = asked.message.attachments
    assert file.content_type == "image/png" and file.data.startswith(b"\x89PNG")
    assert "달빛 아래 고양이" in asked.message.content


async def test_a_video_is_followed_to_its_end(one: System) -> None:
    """The task is created once, polled until it is done, and its file is attached."""
    asked = await one.ask(USER, "비디오", {"설명": "파도치는 해변"})
    await asked.final(20)
    (file,) = asked.message.attachments
    assert file.filename == "video.mp4" and b"ftyp" in file.data[:16]
    created = [call for call in events(one, "provider_call") if call["costly"]]
    assert len(created) == 1


async def test_whoever_waits_sees_what_happens(tmp_path: Path) -> None:
    """A slow answer is preceded by progress, and nothing comes after the answer."""
    slow = simulator_config(1, speed=Speed(ttft_s=1.5))
    async with system(tmp_path, sim=slow) as running:
        asked = await running.ask(USER, "채팅", {"질문": "천천히 답해 줘"})
        await asked.final(15)
        contents = [edit.content for edit in asked.message.history if edit.content]
        assert contents[0].startswith("⏳")
        assert not contents[-1].startswith("⏳")
        assert sum(edit.final for edit in asked.message.history) == 1


async def test_an_answer_grows_before_the_users_eyes(tmp_path: Path) -> None:
    """What came so far is shown with a cursor and a button to stop it; each part is the beginning of the whole."""
    slow = simulator_config(1, speed=Speed(ttft_s=0.1, tokens_per_s=40.0))
    async with system(tmp_path, sim=slow) as running:
        asked = await running.ask(USER, "채팅", {"질문": "바다에 대해 길게 이야기해 줘"})
        await asked.final(30)
        *before, last = [edit for edit in asked.message.history if edit.content]
        growing = [edit.content.removesuffix("▌").rstrip() for edit in before if edit.content.endswith("▌")]
        assert len(growing) >= 2
        assert last.final and all(last.content.startswith(part) for part in growing)
        assert not any(edit.final for edit in before)


async def test_a_button_does_it_again(one: System) -> None:
    """🔁 under an answer asks the same once more; its answer comes in a message of its own, the first stays."""
    asked = await one.ask(USER, "채팅", {"질문": "다시 물어볼 질문 #vary"})
    await asked.final(10)
    first, custom_id = asked.message.content, find_action(asked.message.components, "again")
    assert custom_id is not None

    async def kept() -> bool:
        return await one.instances[0].instance.store.repeatable(asked.id, user_id=str(USER)) is not None

    await wait_until(kept, 5, "the job is done and its payload kept")
    pressed = await one.sim.discord.press(one.instances[0].interactions, asked, custom_id)
    await pressed.final(10)
    assert pressed.message is not None and pressed.message.id != asked.message.id
    assert "다시 물어볼 질문" in pressed.message.content != first == asked.message.content


async def test_a_conversation_is_remembered_until_it_starts_over(one: System) -> None:
    """The second question's answer knows of the first; after `/새대화` the third one's knows of neither."""
    said = []
    for question in ("내 고양이 이름은 나비야", "이름이 뭐라고 했지?"):
        asked = await one.ask(USER, "채팅", {"질문": question})
        await asked.final(10)
        said.append(asked.message.content)
    assert "2번째 질문" in said[1] and "내 고양이 이름은 나비야" in said[1]
    await one.ask(USER, "새대화")
    asked = await one.ask(USER, "채팅", {"질문": "이제는?"})
    await asked.final(10)
    assert "번째 질문" not in asked.message.content and "나비" not in asked.message.content


async def test_the_same_interaction_twice_is_one_job(one: System) -> None:
    """Copies of one interaction are all deferred, the provider is called once, the user sees one answer."""
    asked = await one.ask(USER, "채팅", {"질문": "한 번만 답해 줘"}, copies=4)
    assert [ack.type for ack in asked.acks] == [5, 5, 5, 5]
    await asked.final(10)
    assert len(events(one, "provider_call")) == 1


async def test_instant_commands_show_the_same_picture_from_any_instance(tmp_path: Path) -> None:
    """`/할당` fills in the formula and `/로드밸런서` shows both instances, whichever of them is asked."""
    async with system(tmp_path, count=2) as running:
        for instance in running.instances:
            await instance.instance.overview.refresh()
            asked = await running.sim.discord.interact(instance.interactions, "할당", user_id=USER)
            assert asked.ack is not None and asked.ack.type == 4
            assert asked.message is not None and f"{USER} % 2 + 1 = {HOME}" in asked.message.content
            balanced = await running.sim.discord.interact(instance.interactions, "로드밸런서", user_id=USER)
            assert balanced.message is not None and "2/2" in balanced.message.content


async def test_the_operator_sees_what_goes_on(one: System) -> None:
    """Health is green, and the finished job stands in the statistics with its home and who served it."""
    asked = await one.ask(USER, "채팅", {"질문": "통계에 나와 줘"})
    await asked.final(10)
    async with httpx2.AsyncClient(base_url=one.instances[0].url) as client:
        health = await client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "ok")

        async def recorded() -> bool:
            stats = (await client.get("/stats")).json()
            return any(job["id"] == asked.id and job["served_by"] == 1 for job in stats["recent_jobs"])

        await wait_until(recorded, 5, "the job stands in /stats")
        assert b"quartet_jobs_finished_total" in (await client.get("/metrics")).content
        assert "Quartet" in (await client.get("/dashboard")).text
