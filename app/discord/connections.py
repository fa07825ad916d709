"""The HTTP client for Discord, whose connections don't outlive what they were to say."""

from __future__ import annotations

import socket
from urllib.request import getproxies

import httpx2

UNACKNOWLEDGED_MS = 2000
"""How long the kernel tries to get rid of what was written to a connection.

Without a bound it goes on for many minutes: an edit that was written just before this host lost its network would be
sent the moment it is back, over the final answer that another instance has given meanwhile. Instances are taken for
dead after 3 s without a sign of life, so what has not left by then must not leave any more.
"""


def discord_client(limits: httpx2.Limits) -> httpx2.AsyncClient:
    """Return a client for Discord's API. Through a proxy (HTTPS_PROXY) it is the proxy that does the sending."""
    if {"http", "https", "all"} & set(getproxies()):
        return httpx2.AsyncClient(limits=limits)
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux, RFC 5482
    options = [(socket.IPPROTO_TCP, option, UNACKNOWLEDGED_MS)] if option is not None else None
    return httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(limits=limits, socket_options=options))
