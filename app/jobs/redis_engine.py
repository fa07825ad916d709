"""One Redis or Valkey server shared by the instances of any number of hosts.

Every change is one Lua script, which Redis runs as a whole and alone (https://redis.io/docs/latest/develop/programmability/eval-intro/).
A caller's await returns after the server's reply, which with `appendfsync always` comes after the disk has it. Calls of
one kind that are asked for while one of them is under way go together in the next: what a flush costs hardly depends
on how much is flushed.

Nothing here waits longer than `ANSWER_WITHIN_S`. Whatever fails becomes `StoreUnavailable`; the next call connects
anew, so that a server that is back is used at once. What was asked may have been done even so.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from app.deadline import SharedBound
from app.errors import StoreUnavailable
from app.jobs.redis_batches import Batcher, Encodable
from app.jobs.redis_checks import ServerReport, examine
from app.jobs.redis_client import close_client, make_client
from app.store_url import redis_address

T = TypeVar("T")

PREFIX = "{quartet}"
"""One hash tag for all keys: a script's keys belong together."""

ANSWER_WITHIN_S = 2.0
"""Discord waits 3 s for the answer that depends on it."""

OPEN_WITHIN_S = 5.0
"""How long a server that is starting, loading or being replaced is waited for at the start."""

OPEN_AGAIN_S = 0.25
SHEBANGS_SINCE = (7, 0)
"""Scripts may say since Redis 7 that they run when the memory is full."""

CONFIRM_WITHIN_S = 1.0
AT_ONCE = 24
"""Calls under way at once, each on a connection of its own."""

log = structlog.get_logger("store")


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script. One that does not `grow` what is kept runs even when the server's memory is full."""

    source: str
    grows: bool = True


_PROBE = Script("return redis.call('SET', KEYS[1], '1', 'EX', 60)")


class RedisEngine:
    """The server behind `url`. `replicas`: how many of its replicas must have what is `confirmed`."""

    def __init__(self, url: str, *, replicas: int = 0) -> None:
        self.address = redis_address(url)
        self._replicas = replicas
        self._client: Redis | None = None
        self._room = asyncio.Semaphore(AT_ONCE)
        self._in_time = SharedBound(ANSWER_WITHIN_S)
        self._batchers: dict[tuple[Script, tuple[str, ...], bool], Batcher] = {}
        self._texts: dict[Script, tuple[str, str]] = {}
        self._shebangs = False

    def key(self, *parts: object) -> str:
        """Return the key of these parts."""
        return ":".join((PREFIX, *map(str, parts)))

    async def open(self) -> None:
        """Connect and look the server over; raise `StoreUnavailable` with the reason if it can't be used.

        What may lose jobs, but not certainly, is only told: in the log, and by `remarks`.
        """
        self._client = make_client(self.address)
        try:
            report = await self._look()
            if report.fault:
                raise StoreUnavailable(f"the store at {self.address} {report.fault}")
        except BaseException:
            await self.close()
            raise
        self._shebangs = report.version >= SHEBANGS_SINCE
        for remark in report.remarks:
            log.warning(remark, store=str(self.address))

    async def _look(self) -> ServerReport:
        """Examine the server, waiting a moment for one that is just starting or being replaced."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + OPEN_WITHIN_S
        while True:
            try:
                report = await self.ask(examine)
            except StoreUnavailable as error:
                if not _passing(error.__cause__) or loop.time() >= give_up:
                    raise
            else:
                if not report.passing or loop.time() >= give_up:
                    return report
            await asyncio.sleep(OPEN_AGAIN_S)

    async def close(self) -> None:
        """Let what is under way end, then disconnect."""
        for batcher in self._batchers.values():
            await batcher.settle()
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(RedisError, OSError):
                await close_client(client)

    async def remarks(self) -> Sequence[str]:
        """Say what is risky about how the server is configured at the moment, a sentence each."""
        return (await self.ask(examine)).remarks

    async def time(self) -> float:
        """Return the server's clock, seconds since the epoch."""
        seconds, microseconds = await self.ask(lambda client: client.time())
        return int(seconds) + int(microseconds) / 1e6

    async def takes_new(self) -> None:
        """Raise `StoreUnavailable` if nothing can be added now, though what brings jobs to their end is still done."""
        await self.run(_PROBE, [self.key("probe")])

    async def ask(self, call: Callable[[Redis], Awaitable[T]]) -> T:
        """Return what `call` does with the client; whatever fails, or takes too long, is `StoreUnavailable`."""
        client = self._client
        if client is None:
            raise StoreUnavailable(f"the store at {self.address} is not open")
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), self._room:
                return await call(client)
        except ReadOnlyError as error:
            # What was the master no longer is; a new connection may reach the one that is now.
            with contextlib.suppress(RedisError, OSError):
                await client.connection_pool.disconnect(inuse_connections=False)
            raise self._unavailable(error) from error
        except (RedisError, OSError) as error:
            raise self._unavailable(error) from error

    def script(self, source: str, *, grows: bool = True) -> Script:
        """Return a script to `run`; one that does not `grow` what is kept runs also when the memory is full."""
        return Script(source, grows)

    async def run(
        self, script: Script, keys: Sequence[str] = (), args: Sequence[Encodable] = (), *, confirmed: bool = False
    ) -> Any:
        """Run a script: all of it or nothing, and nothing of others in between. Text comes back as bytes.

        What is to be `confirmed` has failed (though it was done) if too few replicas have it in time.
        """
        return await self.ask(lambda client: self._evaluate(client, script, keys, args, confirmed))

    async def run_batched(
        self, script: Script, keys: Sequence[str], argument: Sequence[Encodable], *, confirmed: bool = False
    ) -> Any:
        """Like `run`, but the arguments of all who ask meanwhile go in one call, one after the other in `ARGV`.

        The script returns one result for each of them. Whoever gives up before its call began is left out.
        """
        if self._client is None:
            raise StoreUnavailable(f"the store at {self.address} is not open")
        names = tuple(keys)
        batcher = self._batchers.get((script, names, confirmed))
        if batcher is None:
            batcher = Batcher(lambda args: self.run(script, names, args, confirmed=confirmed), self._in_time)
            self._batchers[script, names, confirmed] = batcher
        try:
            return await batcher.ask(argument)
        except TimeoutError as error:
            raise self._unavailable(error) from error

    async def _evaluate(
        self, client: Redis, script: Script, keys: Sequence[str], args: Sequence[Encodable], confirmed: bool
    ) -> Any:
        source, digest = self._text_of(script)
        try:
            return await self._call(client, ("EVALSHA", digest, len(keys), *keys, *args), confirmed)
        except NoScriptError:  # the server was restarted, or is another one now
            return await self._call(client, ("EVAL", source, len(keys), *keys, *args), confirmed)

    async def _call(self, client: Redis, command: Sequence[Encodable], confirmed: bool) -> Any:
        if not confirmed or not self._replicas:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]
        async with client.pipeline(transaction=False) as pipeline:  # WAIT speaks of its own connection's writes
            pipeline.execute_command(*command)
            pipeline.execute_command("WAIT", self._replicas, int(CONFIRM_WITHIN_S * 1000))
            result, confirmations = await pipeline.execute(raise_on_error=False)
        if isinstance(result, Exception):
            raise result
        if isinstance(confirmations, Exception):
            raise confirmations
        if confirmations < self._replicas:
            raise StoreUnavailable(
                f"only {confirmations} of {self._replicas} replicas (STORE_REPLICAS) of the store at {self.address} "
                "confirmed in time"
            )
        return result

    def _text_of(self, script: Script) -> tuple[str, str]:
        """Return the script as this server wants it, and its digest."""
        found = self._texts.get(script)
        if found is None:
            flags = "" if script.grows else " flags=allow-oom"
            source = f"#!lua{flags}\n{script.source}" if self._shebangs else script.source
            digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
            found = self._texts[script] = source, digest
        return found

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"the store at {self.address} {_reason(error)}")


def _passing(error: BaseException | None) -> bool:
    """Whether a server that is just starting may fail like this."""
    return isinstance(error, OSError | ConnectionError | RedisTimeout) and not isinstance(error, AuthenticationError)


def _reason(error: Exception) -> str:
    """Say what failed; redis-py's texts name places and never a password."""
    if isinstance(error, AuthenticationError):
        return "does not accept the user or the password in STORE_URL"
    if isinstance(error, TimeoutError | RedisTimeout):
        return f"gave no answer within {ANSWER_WITHIN_S:g} s"
    if isinstance(error, OutOfMemoryError):
        return "has used up its memory (maxmemory): what is new can't be recorded"
    if isinstance(error, ReadOnlyError):
        return "is a read-only replica now"
    if isinstance(error, ConnectionError | OSError) and not isinstance(error, BusyLoadingError):
        return f"can't be reached: {str(error)[:300] or type(error).__name__}"
    return f"failed: {str(error)[:300] or type(error).__name__}"
