"""What is looked at when Prometheus asks: keys, queue, instances, clock, disk. It costs nothing in between."""

from __future__ import annotations

import asyncio
import platform
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from app import VERSION, logs
from app.balancing.budget import Allowance, KeySnapshot, KeyState
from app.balancing.keyset import KeySet
from app.balancing.overview import Overview
from app.balancing.state import DEAD_AFTER_S
from app.clock import Clock
from app.errors import StoreUnavailable
from app.jobs.store import JobStore
from app.worker.loop import Worker

T = TypeVar("T")
Values = Mapping[Any, float]
"""A gauge's values by those of its further labels, a tuple."""

ANSWER_WITHIN_S = 0.5
"""What the store is asked for; without its answer the rest is shown all the same."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """Where one instance's gauges come from.

    `invalid` and `invalid_limit` are the guard's: responses of 401, 403 and 429 in ten minutes. `store_time` is the
    store's own clock if it has one, `disk` the file whose disk may fill.
    """

    instance: int
    overview: Overview
    keys: KeySet
    worker: Worker
    store: JobStore
    clock: Clock
    slots: int
    instance_count: int
    invalid: Callable[[], int]
    invalid_limit: int
    store_time: Callable[[], Awaitable[float | None]]
    disk: Path | None = None

    async def collect(self) -> list[Metric]:
        """Return every gauge as it is now."""
        families = [*self._about(), *self._of_keys(), *self._of_queue(), *self._of_instances()]
        families += [self._clock_offsets(await self._ask(self.store_time))]
        families += await self._oldest()
        if self.disk is not None:
            families += _disk(self.disk, str(self.instance))
        return families

    def _about(self) -> Iterator[Metric]:
        yield self._gauge("quartet_build_info", "1; what runs is in the labels.",
                          {(VERSION, platform.python_version()): 1}, "version", "python")  # fmt: skip
        yield self._gauge("quartet_job_slots", "Jobs this instance can run at once.", {(): self.slots})
        for name, fine in self.worker.healthy().items():
            yield self._gauge(f"quartet_{name}_healthy", f"Whether the {name} check of /health passes.", {(): fine})
        yield self._gauge("quartet_draining", "Whether this instance is stopping.", {(): self.worker.draining})
        text = "Invalid responses from Discord in ten minutes, and when this instance stops calling."
        values: Values = {("seen",): self.invalid(), ("limit",): self.invalid_limit}
        yield self._gauge("quartet_discord_invalid_responses", text, values, "what")
        lines = CounterMetricFamily("quartet_log_lines_dropped", "No reader took them.", labels=["instance_id"])
        lines.add_metric([str(self.instance)], logs.dropped())
        yield lines

    def _of_keys(self) -> Iterator[Metric]:
        snapshots, allowances = self.keys.snapshots(), self.keys.allowances()
        used = {(p, w): n for p, key in snapshots.items() for w, n, _ in _windows(key, allowances[p])}
        limits = {(p, w): n for p, key in snapshots.items() for w, _, n in _windows(key, allowances[p]) if n}
        left = {place: max(0, limit - used[place]) for place, limit in limits.items()}
        where = ("provider", "window")
        yield self._gauge("quartet_key_calls_used", "Calls of this instance's key in the window.", used, *where)
        yield self._gauge("quartet_key_calls_limit", "Calls the window allows; absent: no limit.", limits, *where)
        yield self._gauge("quartet_key_calls_left", "Calls left in the window; absent: no limit.", left, *where)
        states = {(p, state.value): key.state is state for p, key in snapshots.items() for state in KeyState}
        yield self._gauge("quartet_key_state", "1 for the state the key is in.", states, "provider", "state")
        rests = {(p,): key.rest_s for p, key in snapshots.items()}
        yield self._gauge("quartet_key_rest_seconds", "Until the key may be used; 0: now.", rests, "provider")

    def _of_queue(self) -> Iterator[Metric]:
        counts = self.overview.counts
        homes = range(1, self.instance_count + 1)
        jobs = {(str(home), "waiting"): counts.waiting.get(home, 0) for home in homes}
        jobs |= {(str(home), "running"): counts.running.get(home, 0) for home in homes}
        yield self._gauge("quartet_queue_jobs", "Open jobs by home, the same from everybody.", jobs, "home", "state")

    def _of_instances(self) -> Iterator[Metric]:
        now, members = self.clock.now(), self.overview.view.members
        ages = {(str(m.instance),): max(0.0, now - m.beat_at) for m in members if m.beat_at is not None}
        yield self._gauge("quartet_heartbeat_age_seconds", "Since each instance's last heartbeat.", ages, "peer")
        # By their age now: who is cut off from the store must not go on calling the others alive.
        alive = {(str(m.instance),): m.beat_at is not None and now - m.beat_at <= DEAD_AFTER_S for m in members}
        yield self._gauge("quartet_instance_alive", "Whether this instance sees the other alive.", alive, "peer")

    async def _oldest(self) -> list[Metric]:
        now = self.clock.now()
        waiting = await self._ask(lambda: self.store.unserved(now=now, limit=1))
        if waiting is None:
            return []
        age = max(0.0, now - waiting[0].received_at) if waiting else 0.0
        return [self._gauge("quartet_queue_oldest_seconds", "Since the oldest waiting job came in.", {(): age})]

    def _clock_offsets(self, store_time: float | None) -> Metric:
        offsets = {("wall",): self.clock.now() - self.clock.wall()}
        if store_time is not None:
            offsets["store",] = self.clock.now() - store_time
        text = "How far this instance's steady clock is ahead of the machine's and of the store's."
        return self._gauge("quartet_clock_offset_seconds", text, offsets, "against")

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await question()
        except (StoreUnavailable, TimeoutError):
            return None

    def _gauge(self, name: str, text: str, values: Values, *labels: str) -> Metric:
        return _gauge(name, text, str(self.instance), values, labels)


def _gauge(name: str, text: str, instance: str, values: Values, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["instance_id", *labels])
    for place, value in values.items():
        family.add_metric([instance, *place], value)
    return family


def _windows(key: KeySnapshot, allowance: Allowance) -> Iterator[tuple[str, int, int]]:
    """Yield window, calls used and limit (0: none)."""
    yield "minute", key.minute_used, key.minute_limit
    yield "day", key.day_used, key.day_limit
    yield "in_flight", key.in_flight, allowance.max_in_flight


def _disk(file: Path, instance: str) -> Iterator[Metric]:
    """Yield the size of the store's file with its log, and what is free where it lies; nothing if it can't be told."""
    try:
        disk = shutil.disk_usage(file.parent)
        files = [part for end in ("", "-wal", "-shm") if (part := file.with_name(file.name + end)).exists()]
        size = sum(part.stat().st_size for part in files)
    except OSError:
        return
    yield _gauge("quartet_store_file_bytes", "The store's file, write-ahead log included.", instance, {(): size})
    yield _gauge("quartet_disk_free_bytes", "Free where the store's file lies.", instance, {(): disk.free})
    yield _gauge("quartet_disk_size_bytes", "Size of the disk with the store's file.", instance, {(): disk.total})
