"""`/stats`: the whole system as JSON; its fields are documented in docs/stats.md."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.balancing.overview import Member, Overview
from app.commands.base import Limits
from app.jobs.job import FinishedJob

RECENT_JOBS = 50


async def collect(overview: Overview, limits: Limits, instance: int) -> dict[str, Any]:
    """Return the system's picture; times are seconds since the epoch, durations seconds."""
    view = await overview.refresh()
    measured = await overview.measured()
    recent = await overview.recent(RECENT_JOBS)
    counts = overview.counts
    return {
        "at": view.at,
        "answered_by": instance,
        "instance_count": limits.instance_count,
        "routing": limits.routing,
        "alive": [member.instance for member in view.alive],
        "totals": {
            "waiting": counts.total_waiting,
            "running": sum(counts.running.values()),
            "done_today": sum(sum(member.done_today.values()) for member in view.members),
            "slots": sum(member.snapshot.slots for member in view.alive),
        },
        "measured": {"window_s": 3600, **asdict(measured)},
        "limits": asdict(limits) | {"jobs_day": limits.jobs_day},
        "instances": [_member(member, view.at) for member in view.members],
        "recent_jobs": [_job(job) for job in recent],
    }


def _member(member: Member, now: float) -> dict[str, Any]:
    snapshot = member.snapshot
    return {
        "instance": member.instance,
        "alive": member.alive,
        "draining": snapshot.draining,
        "ready": member.alive and snapshot.ready,
        "pid": snapshot.pid,
        "address": snapshot.address,
        "version": snapshot.version,
        "uptime_s": round(now - snapshot.started_at, 3) if member.alive else None,
        "last_beat_s": round(now - member.beat_at, 3) if member.beat_at is not None else None,
        "running": snapshot.running if member.alive else 0,
        "slots": snapshot.slots,
        "waiting": member.waiting,
        "done_today": dict(member.done_today),
        "acked": snapshot.acked if member.alive else 0,
        "ack_p50_s": snapshot.ack_p50_s if member.alive else None,
        "ack_p99_s": snapshot.ack_p99_s if member.alive else None,
        "keys": {provider: asdict(key) for provider, key in snapshot.keys.items()},
    }


def _job(job: FinishedJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "user_id": job.user_id,
        "home": job.home,
        "served_by": job.served_by,
        "key_set": job.served_by if job.provider else None,
        "because": job.because.value,
        "outcome": job.outcome.value,
        "provider": job.provider,
        "error": job.error,
        "received_at": job.received_at,
        "queued_s": round(job.started_at - job.received_at, 3),
        "answered_s": round(job.finished_at - job.received_at, 3),
    }
