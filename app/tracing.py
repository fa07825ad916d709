"""Traces by OpenTelemetry, for who wants them: a span for each step of an interaction, whichever instance took it.

Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set, and then the extra `tracing` has to be installed. The trace's id is
made from the interaction's, and so is that of its first span: all instances agree on both without anything being handed
on, also over a crash. The SDK sends from a thread of its own, and drops what a collector does not take.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SEND_WITHIN_S = 2
QUEUED = 512
"""Spans that wait to be sent; one request holds them all, so that nobody's end waits for more than one."""

_FINE = ("ok", "answered", "refused", "stopped", None)

log = structlog.get_logger("tracing")


def traces(endpoint: str, *, instance: int, version: str) -> Traces | None:
    """Return what sends spans to `<endpoint>/v1/traces` (OTLP over HTTP).

    None, and a warning, if what that needs is not installed.
    """
    try:
        return Traces(endpoint, instance=instance, version=version)
    except ImportError as error:
        log.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but traces need the extra `tracing`: uv sync --extra tracing",
            missing=error.name,
        )
        return None


class Traces:
    """Makes spans after the fact, from when a step began and ended."""

    def __init__(self, endpoint: str, *, instance: int, version: str) -> None:
        from opentelemetry.context import Context
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        about = {"service.name": "quartet", "service.version": version, "service.instance.id": str(instance)}
        self._ids = _Ids()
        self._nowhere = Context()
        self._provider: TracerProvider = TracerProvider(
            resource=Resource.create(about), id_generator=cast(Any, self._ids), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=SEND_WITHIN_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, QUEUED, max_export_batch_size=QUEUED))
        self._tracer = self._provider.get_tracer("quartet", version)

    def root(self, job_id: str, began: float, ended: float, facts: Mapping[str, Any]) -> None:
        """Note the whole of an interaction's way; times are wall clock seconds."""
        self._ids.trace, self._ids.span = trace_ids(job_id)
        try:
            self._record("interaction", self._nowhere, began, ended, facts)
        finally:
            self._ids.trace = self._ids.span = 0

    def span(self, job_id: str, name: str, began: float, ended: float, facts: Mapping[str, Any]) -> None:
        """Note a part of it."""
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        trace_id, root_id = trace_ids(job_id)
        parent = SpanContext(trace_id, root_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        self._record(name, set_span_in_context(NonRecordingSpan(parent), self._nowhere), began, ended, facts)

    async def close(self) -> None:
        """Send what is left, for a moment at the most."""
        await asyncio.to_thread(self._provider.shutdown)

    def _record(self, name: str, context: Any, began: float, ended: float, facts: Mapping[str, Any]) -> None:
        from opentelemetry.trace import StatusCode

        attributes = {f"quartet.{key}": value for key, value in facts.items() if value not in ("", None)}
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=int(began * 1e9))
        if facts.get("outcome") not in _FINE:
            span.set_status(StatusCode.ERROR, str(facts.get("error") or facts["outcome"]))
        span.end(int(max(began, ended) * 1e9))


class _Ids:
    """OpenTelemetry's `IdGenerator`: the next ids are `trace` and `span` where these are set, else any."""

    def __init__(self) -> None:
        self.trace = self.span = 0

    def generate_trace_id(self) -> int:
        return self.trace or random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        return self.span or random.getrandbits(64) or 1

    def is_trace_id_random(self) -> bool:
        return False


def trace_ids(job_id: str) -> tuple[int, int]:
    """Return the trace's id (128 bits) and its first span's (64 bits), the same on every instance."""
    digest = hashlib.sha256(b"quartet trace " + job_id.encode()).digest()
    return int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:24]) or 1
