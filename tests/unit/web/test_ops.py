"""What the operator's pages say when something is wrong."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.responses import Response

from app.balancing.budget import KeySnapshot, KeyState
from app.errors import StoreUnavailable
from app.web.ops import OpsPages
from app.worker.loop import Worker
from tests.unit.edge.kit import Bench


def pages(bench: Bench, *, store: bool = True, worker: bool = True, draining: bool = False) -> OpsPages:
    """Return the pages of an instance in some state of health."""
    keys = SimpleNamespace(snapshots=lambda: {"openai": KeySnapshot(KeyState.DEAD), "minimax": KeySnapshot()})
    checks = {"store": store, "worker": worker}
    state = SimpleNamespace(healthy=lambda: checks, draining=draining, running=2, keys=keys)
    return OpsPages(1, bench.overview, bench.limits, bench.metrics, cast(Worker, state))


def body(response: Response) -> dict[str, Any]:
    """Return a response's JSON."""
    read: dict[str, Any] = json.loads(bytes(response.body))
    return read


@pytest.mark.parametrize(
    ("state", "status", "word", "store", "worker"),
    [
        ({}, 200, "ok", "ok", "ok"),
        ({"store": False}, 503, "failing", "failing", "ok"),
        ({"worker": False}, 503, "failing", "ok", "failing"),
        ({"draining": True}, 503, "draining", "ok", "ok"),
        ({"draining": True, "store": False}, 503, "draining", "failing", "ok"),
    ],
)
async def test_health_names_what_fails(state: dict[str, bool], status: int, word: str, store: str, worker: str) -> None:
    """200 only if all is well; else 503, with each part by name; never kept by anybody in between."""
    response = await pages(Bench(), **state).health()
    told = body(response)
    assert response.status_code == status and response.headers["cache-control"] == "no-store"
    assert (told["status"], told["store"], told["worker"], told["instance"]) == (word, store, worker, 1)


async def test_being_alive_asks_nothing_of_the_store() -> None:
    """While health is red, `/live` stays 200: what would restart the process on it must not, as that mends no store."""
    failing = pages(Bench(), store=False, worker=False, draining=True)
    response = await failing.live()
    assert (response.status_code, body(response)) == (200, {"status": "alive", "instance": 1})


async def test_statistics_without_a_store() -> None:
    """Symptom: `/stats` was a 500 with a traceback while the store could not be read. Cause: nobody caught the error.
    Rule: 503 and the reason; 200 again when the store is back.
    """
    bench = Bench()

    async def fail() -> None:
        raise StoreUnavailable("reading quartet.db failed: disk I/O error")

    bench.store.before_read = fail
    response = await pages(bench).stats()
    assert response.status_code == 503
    assert body(response) == {"error": "reading quartet.db failed: disk I/O error", "answered_by": 1}
    bench.store.before_read = None
    assert (await pages(bench).stats()).status_code == 200


async def test_metrics() -> None:
    """Prometheus's text with what runs now."""
    exposition = await pages(Bench()).exposition()
    assert b'quartet_jobs_running{instance_id="1"} 2.0' in bytes(exposition.body)
    assert str(exposition.media_type).startswith("text/plain")


async def test_health_names_a_dead_key_without_turning_red() -> None:
    """An operator sees at once which key was rejected; the instance stays in service, since others do its work."""
    answer = await pages(Bench()).health()
    assert answer.status_code == 200
    assert body(answer)["keys"] == {"openai": "dead", "minimax": "ready"}
