"""What the bot's own token does: post an answer to a channel, once, and delete it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx2
import pytest

from app.discord.channels import ChannelClient, reachable
from app.discord.models import Interaction, parse
from app.discord.replies import Attachment, Message
from app.discord.token_states import RESET_MARGIN_S
from app.discord.webhook import FollowUpClient
from app.discord.wire import Permission
from app.errors import AnswerGone, AnswerRejected, DiscordUnavailable
from tests.kit.clock import FakeClock
from tests.unit.discord.scripted import API_URL, APPLICATION, Answer, ScriptedDiscord, error, limited, ok

BOT_TOKEN = "MTIwMDAw.bot-secret.token-part"
CHANNEL = "600000000000000001"

Make = Callable[..., Awaitable[tuple[ChannelClient, ScriptedDiscord]]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Return a maker of clients: the answers Discord gives, and the bot's token."""
    async with AsyncExitStack() as stack:

        async def made(*answers: Answer, token: str = BOT_TOKEN) -> tuple[ChannelClient, ScriptedDiscord]:
            clock = FakeClock()
            discord = ScriptedDiscord(clock, *answers)
            http = await stack.enter_async_context(httpx2.AsyncClient(transport=httpx2.MockTransport(discord)))
            follow_up = FollowUpClient(http, API_URL, APPLICATION, clock, random=lambda: 1.0)
            return ChannelClient(follow_up.caller, API_URL, token, clock), discord

        yield made


async def test_a_post_pings_the_asker_alone_and_is_made_once(make: Make) -> None:
    """The nonce is enforced, so that a repeated post is the same message."""
    client, discord = await make()
    assert await client.post(CHANNEL, Message("<@5> hi @everyone"), nonce="123", user_id="5") == "1"
    request = discord.calls[0].request
    assert (request.method, str(request.url)) == ("POST", f"{API_URL}/channels/{CHANNEL}/messages")
    assert request.headers["authorization"] == f"Bot {BOT_TOKEN}"
    assert discord.calls[0].json == {
        "content": "<@5> hi @everyone",
        "allowed_mentions": {"parse": [], "users": ["5"]},
        "nonce": "123",
        "enforce_nonce": True,
    }


async def test_files_go_along(make: Make) -> None:
    """As multipart, with the same payload beside them."""
    client, discord = await make()
    video = Attachment("video.mp4", b"mp4", "video/mp4")
    await client.post(CHANNEL, Message("x", attachments=(video,)), nonce="123", user_id="5")
    body = discord.calls[0].request.content
    payload = json.loads(body.split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0])
    assert (payload["nonce"], payload["attachments"]) == ("123", [{"id": "0", "filename": "video.mp4"}])
    assert b'name="files[0]"; filename="video.mp4"' in body


async def test_a_post_is_repeated_within_its_limits(make: Make) -> None:
    """A lost answer, a failure and a limit: the nonce makes repeating safe, and the wait is kept."""
    client, discord = await make(
        httpx2.ReadError("cut"), httpx2.Response(500), limited(4.0), ok(remaining=0, reset_after=2)
    )
    await client.post(CHANNEL, Message("x"), nonce="1", user_id="5")
    assert len({json.dumps(call.json) for call in discord.calls}) == 1
    done = discord.calls[-1].at
    await client.post(CHANNEL, Message("y"), nonce="2", user_id="5")
    assert discord.calls[-1].at == pytest.approx(done + 2 + RESET_MARGIN_S)


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [(error(403, 50001), AnswerRejected), (error(403, 50013), AnswerRejected), (error(404, 10003), AnswerGone),
     (error(401, 0), AnswerGone)],
)  # fmt: skip
async def test_a_refused_post_is_said_once_and_may_work_later(
    make: Make, refusal: httpx2.Response, expected: type[Exception]
) -> None:
    """Missing permissions and channels can come back: nothing is remembered against them; no secret is shown."""
    client, discord = await make(refusal)
    with pytest.raises(expected) as caught:
        await client.post(CHANNEL, Message("x"), nonce="1", user_id="5")
    assert "bot-secret" not in str(caught.value)
    assert len(discord.calls) == 1
    assert await client.post(CHANNEL, Message("x"), nonce="1", user_id="5") == "1"


async def test_without_a_token_there_is_no_call(make: Make) -> None:
    """The bot's token is optional; who asks all the same is told."""
    client, discord = await make(token="")
    assert not client.available
    with pytest.raises(DiscordUnavailable):
        await client.post(CHANNEL, Message("x"), nonce="1", user_id="5")
    assert discord.calls == []


async def test_a_deletion_is_done_when_the_message_is_not_there(make: Make) -> None:
    """204 and 10008 are both the end; other problems are told."""
    client, discord = await make(httpx2.Response(204), error(404, 10008), error(403, 50013))
    await client.delete(CHANNEL, "9")
    await client.delete(CHANNEL, "9")
    with pytest.raises(AnswerRejected):
        await client.delete(CHANNEL, "9")
    assert str(discord.calls[0].request.url) == f"{API_URL}/channels/{CHANNEL}/messages/9"


ALL = Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES | Permission.ATTACH_FILES


def used_in(
    permissions: int = ALL, *, owners: tuple[str, ...] = ("0",), guild: bool = True, context: int = 0, kind: int = 0
) -> Interaction:
    """Return an interaction from such a place."""
    read = parse(
        {"id": "1", "type": 2, "token": "t", "application_id": "7", "user": {"id": "5"}, "data": {"name": "x"},
         "channel_id": CHANNEL, "channel": {"id": CHANNEL, "type": kind}, "app_permissions": str(int(permissions)),
         "authorizing_integration_owners": dict.fromkeys(owners, "8"), "context": context}
    )  # fmt: skip
    return replace(read, guild_id="8" if guild else None)


@pytest.mark.parametrize(
    ("interaction", "expected"),
    [
        (used_in(), True),
        (used_in(Permission.ADMINISTRATOR), True),
        (used_in(ALL & ~Permission.SEND_MESSAGES), False),
        (used_in(ALL & ~Permission.ATTACH_FILES), False),
        (used_in(ALL & ~Permission.VIEW_CHANNEL), False),
        (used_in(kind=11), False),
        (used_in(ALL | Permission.SEND_MESSAGES_IN_THREADS, kind=11), True),
        (used_in(owners=("1",)), False),
        (used_in(0, guild=False, context=1), True),
        (used_in(guild=False, context=2), False),
        (used_in(guild=False, owners=("1",), context=1), False),
    ],
)
def test_where_the_bot_can_reach_the_asker(interaction: Interaction, expected: bool) -> None:
    """In servers it is a member of and may write to, threads by their own permission, and in its direct messages."""
    assert reachable(interaction) is expected


def test_no_channel_is_no_place() -> None:
    """Without a channel's id there is nowhere to post."""
    assert not reachable(replace(used_in(), channel_id=None))
