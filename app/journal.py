"""What happens to a job, told once and heard by all: a line of the log, the metrics, and a trace if one is wanted.

One method for each transition, one line for each call. The lines' fields are the same everywhere (docs/metrics.md):
`interaction` and `job` (the same id, but for a button's press, whose interaction is not the job it is about), `kind`,
`home`, and from the lease on `fence` and with it `key_set`, which the log adds. Nothing a user wrote is among them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from app import logs
from app.clock import Clock
from app.jobs.job import Finish, Job, NewJob, ServedBecause

if TYPE_CHECKING:  # commands take `facts` from here, and listing them should load nothing heavy
    from app.metrics import Metrics


class Spans(Protocol):
    """Takes what a trace is made of; times are wall clock seconds. `root` is the whole of an interaction."""

    def span(self, job_id: str, name: str, began: float, ended: float, facts: dict[str, Any]) -> None:
        """Note a part of an interaction's way."""

    def root(self, job_id: str, began: float, ended: float, facts: dict[str, Any]) -> None:
        """Note the whole of it."""


class CallWatch:
    """Hears of one provider call of a job: that it begins, that the first word comes, how it ended."""

    def __init__(self, journal: Journal, job: Job, provider: str) -> None:
        self._journal = journal
        self._job = job
        self._provider = provider

    def begun(self) -> None:
        """The call is on record and goes out."""
        self._journal.line("provider call begun", self._job, {"provider": self._provider})

    def spoke(self, seconds: float) -> None:
        """The first of the answer's words came after so long."""
        self._journal.metrics.provider_spoke(self._provider, seconds)

    def ended(self, outcome: str, seconds: float) -> None:
        """The call is over: `ok`, or the error's class name."""
        self._journal.call_ended(self._job, self._provider, outcome, seconds)


class Journal:
    """One instance's. `spans` is None unless traces are wanted."""

    def __init__(self, metrics: Metrics, clock: Clock, spans: Spans | None = None) -> None:
        self.metrics = metrics
        self._clock = clock
        self._spans = spans

    def accepted(self, job: NewJob) -> None:
        """A job is on record, and its user will see that it is worked on."""
        self.metrics.handed_in(job.kind, "accepted")
        if logs.wanted(logging.INFO):
            logs.journal("job accepted", named(job))
        if self._spans is not None:
            self._spans.span(job.id, "accept", job.received_at, self._clock.now(), named(job))

    def known(self, job: NewJob) -> None:
        """A copy of an interaction that was accepted already came in."""
        self.metrics.handed_in(job.kind, "duplicate")
        logs.journal("job known already", named(job))

    def refused(self, interaction_id: str, kind: str, home: int, reason: str) -> None:
        """A job was not accepted, and its user hears why."""
        self.metrics.handed_in(kind, reason)
        facts = {"interaction": interaction_id, "job": interaction_id, "kind": kind, "home": home, "reason": reason}
        logs.journal("job refused", facts)

    def leased(self, job: Job) -> None:
        """This instance begins to work on a job."""
        waited = self._clock.now() - job.received_at
        self.metrics.job_started(job.kind, job.because.value, waited)
        event = "job recovered" if job.because is ServedBecause.RECOVERED else "job leased"
        told = {"attempt": job.attempts, "because": job.because.value, "waited_s": round(waited, 3)}
        self.line(event, job, told)
        if self._spans is not None:
            self._spans.span(job.id, "queue", job.received_at, self._clock.now(), {**facts(job), **told})

    def call(self, job: Job, provider: str) -> CallWatch:
        """Return what is to hear of a provider call."""
        return CallWatch(self, job, provider)

    def call_ended(self, job: Job, provider: str, outcome: str, seconds: float) -> None:
        """A provider call is over."""
        self.metrics.provider_called(provider, job.kind, outcome, seconds)
        told = {"provider": provider, "outcome": outcome}
        self.line("provider call ended", job, {**told, "seconds": round(seconds, 3)})
        if self._spans is not None:
            now = self._clock.now()
            self._spans.span(job.id, "provider", now - seconds, now, {**facts(job), **told})

    def delivered(self, job: Job, outcome: str, error: str, seconds: float) -> None:
        """The last word was taken by Discord, or is given up (`undeliverable`)."""
        self.metrics.job_delivered(seconds)
        told = {"outcome": outcome, "error": error}
        self.line("job delivered", job, {**told, "seconds": round(seconds, 3)})
        if self._spans is not None:
            now = self._clock.now()
            self._spans.span(job.id, "deliver", now - seconds, now, {**facts(job), **told})

    def finished(self, job: Job, finish: Finish) -> None:
        """The end of a job is on record."""
        outcome, seconds = finish.outcome.value, finish.now - job.received_at
        self.metrics.job_finished(job.kind, outcome, job.because.value, seconds, finish.error)
        told = {"outcome": outcome, "provider": finish.provider, "error": finish.error, "because": job.because.value}
        self.line("job finished", job, {**told, "seconds": round(seconds, 3)})
        if self._spans is not None:
            self._spans.root(job.id, job.received_at, finish.now, {**facts(job), **told})

    def released(self, job: Job, reason: str, error: str = "") -> None:
        """A job goes back to the queue: `drain`, `another_key`, `late` (beyond its token's end) or `store`."""
        self.metrics.job_released(reason)
        self.line("job released", job, {"reason": reason, "error": error})

    def lost(self, job: Job) -> None:
        """A lease went to somebody else: what this instance still does for the job is seen by nobody."""
        self.metrics.lease_lost()
        self.line("job lost", job, {}, logging.WARNING)

    def line(self, event: str, job: Job, told: Mapping[str, Any], level: int = logging.INFO) -> None:
        """Write a line about a job under lease."""
        if logs.wanted(level):
            logs.journal(event, {**facts(job), **told}, level)


def facts(job: Job) -> dict[str, Any]:
    """Return what names a job in the log; nothing of what its user wrote."""
    return {"interaction": job.id, "job": job.id, "kind": job.kind, "home": job.home, "fence": job.fence}


def named(job: NewJob) -> dict[str, Any]:
    """Return what names a job that nobody has leased yet."""
    place = {"interaction": job.id, "job": job.id, "kind": job.kind, "home": job.home}
    return {**place, "repeats": job.repeats} if job.repeats else place
