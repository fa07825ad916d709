"""What holds for users on every instance: who may ask, what is chosen, what is counted, and what is never asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.commands.access import BLOCKED
from app.userdata.preferences import Preferences, Scope
from app.userdata.usage import UsageTotal
from tests.kit.running import System, system
from tests.kit.waiting import wait_until

USER, OTHER = 12345, 67890


def calls(running: System, provider: str) -> list[dict[str, Any]]:
    """Return the costly calls a provider has had."""
    events = running.sim.ledger.since(0)
    return [e for e in events if e["event"] == "provider_call" and e["costly"] and e["provider"] == provider]


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The `STORE_URL` of each engine, with nothing in it."""
    url: str = request.getfixturevalue("redis_url") if request.param == "redis" else f"sqlite:///{tmp_path}/quartet.db"
    return url


async def test_a_choice_holds_everywhere(tmp_path: Path, store: str) -> None:
    """What a user chose on one instance holds there at once and on the others soon; taken back, it is gone."""
    async with system(tmp_path, count=2, store_url=store) as two:
        here, there = (each.instance for each in two.instances)
        people = here.users.people()
        for chosen in (Preferences(language="en", private=True), Preferences()):
            await people.preferences.put(Scope.USER, str(USER), chosen)
            people.changed(Scope.USER, str(USER), chosen)
            assert people.chosen(str(USER), None) == chosen
            await wait_until(lambda c=chosen: there.users.choices.of(str(USER), None) == c, 5, "the other knows")  # type: ignore[misc]


async def test_answers_are_counted_and_priced(tmp_path: Path, store: str) -> None:
    """An answered question and picture are counted with what they took, at the operator's prices."""
    prices: dict[str, Any] = {"price_chat_input_per_million": 1, "price_chat_output_per_million": 2, "price_image": 0.5}
    async with system(tmp_path, store_url=store, **prices) as one:
        for command, options in (("채팅", {"질문": "왜?"}), ("이미지", {"설명": "달"})):
            await (await one.ask(USER, command, options)).final(15)
        instance = one.instances[0].instance
        day = instance.users.day()

        async def total(kind: str) -> UsageTotal:
            totals = await instance.users.usage.of_user(str(USER), from_day=day, to_day=day)
            return totals.get(kind, UsageTotal())

        async def counted() -> bool:
            return (await total("chat")).jobs == 1 and (await total("image")).jobs == 1

        await wait_until(counted, 5, "both are counted")
        chat, image = (await total("chat")).usage, (await total("image")).usage
        assert chat.prompt_tokens > 0 and chat.completion_tokens > 0
        assert chat.micro_usd == chat.prompt_tokens + 2 * chat.completion_tokens
        assert (image.images, image.micro_usd) == (1, 500_000)


async def test_who_is_blocked_hears_so(tmp_path: Path) -> None:
    """A private sentence and no call; everybody else is served."""
    async with system(tmp_path, blocked_users=str(USER)) as one:
        refused = await one.ask(USER, "채팅", {"질문": "왜?"})
        assert refused.message.ephemeral and refused.message.content == BLOCKED.ko
        served = await one.ask(OTHER, "채팅", {"질문": "왜?"})
        await served.final(15)
        assert len(calls(one, "openai")) == 1


async def test_flagged_prompts_reach_no_provider(tmp_path: Path) -> None:
    """With MODERATION=on a flagged picture is refused and never asked for; a fine one is made."""
    async with system(tmp_path, moderation="on", image_cooldown_s=0) as one:
        flagged = await one.ask(USER, "이미지", {"설명": "달 #flag"})
        await flagged.final(15)
        assert "비용은 들지 않았어요" in flagged.message.content and not flagged.message.attachments
        assert calls(one, "stability") == []
        fine = await one.ask(USER, "이미지", {"설명": "달"})
        await fine.final(15)
        assert len(fine.message.attachments) == 1
