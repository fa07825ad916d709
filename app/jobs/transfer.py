"""How what one engine keeps is read out whole and put into another: the seam behind `migrate`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from app.jobs.job import JobState, ServedBecause

PAGE = 200

R = TypeVar("R")


class Movable(Protocol[R]):
    """Everything of one kind. Nothing else may use the store meanwhile."""

    def pages(self) -> AsyncIterator[Sequence[R]]:
        """Return all there is, bounded numbers at a time; raises `StoreUnavailable`."""

    async def take_over(self, records: Sequence[R]) -> int:
        """Keep those of another store, durably; returns how many. What is there already and as new stays as it is."""


@dataclass(frozen=True, slots=True)
class StoredJob:
    """All that is kept of a job, open or done; `checkpoint` and `parts` are JSON. In the order they were accepted."""

    id: str
    kind: str
    user_id: str
    home: int
    received_at: float
    expires_at: float
    state: str = JobState.WAITING.value
    payload: bytes | None = None
    put_by: str = ""
    owner: int | None = None
    because: str = ServedBecause.HOME.value
    fence: int = 0
    attempts: int = 0
    lease_until: float | None = None
    checkpoint: str | None = None
    pinned: int | None = None
    avoid: int | None = None
    avoid_until: float | None = None
    result: bytes | None = None
    outcome: str = ""
    provider: str = ""
    error: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    guild_id: str | None = None
    channel_id: str | None = None
    repeat: str = ""
    stop: int = 0
    parts: str | None = None
