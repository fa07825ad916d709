"""A day that passes for what is done, and what the instance's housekeeping then does with the file.

Finished jobs are kept for a day, which no setting shortens: quotas are counted from them; and what was called, for an
hour and five minutes. So that a run of minutes sees both forgotten, they are dated back by a day in the file, by
statements of ours; the instance itself is not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DAY_S = 86_400.0
YOUNG_S = DAY_S / 2
"""What is younger than this has not been dated back yet."""

AT_ONCE = 500
LOOK_EVERY_S = 0.05
WAIT_S = 10.0
PAGE_BYTES = 4096

_AGE = (
    "UPDATE jobs SET finished_at=finished_at-? WHERE seq IN "
    "(SELECT seq FROM jobs WHERE state='done' AND finished_at>? LIMIT ?)",
    "UPDATE calls SET at=at-? WHERE rowid IN (SELECT rowid FROM calls WHERE at>? LIMIT ?)",
)
_OLD = "SELECT count(*) FROM jobs WHERE state='done' AND finished_at<?"

Window = tuple[float, float]


def let_a_day_pass(database: Path) -> int:
    """Date every finished job and every call back by a day, in small transactions; returns how many jobs."""
    with closing(_opened(database)) as connection:
        jobs, _calls = [_dated_back(connection, update) for update in _AGE]
    return jobs


def _dated_back(connection: sqlite3.Connection, update: str) -> int:
    young, dated = time.time() - YOUNG_S, 0
    while True:
        changed = connection.execute(update, (DAY_S + YOUNG_S, young, AT_ONCE)).rowcount
        dated += changed
        if changed < AT_ONCE:
            return dated


def size_mib(directory: Path) -> float:
    """Return what the store's files take, its log included."""
    total = 0
    for path in directory.glob("quartet.db*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total / 2**20


def kept_jobs(database: Path) -> int:
    """Return how many jobs the store holds."""
    with closing(_opened(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM jobs").fetchone()[0])


@dataclass(slots=True)
class Housekeeping:
    """What was seen of the instance's housekeeping: when it forgot jobs (monotonic), how many, what it gave back."""

    windows: list[Window] = field(default_factory=list)
    forgotten: int = 0
    given_back_mib: float = 0.0
    _peak_pages: int = 0

    def begin_anew(self) -> None:
        """Forget what was seen until now."""
        self.windows, self.forgotten, self.given_back_mib, self._peak_pages = [], 0, 0.0, 0

    def take_peak_mib(self) -> float:
        """Return how large the file (without its log) was at the most since this was asked last."""
        peak, self._peak_pages = self._peak_pages, 0
        return peak * PAGE_BYTES / 2**20

    def note(self, before: tuple[float, int, int], after: tuple[float, int, int]) -> None:
        """Compare two looks: (monotonic seconds, old jobs, pages of the file)."""
        (begun, old_before, pages_before), (ended, old_after, pages_after) = before, after
        if old_after < old_before:
            self.forgotten += old_before - old_after
            if self.windows and self.windows[-1][1] >= begun:
                begun = self.windows.pop()[0]
            self.windows.append((begun, ended))
        self._peak_pages = max(self._peak_pages, pages_before, pages_after)
        self.given_back_mib += max(0, pages_before - pages_after) * PAGE_BYTES / 2**20

    def during(self, sent_at: float, seconds: float) -> bool:
        """Whether what was sent then, and took so long, overlaps with its work."""
        place = bisect_right(self.windows, (sent_at + seconds, float("inf")))
        return place > 0 and self.windows[place - 1][1] >= sent_at


@contextmanager
def watched(database: Path) -> Iterator[Housekeeping]:
    """Look at the file all the time, in the event loop that runs."""
    seen = Housekeeping()
    task = asyncio.get_running_loop().create_task(_look(database, seen), name="housekeeping")
    try:
        yield seen
    finally:
        task.cancel()


async def _look(database: Path, seen: Housekeeping) -> None:
    with closing(_opened(database)) as connection:
        last = _state(connection)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            last, before = _state(connection), last
            seen.note(before, last)


def _state(connection: sqlite3.Connection) -> tuple[float, int, int]:
    old = connection.execute(_OLD, (time.time() - DAY_S,)).fetchone()[0]
    return time.monotonic(), int(old), int(connection.execute("PRAGMA page_count").fetchone()[0])


def _opened(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(database, timeout=WAIT_S, isolation_level=None)


def split(sent_at: Sequence[float], took_s: Sequence[float], seen: Housekeeping) -> tuple[list[float], list[float]]:
    """Return the answer times that overlap with the housekeeping's work, and all others, each in order of length."""
    during: list[float] = []
    others: list[float] = []
    for at, seconds in zip(sent_at, took_s, strict=True):
        (during if seen.during(at, seconds) else others).append(seconds)
    return sorted(during), sorted(others)
