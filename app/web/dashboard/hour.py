"""The last hour, minute by minute: what ended, and how often each key was used.

Read from the store only while somebody looks: the whole hour at first, then what is new. What is kept is bounded.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import quantiles

from app.balancing.keyset import MINIMAX, OPENAI, STABILITY, key_name
from app.balancing.state import CallLog
from app.jobs.job import FinishedJob, Outcome, ServedBecause
from app.jobs.store import JobStore

MINUTES = 60
"""The minute that is not over yet is one of them."""

MINUTE_S = 60
PAGE = 500
MOST_PAGES = 40
"""Read at once; of an hour with more jobs than that the beginning is missing, and that is told."""

OVERLAP_S = 3.0
"""Read again each time: a job is seen in the store a little after the moment at which it says that it ended."""

CALLS_EVERY_S = 3.0
"""Counting the calls of a minute costs the more, the more there were."""

MEASURED_JOBS = 2000
MOST_FAULTS = 50
PROVIDERS = (OPENAI, STABILITY, MINIMAX)


def first_minute(now: float) -> int:
    """Return the number (`at // 60`) of the hour's first minute."""
    return int(now // MINUTE_S) - MINUTES + 1


@dataclass(slots=True)
class Minute:
    """What ended in one minute. `seconds`: from acceptance to answer; `users`: by home, those not seen later again."""

    answered: int = 0
    elsewhere: int = 0
    failed: int = 0
    because: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    users: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))


class JobHour:
    """The jobs that ended. `whole_since`: from this moment on none of them is missing."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.whole_since = -math.inf
        self._minutes: dict[int, Minute] = {}
        self._last_minute: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self._read_until = -math.inf
        self._faults: list[tuple[float, str, FinishedJob]] = []
        self._measured: tuple[float | None, float | None] | None = None

    async def refresh(self, now: float) -> None:
        """Read what is new and drop what is older than the hour."""
        first = first_minute(now)
        self._drop_before(first)
        since = max(float(first * MINUTE_S), self._read_until - OVERLAP_S)
        until = math.inf
        for _ in range(MOST_PAGES):
            jobs = await self._store.history(since=since, until=until, limit=PAGE)
            for job in jobs:
                self._note(job)
            if len(jobs) < PAGE:
                break
            # Others may have ended at the very moment of the last one: it is read again, and known by its id.
            until = min(math.nextafter(jobs[-1].finished_at, math.inf), math.nextafter(until, -math.inf))
        else:
            self.whole_since = max(self.whole_since, until)
        self._read_until = max(self._read_until, now)
        self._seen = {name: at for name, at in self._seen.items() if at >= self._read_until - 2 * OVERLAP_S}

    def minutes(self, now: float) -> Sequence[Minute]:
        """Return the hour's minutes, oldest first."""
        first = first_minute(now)
        return [self._minutes.get(first + n) or Minute() for n in range(MINUTES)]

    def users_by_home(self) -> Mapping[int, int]:
        """How many users were answered, or told why not, in the hour."""
        counts: Counter[int] = Counter()
        for minute in self._minutes.values():
            counts.update({home: len(users) for home, users in minute.users.items()})
        return counts

    def because(self) -> Mapping[str, int]:
        """How many jobs were served for each reason, the home's own included."""
        return sum((minute.because for minute in self._minutes.values()), Counter[str]())

    def measured(self) -> tuple[float | None, float | None]:
        """Seconds to the answer that half, and 95 %, of the newest answers did not exceed; None before the first."""
        if self._measured is None:
            seconds: list[float] = []
            for name in sorted(self._minutes, reverse=True):
                seconds += self._minutes[name].seconds
                if len(seconds) >= MEASURED_JOBS:
                    break
            if len(seconds) > 1:
                cuts = quantiles(sorted(seconds), n=20, method="inclusive")
                self._measured = cuts[9], cuts[18]
            else:
                self._measured = (seconds[0], seconds[0]) if seconds else (None, None)
        return self._measured

    def faults(self) -> Sequence[FinishedJob]:
        """The jobs that did not end as their users wished, newest first, at most `MOST_FAULTS`."""
        return [job for _, _, job in reversed(self._faults)]

    def _drop_before(self, first: int) -> None:
        for name in [name for name in self._minutes if name < first]:
            gone = self._minutes.pop(name)
            self._measured = None
            for users in gone.users.values():
                for user in users:
                    del self._last_minute[user]
        self._faults = [fault for fault in self._faults if fault[0] >= first * MINUTE_S]

    def _note(self, job: FinishedJob) -> None:
        if job.id in self._seen:
            return
        self._seen[job.id] = job.finished_at
        name = int(job.finished_at // MINUTE_S)
        minute = self._minutes.setdefault(name, Minute())
        minute.because[job.because.value] += 1
        self._note_user(job, name)
        if job.outcome is Outcome.ANSWERED:
            minute.answered += 1
            minute.elsewhere += job.because is not ServedBecause.HOME
            minute.seconds.append(job.finished_at - job.received_at)
            self._measured = None
        elif job.outcome is not Outcome.STOPPED:
            minute.failed += 1
            insort(self._faults, (job.finished_at, job.id, job))
            del self._faults[:-MOST_FAULTS]

    def _note_user(self, job: FinishedJob, name: int) -> None:
        """Count each user once, in the last minute one of their jobs ended."""
        before = self._last_minute.get(job.user_id)
        if before is not None and before >= name:
            return
        if before is not None:
            for users in self._minutes[before].users.values():
                users.discard(job.user_id)
        self._last_minute[job.user_id] = name
        self._minutes[name].users[job.home].add(job.user_id)


class CallHour:
    """How many calls each key of each instance started in each minute."""

    def __init__(self, calls: CallLog, instance_count: int) -> None:
        self._calls = calls
        self._keys = {
            (instance, provider): key_name(instance, provider)
            for instance in range(1, instance_count + 1)
            for provider in PROVIDERS
        }
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._counts: dict[str, dict[int, int]] = {}
        self._read_until = -math.inf

    async def refresh(self, now: float) -> None:
        """Read what is new, which the minute before this one may have some of, and drop what is too old.

        Nothing is read if it was only just.
        """
        if abs(now - self._read_until) < CALLS_EVERY_S:
            return
        first = first_minute(now)
        since = max(float(first * MINUTE_S), self._read_until - MINUTE_S)
        for key, found in (await self._calls.by_minute(list(self._keys.values()), since=since, until=now)).items():
            kept = {minute: count for minute, count in self._counts.get(key, {}).items() if minute >= first}
            self._counts[key] = kept | dict(found)
        self._read_until = now

    def counts(self, instance: int, provider: str, now: float) -> Sequence[int]:
        """Return a key's calls in the hour's minutes, oldest first; nothing if there was none."""
        known, first = self._counts.get(self._keys[instance, provider], {}), first_minute(now)
        return [known.get(first + n, 0) for n in range(MINUTES)] if known else ()
