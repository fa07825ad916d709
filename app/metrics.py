"""What Prometheus sees of what happens, named by its conventions (https://prometheus.io/docs/practices/naming/).

Here is what is counted as it happens; what is only looked at when somebody asks stands in app/web/gauges.py.
docs/metrics.md describes every one. Labels have few values: no ids, and of errors only class names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.ack_times import AckTimes
from app.clock import Clock
from app.histograms import QuickHistogram

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, of use to nobody

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3)
"""Around Discord's 3 s for the first answer."""

_SLOW = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 900)
"""Up to the 15 minutes of a token."""

_FIRST_WORD = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 60)
_STORE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2)
_LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 3)

LAG_EVERY_S = 0.5

STOLEN = ("home_busy", "home_spent", "home_down")
"""Why another instance than the home took a job (`ServedBecause`)."""

DEFERRED = "deferred"

KINDS = ("chat", "image", "video")


class Metrics:
    """This instance's metrics, in a registry of their own. Told from the event loop only."""

    def __init__(self, instance: int) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        name = str(instance)

        def counter(metric: str, text: str, *labels: str) -> Counter:
            return Counter(metric, text, ("instance_id", *labels), registry=self._registry)

        def histogram(metric: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(metric, text, ("instance_id", *labels), registry=self._registry, buckets=buckets)

        self.instance = instance
        self.acks = AckTimes()
        self._instance = name
        # What happens with each interaction is counted quickly, or has its child remembered: finding that costs more.
        self._acks = self._quick(
            "quartet_ack_seconds", "From request to answer, by what was answered.", _FAST, "answer"
        )
        self._store = self._quick("quartet_store_seconds", "Calls to the store, commit included.", _STORE, "operation")
        intake = counter("quartet_intake", "Jobs handed in, by what became of them.", "kind", "result")
        self._intake = cache(partial(intake.labels, name))
        self._store_errors = counter("quartet_store_errors", "Calls the store could not serve.", "operation")

        self._wait = histogram("quartet_queue_wait_seconds", "From acceptance to lease.", _SLOW, "kind", "because")
        self._steals = counter("quartet_steals", "Jobs taken over from a home that could not serve them.", "because")
        self._recovered = counter("quartet_jobs_recovered", "Jobs taken over from a life that crashed.", "kind")
        self._released = counter("quartet_jobs_released", "Leases handed back, by why.", "reason")
        self._lost = counter("quartet_leases_lost", "Leases that went to somebody else.").labels(name)
        self._answers = histogram("quartet_answer_seconds", "From acceptance to the final edit.", _SLOW, "kind")
        self._finished = counter("quartet_jobs_finished", "Jobs ended.", "kind", "outcome", "because")
        self._errors = counter("quartet_job_errors", "Jobs that ended with an error, by its class.", "kind", "error")
        self._undelivered = counter("quartet_jobs_undelivered", "Jobs whose last word Discord did not take.", "kind")
        self._delivery = histogram("quartet_delivery_seconds", "The final edit, with its retries.", _SLOW).labels(name)
        self._webhook = counter("quartet_webhook_calls", "Calls to Discord's webhook.", "outcome")
        self._webhook_s = histogram("quartet_webhook_seconds", "One call to Discord's webhook.", _SLOW).labels(name)
        self._provider = histogram("quartet_provider_seconds", "Provider calls.", _SLOW, "provider", "kind", "outcome")
        first = histogram("quartet_first_word_seconds", "From call to first word.", _FIRST_WORD, "provider")
        self._first_word = cache(partial(first.labels, name))
        self._lag = histogram("quartet_event_loop_lag_seconds", "How late a timer was.", _LAG).labels(name)
        gauge = Gauge("quartet_jobs_running", "Jobs this instance runs now.", ("instance_id",), registry=self._registry)
        self._running = gauge.labels(name)
        self._begin_at_zero()

    def _quick(self, name: str, text: str, edges: Sequence[float], label: str) -> QuickHistogram:
        histogram = QuickHistogram(name, text, edges, label, self._instance)
        self._registry.register(histogram)
        return histogram

    def _begin_at_zero(self) -> None:
        """Show what an alert looks at before it happens: a rate can't see a series whose first value is 1."""
        for because in STOLEN:
            self._steals.labels(self._instance, because)
        for kind in KINDS:
            self._recovered.labels(self._instance, kind)
            self._undelivered.labels(self._instance, kind)
            self._intake(kind, "accepted")
            self._intake(kind, "store_unavailable")
            for outcome in ("answered", "failed", "expired"):
                self._finished.labels(self._instance, kind, outcome, "home")
        self._store_errors.labels(self._instance, "jobs.put")

    def acked(self, answer: str, seconds: float) -> None:
        """An interaction was answered: `deferred`, `instant`, `refused`, `unauthorized`, …"""
        self._acks.observe(answer, seconds)
        if answer == DEFERRED:
            self.acks.observe(seconds)

    def handed_in(self, kind: str, result: str) -> None:
        """A job was `accepted`, known already (`duplicate`), or refused for this reason."""
        self._intake(kind, result).inc()

    def store_called(self, operation: str, seconds: float, *, failed: bool) -> None:
        """A call to the store ended."""
        self._store.observe(operation, seconds)
        if failed:
            self._store_errors.labels(self._instance, operation).inc()

    def job_started(self, kind: str, because: str, waited_s: float) -> None:
        """A job was leased after waiting this long."""
        self._wait.labels(self._instance, kind, because).observe(max(0.0, waited_s))
        if because in STOLEN:
            self._steals.labels(self._instance, because).inc()
        elif because == "recovered":
            self._recovered.labels(self._instance, kind).inc()

    def job_released(self, reason: str) -> None:
        """A lease was handed back."""
        self._released.labels(self._instance, reason).inc()

    def lease_lost(self) -> None:
        """A lease went to somebody else while this instance worked on the job."""
        self._lost.inc()

    def job_delivered(self, seconds: float) -> None:
        """A final edit was made, or given up."""
        self._delivery.observe(seconds)

    def job_finished(self, kind: str, outcome: str, because: str, seconds: float, error: str = "") -> None:
        """A job ended this long after it was accepted; `error` is the error's class name or empty."""
        self._finished.labels(self._instance, kind, outcome, because).inc()
        self._answers.labels(self._instance, kind).observe(max(0.0, seconds))
        if error:
            self._errors.labels(self._instance, kind, error).inc()
        if outcome == "undeliverable":
            self._undelivered.labels(self._instance, kind).inc()

    def provider_called(self, provider: str, kind: str, outcome: str, seconds: float) -> None:
        """A provider call for a job of this kind ended, `ok` or with an error of this class."""
        self._provider.labels(self._instance, provider, kind, outcome).observe(seconds)

    def provider_spoke(self, provider: str, seconds: float) -> None:
        """The first word of an answer came."""
        self._first_word(provider).observe(seconds)

    def webhook_called(self, outcome: str, seconds: float) -> None:
        """A call to Discord's webhook ended."""
        self._webhook.labels(self._instance, outcome).inc()
        self._webhook_s.observe(seconds)

    def loop_lagged(self, seconds: float) -> None:
        """A timer was this late: so long the event loop was busy with something else."""
        self._lag.observe(max(0.0, seconds))

    def exposition(self, *, running: int, more: Iterable[Metric] = ()) -> bytes:
        """Return everything in Prometheus's text format, `more` included."""
        self._running.set(running)
        return generate_latest(_Both(self._registry, more))


async def watch_loop(metrics: Metrics, clock: Clock) -> None:
    """Note how late a timer comes, until cancelled."""
    while True:
        due = clock.monotonic() + LAG_EVERY_S
        await clock.sleep(LAG_EVERY_S)
        metrics.loop_lagged(clock.monotonic() - due)


class _Both(CollectorRegistry):
    """A registry and what was looked at just now."""

    def __init__(self, registry: Collector, more: Iterable[Metric]) -> None:
        super().__init__()
        self._first, self._more = registry, more

    def collect(self) -> Iterator[Metric]:
        yield from self._first.collect()
        yield from self._more
