"""What the dashboard shows, as JSON: of the whole system, and the same whichever instance is asked. No user's name, id
or words are in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from app import VERSION
from app.balancing.overview import Member, Overview
from app.balancing.state import CallLog
from app.clock import Clock
from app.commands.base import Limits
from app.errors import StoreUnavailable
from app.jobs.job import FinishedJob, ServedBecause
from app.jobs.store import JobStore
from app.web.dashboard.hour import MINUTE_S, PROVIDERS, CallHour, JobHour, first_minute

ELSEWHERE = tuple(reason.value for reason in ServedBecause if reason is not ServedBecause.HOME)


class Camera:
    """Takes the picture. `release` names what the page consists of, so that an open page knows when it is outdated."""

    def __init__(
        self,
        *,
        instance: int,
        overview: Overview,
        limits: Limits,
        store: JobStore,
        calls: CallLog,
        clock: Clock,
        release: str,
    ) -> None:
        self._instance = instance
        self._overview = overview
        self._limits = limits
        self._store = store
        self._clock = clock
        self._release = release
        self._jobs = JobHour(store)
        self._calls = CallHour(calls, limits.instance_count)

    def forget(self) -> None:
        """Nobody looks any more: keep nothing."""
        self._jobs.forget()
        self._calls.forget()

    async def take(self) -> bytes:
        """Return one event of the stream: a picture, or why there is none.

        The instances are as the worker saw them at its last look, which is a second ago at the most.
        """
        try:
            name, shown = "picture", await self._picture()
        except StoreUnavailable as error:
            name, shown = "trouble", {"error": str(error), "answered_by": self._instance}
        text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return f"event: {name}\ndata: {text}\n\n".encode()

    async def _picture(self) -> dict[str, Any]:
        now = self._clock.now()
        await self._jobs.refresh(now)
        await self._calls.refresh(now)
        view, counts, limits = self._overview.view, self._overview.counts, self._limits
        oldest = await self._store.unserved(now=now, limit=1) if counts.total_waiting else []
        return {
            "at": now,
            "answered_by": self._instance,
            "version": VERSION,
            "release": self._release,
            "instance_count": limits.instance_count,
            "routing": limits.routing,
            "instances": [self._member(member, now) for member in view.members],
            "queue": {
                "waiting": counts.total_waiting,
                "running": sum(counts.running.values()),
                "oldest_s": round(max(0.0, now - oldest[0].received_at), 1) if oldest else None,
            },
            "budget": [
                {
                    "kind": kind,
                    "used": sum(member.done_today.get(kind, 0) for member in view.members),
                    "limit": limit * limits.instance_count,
                }
                for kind, limit in limits.day.items()
            ],
            "hour": self._hour(now),
            "faults": [_fault(job) for job in self._jobs.faults()],
        }

    def _member(self, member: Member, now: float) -> dict[str, Any]:
        snapshot, alive = member.snapshot, member.alive
        return {
            "instance": member.instance,
            "alive": alive,
            "ready": alive and snapshot.ready,
            "draining": alive and snapshot.draining,
            "version": snapshot.version,
            "uptime_s": round(now - snapshot.started_at, 1) if alive else None,
            "last_beat_s": round(now - member.beat_at, 1) if member.beat_at is not None else None,
            "running": snapshot.running if alive else 0,
            "slots": snapshot.slots,
            "waiting_here": member.waiting,
            "running_of_home": self._overview.counts.running.get(member.instance, 0),
            "done_today": sum(member.done_today.values()),
            "acked": snapshot.acked if alive else 0,
            "ack_p50_s": snapshot.ack_p50_s if alive else None,
            "ack_p99_s": snapshot.ack_p99_s if alive else None,
            "keys": [
                {"provider": provider, **asdict(key), "calls": self._calls.counts(member.instance, provider, now)}
                for provider, key in sorted(snapshot.keys.items(), key=lambda item: _place(item[0]))
            ],
        }

    def _hour(self, now: float) -> dict[str, Any]:
        minutes, because = self._jobs.minutes(now), self._jobs.because()
        users = self._jobs.users_by_home()
        p50_s, p95_s = self._jobs.measured()
        begins = first_minute(now) * MINUTE_S
        return {
            "from": begins,
            "whole_since": max(float(begins), self._jobs.whole_since),
            "answered": [minute.answered for minute in minutes],
            "elsewhere": [minute.elsewhere for minute in minutes],
            "failed": [minute.failed for minute in minutes],
            "p50_s": p50_s,
            "p95_s": p95_s,
            "because": {reason: because.get(reason, 0) for reason in ELSEWHERE},
            "users": [users.get(member.instance, 0) for member in self._overview.view.members],
        }


def _place(provider: str) -> tuple[bool, int, str]:
    """Order the known providers as everywhere, others after them by name."""
    known = provider in PROVIDERS
    return not known, PROVIDERS.index(provider) if known else 0, provider


def _fault(job: FinishedJob) -> dict[str, Any]:
    return {
        "at": job.finished_at,
        "kind": job.kind,
        "home": job.home,
        "served_by": job.served_by,
        "outcome": job.outcome.value,
        "error": job.error,
        "reference": job.id,
    }
