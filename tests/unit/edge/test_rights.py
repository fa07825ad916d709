"""Who may stop, delete and change what: the asker, and whoever may manage messages in that server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.discord.answers import NOTED
from app.discord.wire import Permission
from app.presses import TOO_SLOW
from tests.unit.edge.kit import USER, Bench, Payload, forever, member, message_of, press, use

OTHER = "7"
JOB = "1300000000000000001"


@pytest.fixture
async def bench() -> Bench:
    """An edge whose store holds an open job of `USER`."""
    made = Bench()
    await made.post(use("채팅", {"질문": "왜?"}, id=JOB))
    return made


def by(user: str, permissions: int = 0, **fields: Any) -> Payload:
    """Return the fields of an interaction that say who pressed."""
    return {"id": "1300000000000000002", "member": member(user, permissions), **fields}


MODERATORS = [int(Permission.MANAGE_MESSAGES), int(Permission.ADMINISTRATOR), (1 << 60) - 1]
STRANGERS = [0, int(Permission.MANAGE_GUILD), int(Permission.SEND_MESSAGES | Permission.VIEW_CHANNEL)]


class TestStop:
    async def test_by_the_asker(self, bench: Bench) -> None:
        """The press is acknowledged and shows nothing of its own; store and worker are told."""
        assert await bench.post(press(f"stop:{JOB}", **by(USER))) == NOTED
        assert json.loads(NOTED.body) == {"type": 6}
        assert bench.store.stopped == bench.stopped == [JOB]

    @pytest.mark.parametrize("permissions", MODERATORS)
    async def test_by_a_moderator(self, bench: Bench, permissions: int) -> None:
        """Also if Discord does not say whose message it is."""
        for asker in (USER, None):
            assert await bench.post(press(f"stop:{JOB}", asker=asker, **by(OTHER, permissions))) == NOTED

    @pytest.mark.parametrize("permissions", STRANGERS)
    @pytest.mark.parametrize("asker", [USER, None])
    async def test_by_a_stranger(self, bench: Bench, permissions: int, asker: str | None) -> None:
        """A private word, and the job goes on."""
        message_of(await bench.post(press(f"stop:{JOB}", asker=asker, **by(OTHER, permissions))), ephemeral=True)
        assert bench.store.stopped == bench.stopped == []

    async def test_permissions_mean_nothing_outside_of_servers(self, bench: Bench) -> None:
        """Without a guild nobody moderates."""
        reply = await bench.post(press(f"stop:{JOB}", guild_id=None, **by(OTHER, MODERATORS[0])))
        message_of(reply, ephemeral=True)
        assert bench.store.stopped == []

    @pytest.mark.parametrize("job", ["", "1", "x", "' OR 1=1 --"])
    async def test_what_is_done_or_unknown(self, bench: Bench, job: str) -> None:
        """The user hears that there is nothing to stop."""
        assert "끝난" in message_of(await bench.post(press(f"stop:{job}", **by(USER))), ephemeral=True)
        assert bench.stopped == []

    async def test_a_store_that_hangs(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """A private sentence within Discord's three seconds."""
        monkeypatch.setattr("app.presses.READ_WITHIN_S", 0.05)
        bench.store.before_read = forever
        assert message_of(await bench.post(press(f"stop:{JOB}", **by(USER))), ephemeral=True) == TOO_SLOW.ko


class TestDelete:
    @pytest.mark.parametrize("asker", [USER, None])
    async def test_by_the_asker(self, bench: Bench, asker: str | None) -> None:
        """Acknowledged at once; the rest happens behind our back."""
        assert await bench.post(press(f"delete:{USER}:{JOB}", asker=asker, **by(USER))) == NOTED
        assert bench.remover.asked == [("1300000000000000002", JOB, USER)]

    @pytest.mark.parametrize("permissions", MODERATORS)
    async def test_by_a_moderator(self, bench: Bench, permissions: int) -> None:
        """Whose answer it was stays known: their token deletes its further messages."""
        assert await bench.post(press(f"delete:{USER}:{JOB}", **by(OTHER, permissions))) == NOTED
        assert bench.remover.asked == [("1300000000000000002", JOB, USER)]

    @pytest.mark.parametrize("permissions", STRANGERS)
    @pytest.mark.parametrize(("owner", "asker"), [(USER, USER), (USER, None), (OTHER, USER), (USER, OTHER)])
    async def test_by_a_stranger(self, bench: Bench, permissions: int, owner: str, asker: str | None) -> None:
        """Both the button and the message have to be theirs."""
        reply = await bench.post(press(f"delete:{owner}:{JOB}", asker=asker, **by(OTHER, permissions)))
        message_of(reply, ephemeral=True)
        assert bench.remover.asked == []

    @pytest.mark.parametrize("argument", ["", JOB, f"{USER}:", f":{JOB}", f"{USER}:{JOB}:1", f"{USER}:x"])
    async def test_a_button_of_nothing(self, bench: Bench, argument: str) -> None:
        """A private sentence."""
        message_of(await bench.post(press(f"delete:{argument}", **by(USER, MODERATORS[1]))), ephemeral=True)
        assert bench.remover.asked == []


class TestOwnData:
    @pytest.mark.parametrize("what", ["clear_channel", "clear_all"])
    async def test_the_user_changes_the_message(self, bench: Bench, what: str) -> None:
        """A type 7: what the message becomes."""
        reply = await bench.post(press(f"memory:{what}:{USER}", **by(USER)))
        body = json.loads(reply.body)
        assert (reply.label, body["type"]) == ("instant", 7)
        assert body["data"]["content"] and "flags" not in body["data"]

    @pytest.mark.parametrize(
        ("owner", "asker"), [(USER, USER), (OTHER, USER), (USER, OTHER), ("", OTHER), ("", None), (USER, None)]
    )
    async def test_nobody_else_does(self, bench: Bench, owner: str, asker: str | None) -> None:
        """Not even with every permission there is: it is the user's own."""
        everything = (1 << 60) - 1
        reply = await bench.post(press(f"memory:clear_all:{owner}", asker=asker, **by(OTHER, everything)))
        message_of(reply, ephemeral=True)

    async def test_a_store_that_hangs(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """A private sentence within Discord's three seconds."""
        monkeypatch.setattr("app.presses.RECORD_WITHIN_S", 0.05)
        monkeypatch.setattr(bench.users.conversations, "delete_all", forever_for_anything)
        assert (
            message_of(await bench.post(press(f"memory:clear_all:{USER}", **by(USER))), ephemeral=True) == TOO_SLOW.ko
        )


async def forever_for_anything(*_: object, **__: object) -> None:
    """Hang."""
    await forever()
