"""Looks again at an answer over which something late might come, and gives it once more where that has happened.

Nothing that this system still has in its hands is shown after an answer. But an edit that left may lie with Discord, or
with a proxy, for longer than anybody waits for it; and who was stopped for long, at the very moment of writing, writes
when it wakes up. Where either is possible, the message is read again after the answer: if it shows progress, the answer
is sent once more, so that nobody is left with half of it. A look is lost if this process ends before it.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from app.clock import Clock
from app.discord.models import Interaction
from app.discord.replies import Message
from app.discord.webhook import FollowUpClient
from app.errors import DiscordError
from app.jobs.job import Job, ServedBecause
from app.journal import facts
from app.worker.progress import is_progress

LOOKS_AFTER_S: Final = (3.0, 27.0)
"""The pauses before the looks: what is late comes soon, and nobody takes longer over a request than half a minute."""

WITHIN_S: Final = 10.0

log = structlog.get_logger("worker")


class SecondLook:
    """Looks at answers in tasks of its own; `close` ends them."""

    def __init__(self, follow_up: FollowUpClient, clock: Clock) -> None:
        self._follow_up = follow_up
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def under_way(self) -> int:
        """How many answers are still to be looked at."""
        return len(self._tasks)

    def begin(self, job: Job, interaction: Interaction, message: Message) -> None:
        """Watch over a message that has just become the job's answer, if something late may come over it."""
        self.end(job)
        if job.because is ServedBecause.RECOVERED or self._follow_up.unanswered(interaction.token):
            task = asyncio.create_task(self._look(job, interaction, message), name=f"look-{job.id}")
            self._tasks[job.id] = task
            task.add_done_callback(lambda done: self._forget(job.id, done))

    def end(self, job: Job) -> None:
        """The answer is about to be replaced: what it was is not to be brought back."""
        if task := self._tasks.pop(job.id, None):
            task.cancel()

    async def close(self) -> None:
        """Give up what is still to be looked at."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, job: Job, interaction: Interaction, message: Message) -> None:
        try:
            for pause in LOOKS_AFTER_S:
                await self._clock.sleep(pause)
                shown = await self._follow_up.original(interaction.token, within_s=WITHIN_S)
                if is_progress(str(shown.get("content", ""))):
                    log.warning("progress came after the answer, which is given again", **facts(job))
                    await self._follow_up.edit_original(
                        interaction.token,
                        message,
                        received_at=job.received_at,
                        expires_at=self._clock.now() + WITHIN_S,
                    )
        except DiscordError as error:
            log.info("an answer was not looked at again", **facts(job), error=str(error))

    def _forget(self, job_id: str, done: asyncio.Task[None]) -> None:
        if self._tasks.get(job_id) is done:
            del self._tasks[job_id]
