"""Posts to channels with the bot's own token: for answers that came after the interaction's token had died.

Sources: https://discord.com/developers/docs/resources/message#create-message (nonce, enforce_nonce), #delete-message.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from app.clock import Clock
from app.discord.caller import Call, Caller
from app.discord.models import Interaction
from app.discord.replies import Message, post_payload
from app.discord.wire import ChannelType, ErrorCode, InteractionContext, Permission
from app.errors import AnswerGone, DiscordUnavailable

POST_WITHIN_S: Final = 60.0
DELETE_WITHIN_S: Final = 60.0

_THREADS = (ChannelType.ANNOUNCEMENT_THREAD, ChannelType.PUBLIC_THREAD, ChannelType.PRIVATE_THREAD)
_POSTING = Permission.VIEW_CHANNEL | Permission.ATTACH_FILES


class ChannelClient:
    """What the bot's token allows, through the one caller that everything said to Discord goes through."""

    def __init__(self, caller: Caller, api_url: str, token: str, clock: Clock) -> None:
        self._caller = caller
        self._channels = f"{api_url.rstrip('/')}/channels"
        self._token = token
        self._clock = clock

    @property
    def available(self) -> bool:
        """Whether there is a token at all."""
        return bool(self._token)

    async def post(
        self, channel_id: str, message: Message, *, nonce: str, user_id: str, within_s: float = POST_WITHIN_S
    ) -> str:
        """Post a message that may ping `user_id` and nobody else; return its id.

        `nonce` (at most 25 characters) makes it safe to repeat: for some minutes Discord answers the same nonce with
        the message that it made the first time. Raises `AnswerGone` (no such channel), `AnswerRejected` (not permitted
        there, or this content is refused), `DiscordUnavailable` (no token, or not taken within `within_s` seconds).
        """
        call = self._call("POST", f"{quote(channel_id, safe='')}/messages", within_s)
        payload = post_payload(message, user_id=user_id)
        call.message, call.payload = message, {**payload, "nonce": nonce, "enforce_nonce": True}
        return str((await self._settle(call, f"POST {channel_id}")).get("id", ""))

    async def delete(self, channel_id: str, message_id: str, *, within_s: float = DELETE_WITHIN_S) -> None:
        """Delete a message; one that is gone already counts as deleted. Else raises as `post` does."""
        path = f"{quote(channel_id, safe='')}/messages/{quote(message_id, safe='')}"
        call = self._call("DELETE", path, within_s)
        try:
            await self._settle(call, f"DELETE {channel_id}")
        except AnswerGone:
            if call.last.code != ErrorCode.UNKNOWN_MESSAGE:
                raise

    def _call(self, method: str, path: str, within_s: float) -> Call:
        deadline = self._clock.monotonic() + within_s
        headers = {"Authorization": f"Bot {self._token}"}
        return Call(method, f"{self._channels}/{path}", self._token, deadline, headers=headers)

    async def _settle(self, call: Call, route: str) -> dict[str, object]:
        """Make the call in turn with others on its route, which is what Discord limits."""
        if not self.available:
            raise DiscordUnavailable("no bot token is configured")
        # A name no interaction token has: those are not made of words.
        state = self._caller.states.enter(f"channel {route}", call.deadline)
        state.final_started = True
        try:
            return dict((await self._caller.settle(call, state)).body)
        finally:
            # What failed here once may work later: a channel is no token, which dies for good.
            state.gone = False
            self._caller.states.leave(state)


def reachable(interaction: Interaction) -> bool:
    """Whether the bot may post, with files, where the interaction came from."""
    if not interaction.bot_present or interaction.channel_id is None:
        return False
    if interaction.guild_id is None:
        return interaction.payload.get("context") == InteractionContext.BOT_DM
    permissions = interaction.app_permissions
    channel = interaction.payload.get("channel")
    in_thread = isinstance(channel, dict) and channel.get("type") in _THREADS
    sending = Permission.SEND_MESSAGES_IN_THREADS if in_thread else Permission.SEND_MESSAGES
    needed = _POSTING | sending
    return bool(permissions & Permission.ADMINISTRATOR) or permissions & needed == needed
