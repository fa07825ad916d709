"""Discord as one instance speaks to it: one HTTP client, one guard against bans, and who makes use of them."""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from app.clock import Clock
from app.discord.channels import ChannelClient
from app.discord.connections import discord_client
from app.discord.webhook import FollowUpClient
from app.jobs.job import Job
from app.jobs.store import JobStore
from app.metrics import Metrics
from app.settings import InstanceSettings
from app.worker.delivery import Delivery
from app.worker.late import LateAnswers
from app.worker.removal import Removal
from app.worker.second_look import SecondLook

INVALID_RESPONSES_ALLOWED = 100
"""Invalid responses in ten minutes that all instances together may provoke at Discord, which bans at 10,000."""


class Replying:
    """The clients and what answers, takes back and looks again with them. `close` ends what is under way."""

    def __init__(
        self, settings: InstanceSettings, connections: httpx2.Limits, store: JobStore, clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._clock = clock
        self.invalid_limit = max(1, INVALID_RESPONSES_ALLOWED // settings.instance_count)
        self.http = discord_client(connections)
        self._follow_up = FollowUpClient(
            self.http,
            settings.discord_api_url,
            settings.discord_application_id,
            clock,
            on_call=metrics.webhook_called,
            invalid_limit=self.invalid_limit,
        )
        token = settings.discord_token.get_secret_value()
        self._channels = ChannelClient(self._follow_up.caller, settings.discord_api_url, token, clock)
        self.removal = Removal(self._follow_up, self._channels, store, clock)
        self._second_look = SecondLook(self._follow_up, clock)

    def delivery(self, holds: Callable[[Job], bool]) -> Delivery:
        """Return what brings answers to their users; `holds` says whether a job is still ours to answer."""
        late = LateAnswers(self._follow_up, self._channels, self._store, self._clock, holds=holds)
        return Delivery(
            self._follow_up, self._store, self._clock, holds=holds, late=late, second_look=self._second_look
        )

    def invalid_responses(self) -> int:
        """How many of this instance's calls Discord lately called invalid."""
        return self._follow_up.caller.guard.count

    async def close(self) -> None:
        """Give up what is still to be looked at or taken back, and close the connections."""
        await self._second_look.close()
        await self.removal.close()
        await self.http.aclose()
