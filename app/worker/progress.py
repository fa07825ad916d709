"""Shows the user what happens while they wait, at a pace that never gets in the answer's way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from app.clock import Clock
from app.commands.base import PROGRESS_MARK
from app.discord.graphemes import utf16_length
from app.discord.replies import Message
from app.discord.splitting import first_part
from app.discord.wire import CONTENT_MAX
from app.errors import AnswerGone
from app.texts import Locale, Text
from app.worker.pressure import Pressure

FIRST_AFTER_S = 0.8
"""What is answered sooner needs no progress: Discord itself shows "thinking…" meanwhile."""

EVERY_S = 2.5
"""A token allows about five calls in two seconds and thirty a minute; most of them stay free for the answer."""

GROW_EVERY_S = 1.0
"""How often a growing answer is shown where nothing else is known of the pace."""

AGAIN_AFTER_S = 0.25
"""A word that could not be shown is tried again no sooner than this."""

CURSOR = " ▌"
"""Ends an answer that is still growing."""

_MORE = Text(
    ko="\n-# ✍️ 계속 쓰고 있어요 ({length:,}자)",
    en="\n-# ✍️ Still writing ({length:,} characters)",
)
_MORE_UNITS = 64
_MORE_STEP = 100

log = structlog.get_logger("worker")


def growing(text: str, locale: Locale) -> str:
    """Return an unfinished answer as a message shows it: as much as fits, how long it is if that is less, a cursor."""
    limit = CONTENT_MAX - len(CURSOR)
    if len(text) <= limit and utf16_length(text) <= limit:
        return first_part(text, limit) + CURSOR
    length = len(text) // _MORE_STEP * _MORE_STEP
    # Laying out more than can be shown would cost more with every piece.
    return first_part(text[:CONTENT_MAX], limit - _MORE_UNITS) + _MORE.format(length=length).to(locale) + CURSOR


def is_progress(text: str) -> bool:
    """Whether a message says that more is to come, in any language."""
    return text.startswith(PROGRESS_MARK) or text.rstrip().endswith(CURSOR.strip())


class ProgressReporter:
    """One job's progress. `send` edits the message and returns whether it was shown; it raises only `AnswerGone`.

    `pace` returns the seconds until the next edit of a growing answer may go; under `pressure` it waits longer.
    `components` stand under all of it.
    """

    def __init__(
        self,
        send: Callable[[Message], Awaitable[bool]],
        locale: Locale,
        clock: Clock,
        *,
        pace: Callable[[], float] | None = None,
        pressure: Pressure | None = None,
        components: tuple[Mapping[str, Any], ...] = (),
    ) -> None:
        self._send = send
        self._locale = locale
        self._clock = clock
        self._pace = pace
        self._pressure = pressure or Pressure(clock)
        self._components = components
        self._word = ""
        self._text = ""
        self._shown = ""
        self._changed = asyncio.Event()
        self._first_text = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def show(self, text: Text) -> None:
        """Say what happens now; the newest word wins."""
        content = text.to(self._locale)
        if content != self._word or self._text:
            self._word, self._text = content, ""
            self._changed.set()

    def grow(self, text: str) -> None:
        """Show the answer so far. Called for every piece of it, so it is laid out only when it is sent."""
        if text.strip():
            self._text = text
            self._changed.set()
            self._first_text.set()

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
        await self._rest(FIRST_AFTER_S)
        while True:
            await self._changed.wait()
            async with self._pressure.turn:
                self._changed.clear()
                is_text = bool(self._text)
                content = growing(self._text, self._locale) if is_text else self._word
                is_new = content != self._shown  # else what was added since does not show
                began = self._clock.monotonic()
                try:
                    shown = is_new and await self._send(Message(content, components=self._components))
                except AnswerGone:
                    return
            if shown:
                self._shown = content
            elif is_new:
                self._changed.set()
            if is_text or not is_new:
                await self._pressure.sleep(self._text_pace(began) if shown else AGAIN_AFTER_S)
            else:
                await self._rest(EVERY_S)

    def _text_pace(self, began: float) -> float:
        """Return the seconds until the edit after the one that began at this moment."""
        pace = self._pace() if self._pace else GROW_EVERY_S - (self._clock.monotonic() - began)
        return pace + (self._pressure.stretch() - 1) * GROW_EVERY_S

    async def _rest(self, seconds: float) -> None:
        """Wait, but no longer than until the first of the text is there: that does not have to keep the pace."""
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        first = asyncio.ensure_future(self._first_text.wait())
        try:
            await asyncio.wait((timer, first), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in (timer, first):
                waiter.cancel()
            await asyncio.gather(timer, first, return_exceptions=True)
