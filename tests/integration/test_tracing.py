"""Traces, as a collector gets them over OTLP."""

from __future__ import annotations

import builtins
import gzip
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.types import Receive, Scope, Send

from app.tracing import trace_ids, traces
from tests.kit.running import serving, system

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `tracing` is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

USER = 4242


class Collector:
    """Takes spans at `/v1/traces`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.about: set[tuple[str, str]] = set()
        self.raw = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert scope["path"] == "/v1/traces"
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        zipped = (b"content-encoding", b"gzip") in scope["headers"]
        self.take(gzip.decompress(body) if zipped else body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def take(self, body: bytes) -> None:
        self.raw += body
        for batch in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.about |= {(pair.key, pair.value.string_value) for pair in batch.resource.attributes}
            self.spans += [span for scope in batch.scope_spans for span in scope.spans]


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector = Collector()
    async with serving(collector) as url:
        yield collector, url


def told(span: Span) -> Mapping[str, Any]:
    """Return a span's attributes that are texts."""
    return {pair.key: pair.value.string_value for pair in span.attributes if pair.value.string_value}


async def test_an_interaction_is_one_trace(tmp_path: Path) -> None:
    """Each step under one span for the whole, with the ids every instance works out; not a word of what was asked."""
    async with collecting() as (collector, url):
        async with system(tmp_path, otel_exporter_otlp_endpoint=url) as one:
            asked = await one.ask(USER, "채팅", {"질문": "속삭임"})
            await asked.final(15)
        spans = {span.name: span for span in collector.spans}
    trace_id, root_id = trace_ids(asked.id)
    assert set(spans) == {"interaction", "accept", "queue", "provider", "deliver"} and len(collector.spans) == 5
    assert {span.trace_id for span in collector.spans} == {trace_id.to_bytes(16, "big")}
    root = spans.pop("interaction")
    assert root.span_id == root_id.to_bytes(8, "big") and not root.parent_span_id
    assert {span.parent_span_id for span in spans.values()} == {root.span_id}
    assert len({span.span_id for span in spans.values()}) == 4
    for span in spans.values():
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    assert told(root)["quartet.interaction"] == asked.id and told(root)["quartet.outcome"] == "answered"
    assert told(spans["provider"])["quartet.provider"] == "openai"
    assert ("service.name", "quartet") in collector.about and ("service.instance.id", "1") in collector.about
    assert "속삭임".encode() not in collector.raw and b"sk-simulated" not in collector.raw


async def test_what_failed_is_marked() -> None:
    """A call that ended with an error has its class as the status; one that did not has none."""
    async with collecting() as (collector, url):
        sending = traces(url, instance=1, version="1")
        assert sending is not None
        sending.span("13", "provider", 10.0, 12.0, {"outcome": "ProviderTimeout"})
        sending.span("13", "provider", 12.0, 13.0, {"outcome": "ok", "error": ""})
        await sending.close()
    failed, fine = collector.spans
    assert (failed.status.code, failed.status.message) == (Status.STATUS_CODE_ERROR, "ProviderTimeout")
    assert fine.status.code == Status.STATUS_CODE_UNSET
    assert failed.end_time_unix_nano - failed.start_time_unix_nano == 2_000_000_000


async def test_a_collector_that_is_gone_costs_little() -> None:
    """Nothing is raised, noting a span waits for nobody, and the end of the process waits for a moment at the most."""
    async with collecting() as (_, url):
        pass
    sending = traces(url, instance=1, version="1")
    assert sending is not None
    began = time.monotonic()
    for n in range(2000):
        sending.root(str(n), 10.0, 12.0, {"outcome": "answered"})
    assert time.monotonic() - began < 5
    await sending.close()
    assert time.monotonic() - began < 15


def test_without_the_extra_there_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what to install; the instance goes on without traces."""
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with structlog.testing.capture_logs() as lines:
        assert traces("http://127.0.0.1:1", instance=1, version="1") is None
    (line,) = lines
    assert line["log_level"] == "warning" and "--extra tracing" in line["event"]


def test_ids_are_the_same_everywhere_and_differ() -> None:
    """Of full length, never 0, and different for every interaction."""
    ids = [trace_ids(str(n)) for n in range(1000)]
    assert ids == [trace_ids(str(n)) for n in range(1000)]
    assert len({trace for trace, _ in ids}) == len({span for _, span in ids}) == 1000
    assert all(0 < trace < 2**128 and 0 < span < 2**64 for trace, span in ids)
