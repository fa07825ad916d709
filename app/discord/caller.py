"""Makes calls to Discord: paced by what it says of its limits, repeated where that is safe, judged, free of secrets."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from app.clock import Clock
from app.discord.api_errors import ApiError, json_object, read_error
from app.discord.rate_limits import (
    InvalidResponseGuard,
    NoTimeLeft,
    held_before,
    read_rate_limit,
    wait_until_at,
)
from app.discord.replies import JSON_MEDIA_TYPE, Message, encode, multipart_fields
from app.discord.token_states import TokenState, TokenStates
from app.discord.verdicts import COUNTED_STATUSES, Verdict, judge
from app.discord.wire import USER_AGENT, ErrorCode
from app.errors import AnswerGone, AnswerRejected, DeliveryUnknown, DiscordUnavailable
from app.redaction import excerpt, redact

FINAL_TIMEOUT_S: Final = 30.0
_EARLY_BACKOFF_S = (0.25, 2.0)
_FAILURE_BACKOFF_S = (0.5, 8.0)
_BLIND_BACKOFF_S = (5.0, 60.0)

UNCLEAR = frozenset({Verdict.TIMED_OUT, Verdict.NETWORK, Verdict.UNAVAILABLE})
"""Verdicts after which the call may have been done all the same."""

OnCall = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """How one call went; `problem` is safe to show to an operator. `reached` is whether Discord may have heard it.

    `code` is the JSON code of an error, `body` the JSON object of a success.
    """

    verdict: Verdict
    problem: str = ""
    code: int = 0
    reached: bool = True
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One call on its way; times are the monotonic clock's. `secret` is what its problems must not show.

    Until `early_until` a 404 may mean that Discord has not made the webhook yet. One that is not `idempotent` is never
    made again once Discord may have heard it. `may_go` is asked when its head and when its body are about to leave.
    """

    method: str
    url: str
    secret: str
    deadline: float
    message: Message | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    early_until: float = 0.0
    idempotent: bool = True
    may_go: Callable[[], bool] | None = None
    early_tries: int = 0
    failures: int = 0
    last: Reply = field(default_factory=lambda: Reply(Verdict.NETWORK, "nothing was sent"))


class Caller:
    """Calls over one pooled HTTP client that the caller owns; one for everything a process says to Discord.

    `on_call(outcome, seconds)` is told of each HTTP call; outcomes are `Verdict`'s values. `random` yields [0, 1).
    """

    def __init__(
        self,
        http: httpx2.AsyncClient,
        clock: Clock,
        *,
        on_call: OnCall | None = None,
        invalid_limit: int = 25,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._http = http
        self._clock = clock
        self._on_call = on_call
        self._random = random
        self.states = TokenStates(clock)
        self.guard = InvalidResponseGuard(clock, invalid_limit)
        self.everyone_until = 0.0
        self._blind_waits = 0
        keep_tokens_out_of_logs()

    async def settle(self, call: Call, state: TokenState) -> Reply:
        """Repeat a call until Discord has taken it; calls on one state never overlap and keep their order.

        Raises `AnswerGone`, `AnswerRejected`, `DiscordUnavailable` (not taken before its deadline), and
        `DeliveryUnknown` for one that may not be repeated and whose answer got lost.
        """
        with suppress(NoTimeLeft):
            async with held_before(self._clock, state.lock, call.deadline):
                while True:
                    if state.gone:
                        raise AnswerGone("this answer is known to be gone")
                    call.last = reply = await self._send_in_turn(call, state)
                    if reply.verdict is Verdict.OK:
                        return reply
                    self._raise_if_settled(call, reply)
                    await wait_until_at(self._clock, self._clock.monotonic() + self._pause(call), call.deadline)
        raise DiscordUnavailable(f"Discord did not take this in time; last: {call.last.problem}")

    def ready_at(self, state: TokenState, *, spare: int = 0) -> float:
        """Return when a call may be made that leaves `spare` more."""
        return max(state.ready_at(spare=spare), self.everyone_until)

    async def send(self, call: Call, state: TokenState, timeout_s: float) -> Reply:
        """Make the call once, now."""
        started = self._clock.monotonic()
        timeout = min(timeout_s, call.deadline - started)
        if timeout <= 0:
            raise NoTimeLeft
        state.called(started)
        response, problem = await self._request(call, timeout)
        reply = problem if response is None else self._read(response, call, state)
        if self._on_call is not None:
            self._on_call(reply.verdict.value, self._clock.monotonic() - started)
        return reply

    async def _send_in_turn(self, call: Call, state: TokenState) -> Reply:
        """Send as soon as the state's limits, the global limit and the guard allow it."""
        while True:
            await wait_until_at(self._clock, self.ready_at(state), call.deadline)
            async with self.guard.turn(call.deadline):
                # Another token's 429 may have stopped everybody while this one waited for its turn.
                if self.ready_at(state) <= self._clock.monotonic():
                    return await self.send(call, state, FINAL_TIMEOUT_S)

    def _raise_if_settled(self, call: Call, reply: Reply) -> None:
        """Raise for a verdict that trying again can't change, or may not."""
        young = self._clock.monotonic() < call.early_until
        if reply.verdict is Verdict.GONE or (reply.verdict is Verdict.EARLY and not young):
            raise AnswerGone(reply.problem)
        if reply.verdict in (Verdict.REJECTED, Verdict.TOO_LARGE):
            raise AnswerRejected(reply.problem, too_large=reply.verdict is Verdict.TOO_LARGE)
        if reply.verdict is Verdict.BLOCKED:
            raise DiscordUnavailable(reply.problem)
        if not call.idempotent and reply.reached and reply.verdict in UNCLEAR:
            raise DeliveryUnknown(reply.problem)

    def _pause(self, call: Call) -> float:
        """Return how long to wait before the next try, in seconds; a 429's wait is kept by the state."""
        verdict = call.last.verdict
        if verdict is Verdict.RATE_LIMITED:
            return 0.0
        if verdict is Verdict.EARLY:
            call.early_tries += 1
            return min(_grown(_EARLY_BACKOFF_S, call.early_tries), call.early_until - self._clock.monotonic())
        call.failures += 1
        return _grown(_FAILURE_BACKOFF_S, call.failures) * (0.5 + 0.5 * self._random())

    async def _request(self, call: Call, timeout: float) -> tuple[httpx2.Response | None, Reply]:
        """Make one call. Exceptions end here: the HTTP client's hold the URL, and the URL may hold a token."""
        headers = {"User-Agent": USER_AGENT, **call.headers}
        body: dict[str, Any] = {}
        if call.message is not None and call.message.attachments:
            body = {"files": multipart_fields(call.message, call.payload)}
        elif call.message is not None:
            body = {"content": encode(call.payload)}
            headers["Content-Type"] = JSON_MEDIA_TYPE
        extensions = {"trace": _last_look(call.may_go)} if call.may_go is not None else None
        try:
            # The client's own time-outs are per read and write; a response that trickles needs one for the whole.
            async with asyncio.timeout(timeout):
                request = self._http.build_request(
                    call.method, call.url, headers=headers, timeout=timeout, extensions=extensions, **body
                )
                if call.may_go is not None:
                    request.stream = _Watched(request.stream, call.may_go)
                return await self._http.send(request), Reply(Verdict.OK)
        except _Withheld:
            return None, Reply(Verdict.NETWORK, "withheld: it may not be sent any more", reached=False)
        except (httpx2.ConnectTimeout, httpx2.PoolTimeout):
            return None, Reply(Verdict.TIMED_OUT, f"no connection within {timeout:.1f} s", reached=False)
        except (TimeoutError, httpx2.TimeoutException):
            return None, Reply(Verdict.TIMED_OUT, f"no response within {timeout:.1f} s")
        except httpx2.HTTPError as error:
            problem = f"{type(error).__name__}: {excerpt(str(error), (call.secret,))}"
            return None, Reply(Verdict.NETWORK, problem, reached=not isinstance(error, httpx2.ConnectError))

    def _read(self, response: httpx2.Response, call: Call, state: TokenState) -> Reply:
        """Learn from a response what it says about limits, and judge it."""
        now = self._clock.monotonic()
        state.learn(response.headers, now)
        if response.is_success:
            self.guard.saw_success()
            self._blind_waits = 0
            return Reply(Verdict.OK, body=json_object(response))
        error = read_error(response)
        verdict = judge(error)
        counted = error.status in COUNTED_STATUSES
        if verdict is Verdict.RATE_LIMITED:
            counted = self._obey(error, response, state, now)
        if counted:
            self.guard.saw_invalid()
        # A message that was to be deleted and is not there is no sign that others are not.
        spared = call.method == "DELETE" and error.code == ErrorCode.UNKNOWN_MESSAGE
        state.gone = state.gone or (verdict is Verdict.GONE and not spared)
        return Reply(verdict, excerpt(str(error), (call.secret,)), code=error.code)

    def _obey(self, error: ApiError, response: httpx2.Response, state: TokenState, now: float) -> bool:
        """Block the state, or everybody, for as long as a 429 says; return whether it counts as invalid."""
        limit = read_rate_limit(error, response.headers)
        wait = limit.retry_after
        if wait is None:
            self._blind_waits += 1
            wait = _grown(_BLIND_BACKOFF_S, self._blind_waits)
        if limit.everywhere:
            self.everyone_until = max(self.everyone_until, now + wait)
        else:
            state.blocked_until = max(state.blocked_until, now + wait)
        return limit.counted


class _Withheld(Exception):
    """The call may not be made any more; it was not sent, or not whole."""


def _last_look(may_go: Callable[[], bool]) -> Callable[[str, object], Awaitable[None]]:
    """Return a trace for the HTTP client that lets nothing out unless it still may go.

    A process can stand still for a minute between any two lines, also while it waits for a connection; what it was
    about to say may be long out of date by then. The client asks this right before it writes.
    """

    async def trace(event: str, _info: object) -> None:
        if event.endswith("send_request_headers.started") and not may_go():
            raise _Withheld

    return trace


class _Watched(httpx2.AsyncByteStream):
    """A request's body of which no piece leaves unless it still may; a request that does not come whole is not done.

    httpx2's own transport writes a request's head and its body in different turns of the event loop.
    """

    def __init__(self, body: httpx2.SyncByteStream | httpx2.AsyncByteStream, may_go: Callable[[], bool]) -> None:
        assert isinstance(body, httpx2.AsyncByteStream)
        self._body = body
        self._may_go = may_go

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            if not self._may_go():
                raise _Withheld
            yield piece


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
