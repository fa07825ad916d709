"""Shows the user what happens while they wait, at a pace that never gets in the answer's way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.clock import Clock
from app.discord.replies import Message
from app.discord.splitting import first_part
from app.discord.wire import CONTENT_MAX
from app.errors import AnswerGone
from app.texts import Locale, Text

FIRST_AFTER_S = 0.8
"""What is answered sooner needs no progress: Discord itself shows "thinking…" meanwhile."""

EVERY_S = 2.5
"""A token allows about five calls in two seconds and thirty a minute; most of them stay free for the answer."""

CURSOR = " ▌"
"""Ends an answer that is still growing."""

log = structlog.get_logger("worker")


class ProgressReporter:
    """One job's progress. `send` edits the message and returns whether it was shown; it raises only `AnswerGone`."""

    def __init__(self, send: Callable[[Message], Awaitable[bool]], locale: Locale, clock: Clock) -> None:
        self._send = send
        self._locale = locale
        self._clock = clock
        self._latest: str | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def show(self, text: Text) -> None:
        """Say what happens now; the newest word wins."""
        content = text.to(self._locale)
        if content != self._latest:
            self._latest = content
            self._changed.set()

    def grow(self, text: str) -> None:
        """Show the answer so far, cut to what a message holds."""
        content = first_part(text, CONTENT_MAX - len(CURSOR)) + CURSOR
        if content != self._latest:
            self._latest = content
            self._changed.set()

    def start(self) -> None:
        """Begin to report."""
        self._task = asyncio.create_task(self._report(), name="progress")

    async def close(self) -> None:
        """Stop; when this returns or raises no progress is on its way any more, so the answer is the last word.

        Who is cancelled while waiting here stays cancelled, but only after the wait.
        """
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        cancelled = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("progress broke", error=repr(failure))
        if cancelled is not None:
            raise cancelled

    async def _report(self) -> None:
        await self._clock.sleep(FIRST_AFTER_S)
        while True:
            await self._changed.wait()
            self._changed.clear()
            assert self._latest is not None
            try:
                await self._send(Message(self._latest))
            except AnswerGone:
                return
            await self._clock.sleep(EVERY_S)
