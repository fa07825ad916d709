"""What every call of every provider keeps, whatever stands at the other end of the wire.

Only `ProviderError` and its kin come out, never with a key in them; the total deadline holds; a cancelled call closes
its connection at once; and no answer fills the memory.
"""

from __future__ import annotations

import asyncio
import gzip
import traceback
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.errors import (
    ProviderBadAnswer,
    ProviderError,
    ProviderKeyRejected,
    ProviderNotReached,
    ProviderQuotaExhausted,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
)
from tests.kit.waiting import wait_until
from tests.unit.providers.loopback import CHUNKED, OK, Loopback, Peer, Script, chunk, loopback, whole
from tests.unit.providers.subjects import API_SUBJECTS, KEY, SUBJECTS, Subject

_MEGABYTE = 1024 * 1024
_SHORT_S = 0.15
_LEAK = "sk-test"

subjects = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.name)
api_subjects = pytest.mark.parametrize("subject", API_SUBJECTS, ids=lambda s: s.name)


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A plain client; without TLS, whose set-up would take longer than most of these tests."""
    async with httpx2.AsyncClient(trust_env=False, verify=False) as made:
        yield made


async def failure(subject: Subject, client: httpx2.AsyncClient, script: Script, timeout_s: float = 10) -> ProviderError:
    """Return the error that a call ends in when the server follows `script`, checked for kin, name and leaks."""
    async with loopback(script) as server:
        return await failure_at(subject, client, server, timeout_s)


async def failure_at(subject: Subject, client: httpx2.AsyncClient, server: Loopback, timeout_s: float) -> ProviderError:
    """Like `failure`, against a server that the test keeps."""
    with pytest.raises(ProviderError) as caught:
        await subject.call(client, server.url, KEY, timeout_s)
    error = caught.value
    assert error.provider == subject.provider
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert KEY not in shown
    assert _LEAK not in str(error)
    assert len(str(error)) < 400
    return error


async def _hang(peer: Peer) -> None:
    await peer.gone.wait()


async def _hang_after_head(peer: Peer) -> None:
    await peer.send(OK + CHUNKED + b"\r\n" + chunk(b"{"))
    await peer.gone.wait()


async def _hang_in_error(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 500 Oops\r\n" + CHUNKED + b"\r\n" + chunk(b"{"))
    await peer.gone.wait()


async def _trickle(peer: Peer) -> None:
    await peer.send(OK + CHUNKED + b"\r\n")
    while True:
        await peer.send(chunk(b":\n\n"))
        await asyncio.sleep(0.01)


@subjects
@pytest.mark.parametrize("script", [_hang, _hang_after_head, _trickle])
async def test_the_total_deadline_holds(subject: Subject, script: Script, client: httpx2.AsyncClient) -> None:
    """Silence and a byte now and then both end as `ProviderTimeout` when the deadline comes, not later."""
    loop = asyncio.get_running_loop()
    async with loopback(script) as server:
        await subject_warm(subject, client, server)
        started = loop.time()
        error = await failure_at(subject, client, server, _SHORT_S)
        took = loop.time() - started
    assert type(error) is ProviderTimeout
    assert _SHORT_S * 0.9 <= took < _SHORT_S + 1.0


@api_subjects
async def test_the_deadline_holds_while_an_error_is_read(subject: Subject, client: httpx2.AsyncClient) -> None:
    """A status of 500 whose body never ends is a timeout too, since nobody knows yet what it says."""
    async with loopback(_hang_in_error) as server:
        await subject_warm(subject, client, server)
        assert type(await failure_at(subject, client, server, _SHORT_S)) is ProviderTimeout


async def subject_warm(subject: Subject, client: httpx2.AsyncClient, server: Loopback) -> None:
    """Load the SDK before time is measured."""
    if subject.provider == "openai":
        with pytest.raises(ProviderError):
            await subject.call(client, server.url, KEY, 0)


@subjects
@pytest.mark.parametrize("script", [_hang, _hang_after_head, _trickle])
async def test_cancelling_closes_the_connection_at_once(
    subject: Subject, script: Script, client: httpx2.AsyncClient
) -> None:
    """The cancellation passes through, and the server sees the connection end, before and during the body."""
    async with loopback(script) as server:
        task = asyncio.ensure_future(subject.call(client, server.url, KEY, 30))
        await wait_until(lambda: bool(server.peers and server.peers[0].head), 5, "the request to arrive")
        if script is not _hang:
            await wait_until(lambda: server.peers[0].sent > 0, 5, "the answer to begin")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_until(server.peers[0].gone.is_set, 1, "the server to see the connection closed")


@subjects
async def test_nobody_listening_is_known_as_never_sent(subject: Subject, client: httpx2.AsyncClient) -> None:
    """A refused connection is told apart from a lost one: the request can't have cost anything."""
    async with loopback(_hang) as server:
        pass
    assert type(await failure_at(subject, client, server, 5)) is ProviderNotReached


async def _cut_in_head(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 200 O")


async def _cut_in_body(peer: Peer) -> None:
    await peer.send(OK + b"content-type: application/json\r\ncontent-length: 1000\r\n\r\n" + b'{"a": "b')


async def _cut_in_chunk(peer: Peer) -> None:
    await peer.send(OK + CHUNKED + b"\r\n" + chunk(b'data: {"choices": []}\n\n') + b"ff\r\nabc")


async def _no_http(peer: Peer) -> None:
    await peer.send(b"SSH-2.0-OpenSSH_9.2\r\n" + KEY.encode() + b"\r\n")


@subjects
@pytest.mark.parametrize("script", [_cut_in_head, _cut_in_body, _cut_in_chunk, _no_http])
async def test_a_broken_connection_is_unavailable(subject: Subject, script: Script, client: httpx2.AsyncClient) -> None:
    """A connection cut anywhere, or something that is no HTTP, is retryable and was possibly sent."""
    assert type(await failure(subject, client, script)) is ProviderUnavailable


def _answer(status: str, body: bytes, *headers: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.send(whole(status, body, *headers))

    return script


_DEEP = b'data: {"a":' + b"[" * 100_000 + b"\n\n"


@api_subjects
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>welcome</html>",
        b"null",
        b"5",
        b"[]",
        b"{}",
        b"data: 5\n\n",
        b"data: []\n\n",
        b"data: null\n\n",
        b'data: {"cut": \n\n',
        b"data: \xff\xfe\n\n",
        b'data: {"choices": [{"delta": 7, "finish_reason": {}}]}\n\n',
        b'data: {"choices": {"a": 1}, "usage": 3}\n\n',
        _DEEP,
        _DEEP[6:],
        bytes(range(256)) * 10,
        b'{"base_resp": 7, "data": 7, "task_id": [], "status": {}, "file": "x", "metadata": 1}',
        b'{"base_resp": {"status_code": "x"}, "data": {"image_base64": [7]}, "file": {"download_url": 7}}',
    ],
)
async def test_an_answer_that_is_none_is_a_bad_answer(
    subject: Subject, body: bytes, client: httpx2.AsyncClient
) -> None:
    """Whatever stands in a 200, in the right format or not, is `ProviderBadAnswer` when there is no answer in it."""
    error = await failure(subject, client, _answer("200 OK", body, "content-type: text/event-stream"))
    assert type(error) is ProviderBadAnswer


_ECHO = f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}, "request": "Bearer {KEY}"}}'.encode()
_PAGE = b"<html><h1>Bad gateway</h1>" + f"authorization: Bearer {KEY}".encode() + b"<p>x</p>" * 1000 + b"</html>"


@api_subjects
@pytest.mark.parametrize("body", [b"", _ECHO, _PAGE, b"\xff\x00" * 50, b"[1]", b'{"error": "' + KEY.encode() + b'"}'])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", ProviderKeyRejected),
        ("403 Forbidden", ProviderKeyRejected),
        ("402 Payment Required", ProviderQuotaExhausted),
        ("429 Too Many Requests", ProviderRateLimited),
        ("500 Oops", ProviderUnavailable),
        ("502 Bad Gateway", ProviderUnavailable),
        ("529 Overloaded", ProviderUnavailable),
        ("302 Found", ProviderBadAnswer),
    ],
)
async def test_a_status_is_understood_without_a_readable_body(
    subject: Subject, status: str, kind: type[ProviderError], body: bytes, client: httpx2.AsyncClient
) -> None:
    """With an unknown body the status decides, and a key that the body echoes is not in the message."""
    location = "location: http://127.0.0.1:9/elsewhere"
    async with loopback(_answer(status, body, "retry-after: 7", location)) as server:
        error = await failure_at(subject, client, server, 5)
        assert len(server.peers) == 1, "neither retried nor redirected"
    assert type(error) is kind
    if kind is ProviderRateLimited:
        assert error.retry_after == 7


def _flood(head: bytes, unit: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.send(head + CHUNKED + b"\r\n")
        for _ in range(50):
            await peer.send(chunk(unit * (_MEGABYTE // len(unit))))
        await peer.send(b"0\r\n\r\n")

    return script


_ERROR_HEAD = b"HTTP/1.1 500 Oops\r\n"


@api_subjects
async def test_a_body_of_50_mb_is_not_read_to_its_end(subject: Subject, client: httpx2.AsyncClient) -> None:
    """The connection is closed once the limit is passed: what was sent by then is far from everything."""
    async with loopback(_flood(OK, b"x")) as server:
        assert type(await failure_at(subject, client, server, 20)) is ProviderBadAnswer
        await wait_until(server.peers[0].gone.is_set, 2, "the connection to close")
        # Pictures may have 32 MiB. What the kernel's buffers hold (some MB on loopback) counts as sent, read or not.
        allowed = 45 if subject.name.endswith("-image") else 12
        assert server.peers[0].sent < allowed * _MEGABYTE


@subjects
async def test_an_error_of_50_mb_is_hardly_read(subject: Subject, client: httpx2.AsyncClient) -> None:
    """Of an error's body only the beginning is read: the status has said most of it."""
    async with loopback(_flood(_ERROR_HEAD, b"x")) as server:
        assert type(await failure_at(subject, client, server, 20)) is ProviderUnavailable
        await wait_until(server.peers[0].gone.is_set, 2, "the connection to close")
        assert server.peers[0].sent < 12 * _MEGABYTE


@api_subjects
async def test_a_body_that_unpacks_to_50_mb_is_refused(subject: Subject, client: httpx2.AsyncClient) -> None:
    """Limits count what the body unpacks to, so that 50 KB of gzip can't become 50 MB."""
    bomb = gzip.compress(b"x" * (50 * _MEGABYTE))
    error = await failure(subject, client, _answer("200 OK", bomb, "content-encoding: gzip"))
    assert type(error) is ProviderBadAnswer


@api_subjects
async def test_a_body_that_does_not_unpack_is_a_bad_answer(subject: Subject, client: httpx2.AsyncClient) -> None:
    """A wrong Content-Encoding ends as our own error."""
    error = await failure(subject, client, _answer("200 OK", b"no gzip", "content-encoding: gzip"))
    assert type(error) in (ProviderBadAnswer, ProviderUnavailable)


@api_subjects
@pytest.mark.parametrize("key", ["", "sk-with\nnewline-9", "키-sk-9", "sk-trailing-9 "])
async def test_a_key_that_no_header_can_carry_is_rejected(
    subject: Subject, key: str, client: httpx2.AsyncClient
) -> None:
    """A key with a line break or a space from a file is a rejected key, and nothing is sent."""
    async with loopback(_hang) as server:
        with pytest.raises(ProviderKeyRejected) as caught:
            await subject.call(client, server.url, key, 5)
        assert server.peers == []
    assert "9" not in str(caught.value)
