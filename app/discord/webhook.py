"""Puts the answer where "thinking…" stands: `PATCH /webhooks/{application}/{token}/messages/@original`.

The guarantee: calls for one token never overlap and keep their order; nothing is sent before Discord's wait is over,
nothing after the deadline, nothing for a message that is known to be gone, and no progress once a final edit began.
The edit is idempotent, so a final one is repeated until Discord has answered it. A further message is not: it is posted
again only where Discord can't have taken it.
Sources: https://discord.com/developers/docs/resources/webhook, /docs/topics/rate-limits; discord-api-docs#7220.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx2

from app.clock import Clock
from app.discord.caller import UNCLEAR, Call, Caller, OnCall, Reply
from app.discord.rate_limits import NoTimeLeft, held_before, wait_until_at
from app.discord.replies import Message, edit_payload, post_payload
from app.discord.token_states import TokenState
from app.discord.verdicts import Verdict
from app.discord.wire import ErrorCode, MessageFlag
from app.errors import AnswerGone

EARLY_RETRY_S: Final = 15.0
"""How long after receipt a 404 may still mean that Discord has not processed the deferral."""

PROGRESS_WAIT_MAX_S: Final = 1.0
PROGRESS_TIMEOUT_S: Final = 10.0
DELETE_WITHIN_S: Final = 60.0

ORIGINAL: Final = "@original"


class FollowUpClient:
    """What an interaction's token allows, over one pooled HTTP client that the caller owns.

    `on_call(outcome, seconds)` is told of each HTTP call; outcomes are `Verdict`'s values. `random` yields [0, 1).
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        api_url: str,
        application_id: str | int,
        clock: Clock,
        *,
        on_call: OnCall | None = None,
        invalid_limit: int = 25,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._webhooks = f"{api_url.rstrip('/')}/webhooks/{application_id}"
        self._clock = clock
        self.caller = Caller(http, clock, on_call=on_call, invalid_limit=invalid_limit, random=random)

    @property
    def invalid_responses(self) -> int:
        """Responses of 401, 403 and 429 within the last ten minutes: the figure Discord bans by."""
        return self.caller.guard.count

    @property
    def open_tokens(self) -> int:
        """Tokens in use, or seen in progress edits and still owed a final one."""
        return self.caller.states.open

    @property
    def remembered_tokens(self) -> int:
        """All tokens held in memory: the open ones and, for a minute, those just answered."""
        return len(self.caller.states)

    def pace(self, token: str) -> float:
        """Return the seconds until the next progress edit can go without harm: about one a second.

        Slower only where Discord says that less than half of a long limit is left: that is spread over the time to its
        reset. One call is always left for the final edit.
        """
        state = self.caller.states.of(token)
        moment = self.caller.everyone_until if state is None else self._next_progress_at(state)
        return max(0.0, moment - self._clock.monotonic())

    def _next_progress_at(self, state: TokenState) -> float:
        return max(state.next_progress_at(), self.caller.everyone_until)

    async def edit_original(
        self,
        token: str,
        message: Message,
        *,
        received_at: float,
        expires_at: float,
        final: bool = True,
        may_go: Callable[[], bool] | None = None,
    ) -> bool:
        """Replace the interaction's original response by `message`; return whether Discord has taken it.

        `received_at` and `expires_at` are wall-clock seconds: the interaction's receipt, and the moment after which
        nothing may be sent (15 minutes after receipt, less a margin).

        A final edit returns True or raises: `AnswerGone` (deleted or expired, told once and not asked again),
        `AnswerRejected` (send something simpler), `DiscordUnavailable` (Discord did not take it before `expires_at`).
        A progress edit (`final=False`) is best effort: it is sent once or not at all, returns False if it was not
        shown, and raises only `AnswerGone`. Cancelling it while its call is in flight takes effect once that call is
        over (at most ten seconds): Discord could otherwise apply the abandoned progress after the final edit. It is
        withheld if `may_go` says no when its head or its body is about to leave, however long it waited for that.
        """
        call = self._call("PATCH", token, f"messages/{ORIGINAL}", received_at, expires_at)
        call.message, call.payload, call.may_go = message, edit_payload(message), may_go
        state = self.caller.states.enter(token, call.deadline)
        try:
            return await (self._finish(call, state) if final else self._show_progress(call, state))
        finally:
            self.caller.states.leave(state)

    async def post(
        self,
        token: str,
        message: Message,
        *,
        received_at: float,
        expires_at: float,
        may_go: Callable[[], bool] | None = None,
    ) -> str:
        """Post one more message after the original and return its id; it is as private as the original is.

        Raises what a final edit raises, and `DeliveryUnknown` if it may stand there without our having its id. While
        `may_go` says no as its head or its body is about to leave, it waits; so does a final edit.
        """
        return await self._post(token, message, received_at, expires_at, may_go=may_go)

    async def tell(self, token: str, message: Message, *, within_s: float = DELETE_WITHIN_S) -> None:
        """Post a message that only the user sees, whoever sees the original; raises as `post` does."""
        now = self._clock.now()
        await self._post(token, message, now, now + within_s, ephemeral=True)

    async def _post(
        self,
        token: str,
        message: Message,
        received_at: float,
        expires_at: float,
        *,
        ephemeral: bool = False,
        may_go: Callable[[], bool] | None = None,
    ) -> str:
        call = self._call("POST", token, "", received_at, expires_at)
        call.idempotent, call.may_go = False, may_go
        state = self.caller.states.enter(token, call.deadline)
        call.message, call.payload = message, post_payload(message, ephemeral=ephemeral or bool(state.ephemeral))
        try:
            return str((await self.caller.settle(call, state)).body.get("id", ""))
        finally:
            self.caller.states.leave(state)

    async def is_private(self, token: str, *, received_at: float, expires_at: float) -> bool:
        """Return whether only the user sees the original, as Discord says now; raises as a final edit does."""
        call = self._call("GET", token, f"messages/{ORIGINAL}", received_at, expires_at)
        state = self.caller.states.enter(token, call.deadline)
        try:
            _learn_privacy(state, await self.caller.settle(call, state))
            return bool(state.ephemeral)
        finally:
            self.caller.states.leave(state)

    def unanswered(self, token: str) -> bool:
        """Whether Discord never said what became of some progress edit: it may still be done, even after the answer."""
        state = self.caller.states.of(token)
        return state is not None and state.unanswered

    async def original(self, token: str, *, within_s: float) -> Mapping[str, Any]:
        """Return the original as Discord shows it now; raises `AnswerGone` or `DiscordUnavailable`."""
        now = self._clock.now()
        call = self._call("GET", token, f"messages/{ORIGINAL}", 0.0, now + within_s)
        state = self.caller.states.enter(token, call.deadline)
        try:
            return (await self.caller.settle(call, state)).body
        finally:
            self.caller.states.leave(state)

    async def delete_original(self, token: str, *, within_s: float = DELETE_WITHIN_S) -> None:
        """Delete the original; for a component's token that is the message the component stands on.

        One that is gone already counts as deleted. Raises `AnswerGone` for a token that is dead, else as a final edit
        does, if Discord has not done it `within_s` seconds.
        """
        await self._delete(token, ORIGINAL, within_s)

    async def delete_message(self, token: str, message_id: str, *, within_s: float = DELETE_WITHIN_S) -> None:
        """Delete a message that was posted with this token; else as `delete_original`."""
        await self._delete(token, message_id, within_s)

    async def _delete(self, token: str, message_id: str, within_s: float) -> None:
        now = self._clock.now()
        call = self._call("DELETE", token, f"messages/{quote(message_id, safe='@')}", now, now + within_s)
        state = self.caller.states.enter(token, call.deadline)
        try:
            await self.caller.settle(call, state)
        except AnswerGone:
            if call.last.code != ErrorCode.UNKNOWN_MESSAGE:
                raise
        finally:
            state.final_started = True
            self.caller.states.leave(state)

    def _call(self, method: str, token: str, below: str, received_at: float, expires_at: float) -> Call:
        # Deadlines become monotonic here, so that a wall clock set forward or back in mid-call changes nothing.
        now, wall = self._clock.monotonic(), self._clock.now()
        early_s = min(EARLY_RETRY_S, received_at + EARLY_RETRY_S - wall)
        url = "/".join(filter(None, (self._webhooks, quote(token, safe=""), below)))
        return Call(method, url, token, deadline=now + expires_at - wall, early_until=now + early_s)

    async def _finish(self, call: Call, state: TokenState) -> bool:
        # Set before the lock is asked for: progress that waits for the lock gives way, progress in flight is awaited.
        state.final_started = True
        _learn_privacy(state, await self.caller.settle(call, state))
        return True

    async def _show_progress(self, call: Call, state: TokenState) -> bool:
        if not self._progress_welcome(state):
            return False
        try:
            async with held_before(self._clock, state.lock, call.deadline):
                # One call is left over for the final edit, which must not wait for the limit to reset.
                if not state.gone:
                    await wait_until_at(self._clock, self.caller.ready_at(state, spare=1), call.deadline)
                if not self._progress_welcome(state):
                    return False
                reply = await _finish_even_if_cancelled(self._send_progress(call, state))
        except NoTimeLeft:
            return False
        if reply.verdict is Verdict.GONE:
            raise AnswerGone(reply.problem)
        if reply.verdict is Verdict.OK:
            _learn_privacy(state, reply)
        return reply.verdict is Verdict.OK

    async def _send_progress(self, call: Call, state: TokenState) -> Reply:
        reply = await self.caller.send(call, state, PROGRESS_TIMEOUT_S)
        state.unanswered = state.unanswered or (reply.reached and reply.verdict in UNCLEAR)
        return reply

    def _progress_welcome(self, state: TokenState) -> bool:
        if state.gone:
            raise AnswerGone("this answer is known to be gone")
        wait = self.caller.ready_at(state, spare=1) - self._clock.monotonic()
        return not state.final_started and not self.caller.guard.strained and wait <= PROGRESS_WAIT_MAX_S


def _learn_privacy(state: TokenState, reply: Reply) -> None:
    flags = reply.body.get("flags")
    if isinstance(flags, int):
        state.ephemeral = bool(flags & MessageFlag.EPHEMERAL)


async def _finish_even_if_cancelled(call: Coroutine[Any, Any, Reply]) -> Reply:
    """Await `call`; if cancelled, still wait for its end before passing the cancellation on."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
    finally:
        task.cancel()
