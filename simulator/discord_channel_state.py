"""Channels as the bot sees them: where it is, what it may do there, and what it has posted lately."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from simulator.config import SimulatorConfig
from simulator.discord_payloads import PERMISSIONS, Standing

VIEW_CHANNEL, SEND_MESSAGES, MANAGE_MESSAGES, ATTACH_FILES = 1 << 10, 1 << 11, 1 << 13, 1 << 15
ADMINISTRATOR = 1 << 3
KEEP = 10_000


@dataclass(slots=True)
class Channel:
    """One channel. `bot` says whether the bot itself is there; in direct messages nothing needs permission."""

    id: str
    place: str
    bot: bool
    permissions: int

    def allows(self, wanted: int) -> bool:
        """Say whether the bot has these permissions."""
        free = self.place != "guild" or self.permissions & ADMINISTRATOR
        return bool(free) or self.permissions & wanted == wanted


class ChannelBook:
    """Every channel somebody used the application in, and the nonces of the bot's newest messages."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._nonce_s = config.nonce_s
        self._channels: dict[str, Channel] = {}
        self._nonces: OrderedDict[tuple[str, str], tuple[float, str]] = OrderedDict()
        for place in ("guild", "dm", "user_install"):
            self.entered(Standing(place=place))

    def entered(self, standing: Standing) -> Channel:
        """Return the channel where a user stands; with `app_permissions` the bot's permissions there are now these."""
        found = self._channels.get(standing.channel)
        if found is None:
            found = Channel(standing.channel, standing.place, "0" in standing.owners, int(PERMISSIONS))
            self._channels[found.id] = found
        if standing.app_permissions is not None:
            found.permissions = int(standing.app_permissions)
        return found

    def get(self, channel_id: str) -> Channel | None:
        """Return a channel by its id."""
        return self._channels.get(channel_id)

    def said(self, channel_id: str, nonce: str | int) -> str | None:
        """Return the id of the message the bot posted with this nonce in the last minutes."""
        when, message = self._nonces.get((channel_id, str(nonce)), (0.0, ""))
        return message if message and time.monotonic() - when < self._nonce_s else None

    def note(self, channel_id: str, nonce: str | int, message_id: str) -> None:
        """Remember a posted message's nonce."""
        self._nonces[channel_id, str(nonce)] = (time.monotonic(), message_id)
        while len(self._nonces) > KEEP:
            self._nonces.popitem(last=False)
