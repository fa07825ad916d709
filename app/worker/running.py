"""One command under way, which its user may stop, and what they are told then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from app.commands.base import Answer
from app.errors import ProviderTimeout
from app.jobs.job import Job
from app.texts import Text

STOPPED = "Stopped"
"""Stands for an error's class name where the user has stopped a job."""

_FREE = Text(ko="⏹ 멈췄어요. 비용은 들지 않았어요.", en="⏹ Stopped. This cost nothing.")
_SENT = Text(
    ko="⏹ 멈췄어요. AI 서비스에 이미 보낸 요청에는 비용이 들었을 수 있어요.",
    en="⏹ Stopped. What had been sent to the AI service already may have cost something.",
)
_PAID = Text(
    ko="⏹ 멈췄어요. 영상은 이미 주문한 뒤여서 비용이 들었어요.",
    en="⏹ Stopped. The video had been ordered already, so it was paid for.",
)


class CommandStopped(Exception):
    """The user has stopped the command, and it had nothing to show."""


class RunningCommand:
    """A command in a task of its own, so that stopping it is not taken for the end of the job or of this process."""

    def __init__(self) -> None:
        self.stopping = False
        self.begun = False
        self.ordered = False
        self._task: asyncio.Future[Answer] | None = None

    async def run(self, command: Awaitable[Answer], seconds: float) -> Answer:
        """Return the command's answer; raise `CommandStopped` if it was stopped and returned none.

        A provider's own deadline is tighter than `seconds`; this one holds whatever a provider does.
        """
        self._task = asyncio.ensure_future(command)
        try:
            async with asyncio.timeout(seconds):
                # Who cancels this, cancels the command, and is heard only when it has ended.
                return await self._task
        except TimeoutError as error:
            raise ProviderTimeout("the command was not done before the token's end") from error
        except asyncio.CancelledError:
            job = asyncio.current_task()
            if self.stopping and not (job and job.cancelling()):
                raise CommandStopped from None
            raise

    def stop(self) -> None:
        """End the command at once; what it is doing then, it may still return as its answer."""
        if self._task is not None and not self.stopping:
            self.stopping = True
            self._task.cancel()

    def paid(self, job: Job) -> bool:
        """Whether something was ordered, in this run or an earlier one, that has only to be waited for."""
        return self.ordered or job.checkpoint.get("step") == "submitted"

    def sentence(self, job: Job) -> Text:
        """Return what the user is told if there is nothing else to show."""
        if self.paid(job):
            return _PAID
        return _SENT if self.begun or job.checkpoint else _FREE
