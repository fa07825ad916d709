"""Puts the answer where "thinking…" stands: `PATCH /webhooks/{application}/{token}/messages/@original`.

The guarantee: calls for one token never overlap and keep their order; nothing is sent before Discord's wait is over,
nothing after the deadline, nothing for a message that is known to be gone, and no progress once a final edit began.
The edit is idempotent, so a final one is repeated until Discord has answered it.
Sources: https://discord.com/developers/docs/resources/webhook, /docs/topics/rate-limits; discord-api-docs#7220.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx2

from app.clock import Clock
from app.discord.api_errors import ApiError, read_error
from app.discord.rate_limits import (
    InvalidResponseGuard,
    NoTimeLeft,
    TokenState,
    TokenStates,
    held_before,
    read_rate_limit,
    wait_until_at,
)
from app.discord.replies import JSON_MEDIA_TYPE, Message, edit_payload, encode, multipart_fields
from app.discord.verdicts import COUNTED_STATUSES, Verdict, judge
from app.discord.wire import USER_AGENT
from app.errors import AnswerGone, AnswerRejected, DiscordUnavailable
from app.redaction import excerpt, redact

EARLY_RETRY_S: Final = 15.0
"""How long after receipt a 404 may still mean that Discord has not processed the deferral."""

PROGRESS_WAIT_MAX_S: Final = 1.0
FINAL_TIMEOUT_S: Final = 30.0
PROGRESS_TIMEOUT_S: Final = 10.0
_EARLY_BACKOFF_S = (0.25, 2.0)
_FAILURE_BACKOFF_S = (0.5, 8.0)
_BLIND_BACKOFF_S = (5.0, 60.0)

OnCall = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """How one call went; `problem` is safe to show to an operator."""

    verdict: Verdict
    problem: str = ""


@dataclass(slots=True)
class _Edit:
    """One edit on its way; times are the monotonic clock's."""

    token: str
    message: Message
    deadline: float
    early_until: float
    early_tries: int = 0
    failures: int = 0
    last: Reply = field(default_factory=lambda: Reply(Verdict.NETWORK, "nothing was sent"))


class FollowUpClient:
    """Edits the original response of deferred interactions, over one pooled HTTP client that the caller owns.

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
        self._http = http
        self._webhooks = f"{api_url.rstrip('/')}/webhooks/{application_id}"
        self._clock = clock
        self._on_call = on_call
        self._random = random
        self._states = TokenStates(clock)
        self._guard = InvalidResponseGuard(clock, invalid_limit)
        self._everyone_until = 0.0
        self._blind_waits = 0
        keep_tokens_out_of_logs()

    @property
    def invalid_responses(self) -> int:
        """Responses of 401, 403 and 429 within the last ten minutes: the figure Discord bans by."""
        return self._guard.count

    @property
    def open_tokens(self) -> int:
        """Tokens in use, or seen in progress edits and still owed a final one."""
        return self._states.open

    @property
    def remembered_tokens(self) -> int:
        """All tokens held in memory: the open ones and, for a minute, those just answered."""
        return len(self._states)

    async def edit_original(
        self, token: str, message: Message, *, received_at: float, expires_at: float, final: bool = True
    ) -> bool:
        """Replace the interaction's original response by `message`; return whether Discord has taken it.

        `received_at` and `expires_at` are wall-clock seconds: the interaction's receipt, and the moment after which
        nothing may be sent (15 minutes after receipt, less a margin).

        A final edit returns True or raises: `AnswerGone` (deleted or expired, told once and not asked again),
        `AnswerRejected` (send something simpler), `DiscordUnavailable` (Discord did not take it before `expires_at`).
        A progress edit (`final=False`) is best effort: it is sent once or not at all, returns False if it was not
        shown, and raises only `AnswerGone`. Cancelling it while its call is in flight takes effect once that call is
        over (at most ten seconds): Discord could otherwise apply the abandoned progress after the final edit.
        """
        # Deadlines become monotonic here, so that a wall clock set forward or back in mid-call changes nothing.
        now, wall = self._clock.monotonic(), self._clock.now()
        early_s = min(EARLY_RETRY_S, received_at + EARLY_RETRY_S - wall)
        edit = _Edit(token, message, deadline=now + expires_at - wall, early_until=now + early_s)
        state = self._states.enter(token, edit.deadline)
        try:
            return await (self._finish(edit, state) if final else self._show_progress(edit, state))
        except NoTimeLeft:
            if not final:
                return False
        finally:
            self._states.leave(state)
        raise DiscordUnavailable(f"Discord did not take the answer in time; last: {edit.last.problem}")

    async def _show_progress(self, edit: _Edit, state: TokenState) -> bool:
        if not self._progress_welcome(state):
            return False
        async with held_before(self._clock, state.lock, edit.deadline):
            # One call is left over for the final edit, which must not wait for the limit to reset.
            if not state.gone:
                await wait_until_at(self._clock, self._ready_at(state, spare=1), edit.deadline)
            if not self._progress_welcome(state):
                return False
            reply = await _finish_even_if_cancelled(self._send(edit, state, PROGRESS_TIMEOUT_S))
        if reply.verdict is Verdict.GONE:
            raise AnswerGone(reply.problem)
        return reply.verdict is Verdict.OK

    def _progress_welcome(self, state: TokenState) -> bool:
        if state.gone:
            raise AnswerGone("this answer is known to be gone")
        wait = self._ready_at(state, spare=1) - self._clock.monotonic()
        return not state.final_started and not self._guard.strained and wait <= PROGRESS_WAIT_MAX_S

    async def _finish(self, edit: _Edit, state: TokenState) -> bool:
        # Set before the lock is asked for: progress that waits for the lock gives way, progress in flight is awaited.
        state.final_started = True
        async with held_before(self._clock, state.lock, edit.deadline):
            while True:
                if state.gone:
                    raise AnswerGone("this answer is known to be gone")
                edit.last = reply = await self._send_in_turn(edit, state)
                if reply.verdict is Verdict.OK:
                    return True
                self._raise_if_settled(edit, reply)
                await wait_until_at(self._clock, self._clock.monotonic() + self._pause(edit), edit.deadline)

    async def _send_in_turn(self, edit: _Edit, state: TokenState) -> Reply:
        """Send as soon as the token's limit, the global limit and the guard allow it."""
        while True:
            await wait_until_at(self._clock, self._ready_at(state), edit.deadline)
            async with self._guard.turn(edit.deadline):
                # Another token's 429 may have stopped everybody while this one waited for its turn.
                if self._ready_at(state) <= self._clock.monotonic():
                    return await self._send(edit, state, FINAL_TIMEOUT_S)

    def _ready_at(self, state: TokenState, *, spare: int = 0) -> float:
        return max(state.ready_at(spare=spare), self._everyone_until)

    def _raise_if_settled(self, edit: _Edit, reply: Reply) -> None:
        """Raise for a verdict that trying again can't change."""
        young = self._clock.monotonic() < edit.early_until
        if reply.verdict is Verdict.GONE or (reply.verdict is Verdict.EARLY and not young):
            raise AnswerGone(reply.problem)
        if reply.verdict in (Verdict.REJECTED, Verdict.TOO_LARGE):
            raise AnswerRejected(reply.problem, too_large=reply.verdict is Verdict.TOO_LARGE)
        if reply.verdict is Verdict.BLOCKED:
            raise DiscordUnavailable(reply.problem)

    def _pause(self, edit: _Edit) -> float:
        """Return how long to wait before the next try, in seconds; a 429's wait is kept by the token's state."""
        verdict = edit.last.verdict
        if verdict is Verdict.RATE_LIMITED:
            return 0.0
        if verdict is Verdict.EARLY:
            edit.early_tries += 1
            return min(_grown(_EARLY_BACKOFF_S, edit.early_tries), edit.early_until - self._clock.monotonic())
        edit.failures += 1
        return _grown(_FAILURE_BACKOFF_S, edit.failures) * (0.5 + 0.5 * self._random())

    async def _send(self, edit: _Edit, state: TokenState, timeout_s: float) -> Reply:
        started = self._clock.monotonic()
        timeout = min(timeout_s, edit.deadline - started)
        if timeout <= 0:
            raise NoTimeLeft
        response, problem = await self._request(edit, timeout)
        reply = problem if response is None else self._read(response, edit, state)
        if self._on_call is not None:
            self._on_call(reply.verdict.value, self._clock.monotonic() - started)
        return reply

    async def _request(self, edit: _Edit, timeout: float) -> tuple[httpx2.Response | None, Reply]:
        """Make one call. Exceptions end here: the HTTP client's hold the URL, and the URL holds the token."""
        url = f"{self._webhooks}/{quote(edit.token, safe='')}/messages/@original"
        headers = {"User-Agent": USER_AGENT}
        body: dict[str, Any] = {"files": multipart_fields(edit.message)}
        if not edit.message.attachments:
            body = {"content": encode(edit_payload(edit.message))}
            headers["Content-Type"] = JSON_MEDIA_TYPE
        try:
            # The client's own time-outs are per read and write; a response that trickles needs one for the whole.
            async with asyncio.timeout(timeout):
                response = await self._http.request("PATCH", url, headers=headers, timeout=timeout, **body)
                return response, Reply(Verdict.OK)
        except (TimeoutError, httpx2.TimeoutException):
            return None, Reply(Verdict.TIMED_OUT, f"no response within {timeout:.1f} s")
        except httpx2.HTTPError as error:
            return None, Reply(Verdict.NETWORK, f"{type(error).__name__}: {excerpt(str(error), (edit.token,))}")

    def _read(self, response: httpx2.Response, edit: _Edit, state: TokenState) -> Reply:
        """Learn from a response what it says about limits, and judge it."""
        now = self._clock.monotonic()
        state.learn(response.headers, now)
        if response.is_success:
            self._guard.saw_success()
            self._blind_waits = 0
            return Reply(Verdict.OK)
        error = read_error(response)
        verdict = judge(error)
        counted = error.status in COUNTED_STATUSES
        if verdict is Verdict.RATE_LIMITED:
            counted = self._obey(error, response, state, now)
        if counted:
            self._guard.saw_invalid()
        state.gone = state.gone or verdict is Verdict.GONE
        return Reply(verdict, excerpt(str(error), (edit.token,)))

    def _obey(self, error: ApiError, response: httpx2.Response, state: TokenState, now: float) -> bool:
        """Block the token, or every token, for as long as a 429 says; return whether it counts as invalid."""
        limit = read_rate_limit(error, response.headers)
        wait = limit.retry_after
        if wait is None:
            self._blind_waits += 1
            wait = _grown(_BLIND_BACKOFF_S, self._blind_waits)
        if limit.everywhere:
            self._everyone_until = max(self._everyone_until, now + wait)
        else:
            state.blocked_until = max(state.blocked_until, now + wait)
        return limit.counted


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


def _grown(bounds: tuple[float, float], times: int) -> float:
    """Return the first bound doubled with each time after the first, up to the second."""
    first, most = bounds
    return float(min(first * 2 ** min(times - 1, 16), most))


class _RedactingFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


_FILTER = _RedactingFilter()


def keep_tokens_out_of_logs() -> None:
    """Redact what the HTTP client logs for each request: the URL with the token in it. Doing it again is harmless."""
    logging.getLogger("httpx2").addFilter(_FILTER)
