"""Connections are kept on both sides of nginx, in a rush as well."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.acceptance.proxy_kit import Client, connected, front, interaction, needs_nginx

pytestmark = needs_nginx

CLIENTS = 64
EACH = 10


async def test_a_rush_opens_no_more_connections_than_it_has_clients(tmp_path: Path) -> None:
    """640 interactions that arrive 64 at a time and are answered together need at most 64 connections to the instance.

    Symptom: 10,000 interactions of 64 clients opened 3,062. Cause: nginx kept 16 idle connections, and a group commit
    makes all of them idle at once. Rule: as many idle ones are kept as a rush uses.
    """
    async with front(tmp_path, count=1) as running:
        (instance,) = running.instances
        instance.delay = 0.02

        async def ask(number: int) -> None:
            async with connected(running.public_port) as client:
                for turn in range(EACH):
                    await _answered(client, number * EACH + turn)

        await asyncio.gather(*(ask(number) for number in range(CLIENTS)))
        assert len(running.arrivals) == CLIENTS * EACH
        assert instance.connections <= CLIENTS


async def _answered(client: Client, user: int) -> None:
    answer = await client.post(interaction(10**18 + user))
    assert answer.status == 200
