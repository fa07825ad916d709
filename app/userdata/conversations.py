"""The last turns of a user in a channel, so that a question can lean on those before it.

A conversation belongs to one user in one channel and is shown to nobody else. Private turns (from answers only the user
saw) are part of it only where the answer is private again. Every time is wall clock seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.jobs.job import Job


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer; `asked_at` is when the interaction was received. `job_id` names it for ever."""

    job_id: str
    user_id: str
    channel_id: str
    asked_at: float
    question: str
    answer: str
    private: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """How much is kept of one channel's conversation, and of when; `private` of the turns were private."""

    channel_id: str
    turns: int
    characters: int
    last_at: float
    first_at: float
    private: int


class Conversations(Protocol):
    """Turns by user and channel; every method raises `StoreUnavailable` when the store can't serve."""

    async def turns(
        self, user_id: str, channel_id: str, *, since: float, private: bool, limit: int = 50
    ) -> Sequence[Turn]:
        """Return the newest `limit` turns asked after `since`, oldest first; private ones only if `private`."""

    async def turn(self, job_id: str, *, user_id: str) -> Turn | None:
        """Return one turn of this user's."""

    async def add(self, turn: Turn, *, job: Job | None = None) -> None:
        """Keep a turn, durably; adding the same job's turn again replaces it.

        A turn asked before the conversation was last started over is not kept; nor, with a `job`, one of a lease that
        is not current any more.
        """

    async def start_over(self, user_id: str, channel_id: str, *, now: float) -> int:
        """Delete this channel's turns and those still to be added that were asked before `now`; returns how many."""

    async def remembered(self, user_id: str, *, since: float) -> Sequence[Remembered]:
        """Return what is kept of a user, newest channel first."""

    async def delete_all(self, user_id: str, *, now: float) -> int:
        """Delete everything of this user, in every channel, as `start_over` does; returns how many turns."""

    async def forget(self, *, before: float, limit: int = 500) -> int:
        """Drop turns asked before this moment; returns how many."""
