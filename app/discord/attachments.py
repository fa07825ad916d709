"""Fetching the files that users attach, from Discord's own hosts and nowhere else.

A payload names the address of each file (`resolved.attachments[].url`). The addresses are signed, so whoever has one
has the file: none is ever part of an error or a log line. Source:
https://discord.com/developers/docs/reference#signed-attachment-cdn-urls
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import httpx2

from app.errors import AttachmentUnavailable

HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
_LONGEST_CONNECT_S = 5.0
_PORTS = {"https": 443, "http": 80}


class AttachmentFetcher:
    """Fetches attachments over `http`, which stays the caller's to close.

    Besides Discord's hosts, over HTTPS, only the host and port of `api_url` are asked: where the API is somebody
    else's, a test's or a simulator's, its files are too.
    """

    def __init__(self, http: httpx2.AsyncClient, api_url: str) -> None:
        self._http = http
        self._own = _origin(httpx2.URL(api_url))

    async def fetch(self, url: str, *, max_bytes: int, timeout_s: float) -> bytes:
        """Return the file's bytes; raise `AttachmentUnavailable` if they can't be had within the bounds."""
        request = self._request(url, timeout_s)
        # Never `from` the original: httpx2's errors hold the request, and with it the address.
        try:
            async with asyncio.timeout(timeout_s):
                return await self._read(request, max_bytes)
        except TimeoutError:
            raise AttachmentUnavailable(f"the attachment did not come within {timeout_s:g} s") from None
        except httpx2.HTTPError as error:
            raise AttachmentUnavailable(f"the attachment could not be fetched: {type(error).__name__}") from None

    def _request(self, url: str, timeout_s: float) -> httpx2.Request:
        try:
            parsed = httpx2.URL(url)
            scheme, host, port = origin = _origin(parsed)
            if parsed.userinfo or not (origin == self._own or ((scheme, port) == ("https", 443) and host in HOSTS)):
                raise AttachmentUnavailable(f"the attachment is not at Discord: {scheme}://{host}:{port}"[:200])
            timeouts = httpx2.Timeout(timeout_s, connect=min(_LONGEST_CONNECT_S, timeout_s))
            # Uncompressed, so that the bound on bytes is one on what travels, too.
            return self._http.build_request("GET", parsed, headers={"accept-encoding": "identity"}, timeout=timeouts)
        except (httpx2.InvalidURL, ValueError):
            raise AttachmentUnavailable("the attachment's address is no web address") from None

    async def _read(self, request: httpx2.Request, max_bytes: int) -> bytes:
        response = await self._http.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            if response.status_code != httpx2.codes.OK:
                raise AttachmentUnavailable(f"the attachment is not served: HTTP {response.status_code}")
            body = bytearray()
            async with aclosing(response.aiter_bytes()) as pieces:
                async for piece in pieces:
                    body += piece
                    if len(body) > max_bytes:
                        raise AttachmentUnavailable(f"the attachment is larger than {max_bytes} bytes")
            return bytes(body)
        finally:
            await response.aclose()


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme)
