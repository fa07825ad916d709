"""The follow-up client over real sockets, where connections break, hang and trickle."""

from __future__ import annotations

import asyncio
import email.policy
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from email.parser import BytesParser

import httpx2
import pytest

from app.clock import SystemClock
from app.discord.replies import Attachment, Message
from app.discord.webhook import FollowUpClient
from app.errors import DiscordUnavailable
from tests.unit.discord.scripted import APPLICATION, TOKEN

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def client_of(*handlers: Handler) -> AsyncIterator[FollowUpClient]:
    """Serve each connection by the next handler, the last one for all that follow, and yield a client of it."""
    connections: set[asyncio.Task[None]] = set()
    waiting = list(handlers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        handler = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        try:
            await handler(reader, writer)
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async with AsyncExitStack() as stack:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        limits = httpx2.Limits(max_connections=2)
        http = await stack.enter_async_context(httpx2.AsyncClient(limits=limits, trust_env=False))
        yield FollowUpClient(http, f"http://127.0.0.1:{port}/api/v10/", APPLICATION, SystemClock(), random=lambda: 0.0)
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return head, await reader.readexactly(length)


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(OK)
        await writer.drain()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.transport.abort()


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(OK[:-1])
    await writer.drain()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def final(client: FollowUpClient, message: Message, token: str = TOKEN, lives: float = 10.0) -> bool:
    now = time.time()
    return await client.edit_original(token, message, received_at=now, expires_at=now + lives)


async def test_a_connection_that_breaks_is_replaced() -> None:
    """A reset and a response cut short are both tried again on a new connection."""
    async with client_of(reset, cut, accept) as client:
        assert await final(client, Message("answer"))


async def test_a_response_that_trickles_ends_at_the_deadline_and_frees_its_connection() -> None:
    """Each byte comes in time, the whole never does: the deadline holds, and the pool of two is not used up."""
    async with client_of(trickle, trickle, trickle, accept) as client:
        started = time.monotonic()
        for n in range(3):
            with pytest.raises(DiscordUnavailable):
                await final(client, Message("answer"), f"token-{n}", lives=0.15)
        assert time.monotonic() - started < 5
        assert await final(client, Message("answer"), "token-3")


async def test_an_independent_parser_reads_the_upload() -> None:
    """The standard library's MIME parser finds the message as typed JSON and the file byte for byte."""
    data = bytes(range(256)) * 400
    uploads: list[tuple[bytes, bytes]] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uploads.append(await read_request(reader))
        writer.write(OK)
        await writer.drain()

    async with client_of(keep) as client:
        assert await final(client, Message("완성", attachments=(Attachment("img.png", data, "image/png", "물결"),)))
    head, body = uploads[0]
    assert head.startswith(f"PATCH /api/v10/webhooks/{APPLICATION}/{TOKEN}/messages/@original HTTP/1.1".encode())
    headers = b"\r\n".join(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-type"))
    mail = BytesParser(policy=email.policy.HTTP).parsebytes(headers + b"\r\n\r\n" + body)
    message, file = mail.iter_parts()
    assert message.get_param("name", header="content-disposition") == "payload_json"
    assert message.get_content_type() == "application/json"
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert json.loads(payload)["attachments"] == [{"id": "0", "filename": "img.png", "description": "물결"}]
    assert file.get_param("name", header="content-disposition") == "files[0]"
    assert file.get_filename() == "img.png"
    assert file.get_content_type() == "image/png"
    assert file.get_payload(decode=True) == data


async def test_progress_that_may_not_go_any_more_is_withheld_at_the_last_moment() -> None:
    """Symptom: a stopped process woke up and edited over the answer. Cause: it was stopped after it had asked whether
    it may, and before it wrote. Rule: it is asked again when the connection is there, before the first byte leaves."""
    connected, asked = asyncio.Event(), []

    async def never_asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        asked.append(await reader.read(1))

    def may_go() -> bool:
        return not connected.is_set()

    async with client_of(never_asked) as client:
        now = time.time()
        sent = client.edit_original(
            TOKEN, Message("⏳"), received_at=now, expires_at=now + 60, final=False, may_go=may_go
        )
        assert not await sent
        await asyncio.wait_for(connected.wait(), 5)
    assert asked in ([], [b""])


async def test_a_further_message_waits_until_it_may_go() -> None:
    """A process that stood still posts nothing until it knows again that the job is its own, and then once."""
    posts: list[tuple[bytes, bool]] = []
    looks: list[None] = []

    async def taking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            posts.append((head.partition(b" ")[0], len(looks) > 1))
            writer.write(OK)

    def may_go() -> bool:
        looks.append(None)
        return len(looks) > 1

    async with client_of(taking) as client:
        now = time.time()
        await client.post(TOKEN, Message("two"), received_at=now, expires_at=now + 60, may_go=may_go)
    assert posts == [(b"POST", True)]


async def test_progress_whose_head_is_out_is_withheld_all_the_same() -> None:
    """Symptom: the same, now and then, although it was asked again. Cause: the client writes a request's head, lets
    others run, and writes its body: who is stopped in between sends the body when it wakes up, and Discord has been
    waiting for it. Rule: the body has to be allowed as well; without it the request is never done.
    """
    came: list[bytes] = []
    gone = asyncio.Event()
    looks: list[None] = []

    async def listening(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read())
        gone.set()

    def may_go() -> bool:
        looks.append(None)
        return len(looks) == 1

    async with client_of(listening) as client:
        now = time.time()
        assert not await client.edit_original(
            TOKEN, Message("⏳"), received_at=now, expires_at=now + 60, final=False, may_go=may_go
        )
        await asyncio.wait_for(gone.wait(), 5)
    assert came[0].startswith(b"PATCH ")
    assert came[0].endswith(b"\r\n\r\n"), "no byte of the body has left"
