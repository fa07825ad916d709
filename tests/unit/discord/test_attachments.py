"""Files come from Discord's hosts only, within their bounds, and their addresses stay out of every error."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.discord.attachments import AttachmentFetcher
from app.errors import AttachmentUnavailable
from tests.kit.waiting import wait_until
from tests.unit.providers.loopback import CHUNKED, OK, Peer, Script, chunk, loopback, whole

API = "https://discord.com/api/v10"
SIGNED = "attachments/1/2/cat.png?ex=6543&is=1234&hm=0123456789abcdefsecret"


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A plain client; without TLS, whose set-up would take longer than most of these tests."""
    async with httpx2.AsyncClient(trust_env=False, verify=False) as made:
        yield made


async def failure(fetcher: AttachmentFetcher, url: str, *, max_bytes: int = 100, timeout_s: float = 5) -> str:
    """Return what the error says, checked for what must not be in it."""
    with pytest.raises(AttachmentUnavailable) as caught:
        await fetcher.fetch(url, max_bytes=max_bytes, timeout_s=timeout_s)
    shown = "".join(traceback.format_exception(caught.value))
    assert "secret" not in shown
    assert caught.value.__cause__ is None
    return str(caught.value)


def answered(requests: list[httpx2.Request]) -> httpx2.AsyncClient:
    """Return a client that gets a file from anywhere, and notes the requests."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(200, content=b"the file")

    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer))


@pytest.mark.parametrize(
    "url",
    [
        f"https://cdn.discordapp.com/{SIGNED}",
        f"https://media.discordapp.net/{SIGNED}",
        f"https://CDN.discordapp.com:443/{SIGNED}",
        f"https://discord.com/{SIGNED}",
    ],
)
async def test_discords_hosts_are_asked(url: str) -> None:
    """Both of them, and the API's own; nothing of ours goes along, and nothing compressed is asked for."""
    requests: list[httpx2.Request] = []
    async with answered(requests) as http:
        assert await AttachmentFetcher(http, API).fetch(url, max_bytes=8, timeout_s=5) == b"the file"
    (request,) = requests
    assert "authorization" not in request.headers
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "url",
    [
        f"http://cdn.discordapp.com/{SIGNED}",
        f"https://cdn.discordapp.com:8443/{SIGNED}",
        f"https://cdn.discordapp.com.evil.test/{SIGNED}",
        f"https://evil.test/cdn.discordapp.com/{SIGNED}",
        f"https://cdn.discordapp.com@evil.test/{SIGNED}",
        f"https://user:secret@cdn.discordapp.com/{SIGNED}",
        f"https://evil.test#cdn.discordapp.com/{SIGNED}",
        f"https://evil.test\\@cdn.discordapp.com/{SIGNED}",
        f"http://discord.com/{SIGNED}",
        f"http://127.0.0.1:8081/{SIGNED}",
        f"http://169.254.169.254/{SIGNED}",
        f"http://[::1]/{SIGNED}",
        f"https://xn--cdn-discordapp.com/{SIGNED}",
        f"file:///etc/passwd?{SIGNED}",
        f"//cdn.discordapp.com/{SIGNED}",
        SIGNED,
        "",
        "https://",
        "https://cdn.discordapp.com:99999/secret",
        "https://cdn.discordapp.com:x/secret",
        "https://cdn.discordapp.com/secret\n",
        "https://\ud83d/secret",
        "data:text/plain,secret",
    ],
)
async def test_no_other_place_is_asked(url: str) -> None:
    """Neither this machine nor its network nor a look-alike: the request is never made."""
    requests: list[httpx2.Request] = []
    async with answered(requests) as http:
        await failure(AttachmentFetcher(http, API), url)
    assert requests == []


async def test_another_apis_host_is_asked_at_its_own_port_only(client: httpx2.AsyncClient) -> None:
    """Where the API is a test's, its files are too, over plain HTTP; the next port is somebody else's."""
    async with loopback(_say(b"the file")) as server, loopback(_say(b"no")) as other:
        fetcher = AttachmentFetcher(client, f"{server.url}/api/v10")
        assert await fetcher.fetch(f"{server.url}/{SIGNED}", max_bytes=8, timeout_s=5) == b"the file"
        await failure(fetcher, f"{other.url}/{SIGNED}")
        assert other.peers == []


def _say(body: bytes, status: str = "200 OK", *headers: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.send(whole(status, body, *headers))

    return script


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "500 Oops", "204 No Content", "206 Partial"])
async def test_what_is_not_served_is_unavailable(status: str, client: httpx2.AsyncClient) -> None:
    """Only a whole file counts; the status is in the message for the operator."""
    async with loopback(_say(b"" if "204" in status else b"secret", status)) as server:
        assert status[:3] in await failure(AttachmentFetcher(client, server.url), f"{server.url}/{SIGNED}")


async def test_a_redirect_is_not_followed(client: httpx2.AsyncClient) -> None:
    """Nobody is sent anywhere else, even where the client is set to follow."""
    client.follow_redirects = True
    async with loopback(_say(b"no")) as other, loopback(_say(b"", "302 Found", f"location: {other.url}/x")) as server:
        await failure(AttachmentFetcher(client, server.url), f"{server.url}/{SIGNED}")
        assert other.peers == []


async def _flood(peer: Peer) -> None:
    await peer.send(OK + CHUNKED + b"\r\n")
    while not peer.gone.is_set():
        await peer.send(chunk(b"x" * 65_536))


async def test_a_file_larger_than_it_may_be_is_not_read_to_its_end(client: httpx2.AsyncClient) -> None:
    """An endless body is cut off at the bound, and the connection with it."""
    async with loopback(_flood) as server:
        said = await failure(AttachmentFetcher(client, server.url), f"{server.url}/{SIGNED}", max_bytes=100_000)
        await wait_until(server.peers[0].gone.is_set, 5, "the connection to close")
    assert "larger than 100000" in said


async def _hang(peer: Peer) -> None:
    await peer.gone.wait()


async def _trickle(peer: Peer) -> None:
    await peer.send(OK + CHUNKED + b"\r\n")
    while True:
        await peer.send(chunk(b"x"))
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("script", [_hang, _trickle])
async def test_the_deadline_holds(script: Script, client: httpx2.AsyncClient) -> None:
    """Silence and a byte now and then both end when the time is over."""
    loop = asyncio.get_running_loop()
    async with loopback(script) as server:
        started = loop.time()
        await failure(AttachmentFetcher(client, server.url), f"{server.url}/{SIGNED}", max_bytes=10**6, timeout_s=0.15)
    assert 0.1 < loop.time() - started < 2


async def _cut(peer: Peer) -> None:
    await peer.send(OK + b"content-length: 100\r\n\r\nhalf")


async def test_a_broken_connection_is_unavailable(client: httpx2.AsyncClient) -> None:
    """Cut in the middle, or nobody there at all."""
    async with loopback(_cut) as server:
        fetcher = AttachmentFetcher(client, server.url)
        await failure(fetcher, f"{server.url}/{SIGNED}")
    await failure(fetcher, f"{server.url}/{SIGNED}")


async def test_cancelling_ends_the_download(client: httpx2.AsyncClient) -> None:
    """A user who stops waits for nothing more, and the connection is closed."""
    async with loopback(_trickle) as server:
        fetcher = AttachmentFetcher(client, server.url)
        task = asyncio.ensure_future(fetcher.fetch(f"{server.url}/{SIGNED}", max_bytes=10**6, timeout_s=30))
        await wait_until(lambda: bool(server.peers and server.peers[0].sent), 5, "the body to begin")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_until(server.peers[0].gone.is_set, 5, "the connection to close")
