"""What Prometheus sees, named by its conventions (https://prometheus.io/docs/practices/naming/)."""

from __future__ import annotations

from functools import cache, partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3)
_SLOW = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 900)


class Metrics:
    """This instance's metrics, in a registry of their own."""

    def __init__(self, instance: int) -> None:
        self._registry = CollectorRegistry()
        name = str(instance)

        def counter(metric: str, text: str, *labels: str) -> Counter:
            return Counter(metric, text, ("instance_id", *labels), registry=self._registry)

        def histogram(metric: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(metric, text, ("instance_id", *labels), registry=self._registry, buckets=buckets)

        self._instance = name
        acks = histogram("quartet_ack_seconds", "From request to answer, by what was answered.", _FAST, "answer")
        self._acks = cache(partial(acks.labels, name))  # finding the child costs more than observing
        self._wait = histogram("quartet_queue_wait_seconds", "From acceptance to lease.", _SLOW, "kind", "because")
        self._answers = histogram("quartet_answer_seconds", "From acceptance to the final edit.", _SLOW, "kind")
        self._finished = counter("quartet_jobs_finished", "Jobs ended.", "kind", "outcome", "because")
        self._delivery = histogram("quartet_delivery_seconds", "The final edit, with its retries.", _SLOW).labels(name)
        self._provider = histogram("quartet_provider_seconds", "Provider calls.", _SLOW, "provider", "outcome")
        self._webhook = counter("quartet_webhook_calls", "Calls to Discord's webhook.", "outcome")
        gauge = Gauge("quartet_jobs_running", "Jobs this instance runs now.", ("instance_id",), registry=self._registry)
        self._running = gauge.labels(name)

    def acked(self, answer: str, seconds: float) -> None:
        """An interaction was answered: `deferred`, `instant`, `refused`, `unauthorized`, …"""
        self._acks(answer).observe(seconds)

    def job_started(self, kind: str, because: str, waited_s: float) -> None:
        """A job was leased after waiting this long."""
        self._wait.labels(self._instance, kind, because).observe(max(0.0, waited_s))

    def job_delivered(self, seconds: float) -> None:
        """A final edit was made, or given up."""
        self._delivery.observe(seconds)

    def job_finished(self, kind: str, outcome: str, because: str, seconds: float) -> None:
        """A job ended this long after it was accepted."""
        self._finished.labels(self._instance, kind, outcome, because).inc()
        self._answers.labels(self._instance, kind).observe(max(0.0, seconds))

    def provider_called(self, provider: str, outcome: str, seconds: float) -> None:
        """A provider call ended."""
        self._provider.labels(self._instance, provider, outcome).observe(seconds)

    def webhook_called(self, outcome: str, _seconds: float) -> None:
        """A call to Discord's webhook ended."""
        self._webhook.labels(self._instance, outcome).inc()

    def exposition(self, *, running: int) -> bytes:
        """Return everything in Prometheus's text format."""
        self._running.set(running)
        return generate_latest(self._registry)
