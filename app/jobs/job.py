"""What a job is. Pure: no store, no clock, no I/O."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_ATTEMPTS = 3
"""A job whose process died this often while it ran ends with an apology."""


SUSPECT_AFTER = 2
"""A job that was running in this many crashes is suspected of causing them. An instance runs one suspect at a time, so
that the guilty one is not joined, and its innocent neighbours not counted down with it, once more."""


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


class Outcome(StrEnum):
    """How a job ended: what the user finally saw."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"
    STOPPED = "stopped"
    UNDELIVERABLE = "undeliverable"


class Repeat(StrEnum):
    """Whether a job that is done may be done again; if so, its payload is kept until the job is forgotten."""

    NONE = ""
    ONCE = "once"
    ALWAYS = "always"


class ServedBecause(StrEnum):
    """Why the instance that leased a job was the one."""

    HOME = "home"
    HOME_BUSY = "home_busy"
    HOME_SPENT = "home_spent"
    HOME_DOWN = "home_down"
    RECOVERED = "recovered"


@dataclass(slots=True)
class NewJob:
    """An interaction to be recorded. Times are wall clock seconds; `payload` is the interaction's raw JSON body.

    Nobody changes one, yet it is not frozen: each request makes one, and then it takes half the time.

    After `expires_at` nothing is sent any more. `put_by` names the request that brings it, for `JobStore.withdraw`.
    `repeats` names a finished job that this one does again, as it was or changed.
    """

    id: str
    kind: str
    user_id: str
    home: int
    received_at: float
    expires_at: float
    payload: bytes
    put_by: str = ""
    repeats: str = ""
    guild_id: str | None = None
    channel_id: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job under lease. `fence` grows with each lease; every change names it and fails if it is no longer current.

    `checkpoint` and `result` are what an earlier run left: facts about costly steps, and a finished answer that was not
    delivered yet; `parts` is what it recorded of the messages that follow the answer. `stop`: it was to be stopped
    already when it was leased.
    """

    id: str
    kind: str
    user_id: str
    home: int
    received_at: float
    expires_at: float
    payload: bytes
    fence: int
    attempts: int
    because: ServedBecause
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    result: bytes | None = None
    stop: bool = False
    parts: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """What an instance can take now.

    `kinds`: for how many jobs of each kind it has budget. `held`: ids it runs already; a running job of its own that is
    not among them was left by an earlier life of this instance. `dead`: instances taken for dead, if their last sign of
    life in the store is older than `dead_before`. `lives`: since when
    each of the others lives; what it was leased before that, an earlier life left. `steal_after_s`:
    how long another live home's job must have waited before it may be taken; `steal_known_s`: the same if that home is
    known to be `full`, or to be without a usable key for the kind (`spent`, pairs of home and kind). `user_limit`: how
    many jobs of one user may run at once, over all instances; 0 is no limit. `suspects`: how many it runs already.
    `since`: when this life of the instance first asked. A running job of its own that was leased after that and is not
    held never ran: the answer to the lease got lost. Leasing it again counts no attempt.
    """

    owner: int
    limit: int
    now: float
    lease_s: float
    kinds: Mapping[str, int]
    held: Collection[str] = ()
    dead: Collection[int] = ()
    dead_before: float = math.inf
    lives: Mapping[int, float] = field(default_factory=dict)
    full: Collection[int] = ()
    spent: Collection[tuple[int, str]] = ()
    steal_after_s: float = 2.0
    steal_known_s: float = 2.0
    user_limit: int = 0
    suspects: int = 0
    since: float = math.inf


@dataclass(frozen=True, slots=True)
class Finish:
    """How a job ended, for the record: `error` is the error's class name or empty, `provider` who made the answer.

    Unless `repeat` is `NONE`, the job's payload is kept, so that its user may have it done again: of it `body`, or all.
    """

    outcome: Outcome
    now: float
    provider: str = ""
    error: str = ""
    repeat: Repeat = Repeat.NONE
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A line of a user's or the system's history."""

    id: str
    kind: str
    user_id: str
    home: int
    served_by: int
    because: ServedBecause
    outcome: Outcome
    provider: str
    error: str
    received_at: float
    started_at: float
    finished_at: float
