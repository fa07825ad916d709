"""What the operator looks at: `/health`, `/stats`, `/metrics`; `/dashboard` has a folder of its own. The proxy serves
all but the first on loopback only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from app import VERSION
from app.balancing.overview import Overview
from app.commands.base import Limits
from app.errors import StoreUnavailable
from app.metrics import Metrics
from app.web import stats
from app.web.gauges import Gauges
from app.worker.loop import Worker


@dataclass(frozen=True, slots=True)
class OpsPages:
    """Where the pages take their figures from."""

    instance: int
    overview: Overview
    limits: Limits
    metrics: Metrics
    worker: Worker
    gauges: Gauges | None = None

    async def live(self) -> JSONResponse:
        """200 as long as this process turns over, whatever state the store is in: restarting it would mend nothing."""
        return JSONResponse({"status": "alive", "instance": self.instance}, headers={"cache-control": "no-store"})

    async def health(self) -> JSONResponse:
        """200 if the store takes our signs of life and the worker looks at the queue; else 503 and which fails.

        A key that is cooling, spent or dead is named, and does not make this red: other instances do its work.
        """
        checks = self.worker.healthy()
        healthy = all(checks.values()) and not self.worker.draining
        body: dict[str, Any] = {
            "status": "ok" if healthy else "draining" if self.worker.draining else "failing",
            "instance": self.instance,
            "version": VERSION,
            **{name: "ok" if fine else "failing" for name, fine in checks.items()},
            "keys": {provider: key.state.value for provider, key in self.worker.keys.snapshots().items()},
        }
        return JSONResponse(body, status_code=200 if healthy else 503, headers={"cache-control": "no-store"})

    async def stats(self) -> JSONResponse:
        """The whole system as JSON; 503 while the store can't be read."""
        try:
            body, status = await stats.collect(self.overview, self.limits, self.instance), 200
        except StoreUnavailable as error:
            body, status = {"error": str(error), "answered_by": self.instance}, 503
        return JSONResponse(body, status_code=status, headers={"cache-control": "no-store"})

    async def exposition(self) -> Response:
        """This instance's metrics for Prometheus."""
        more = await self.gauges.collect() if self.gauges is not None else ()
        page = self.metrics.exposition(running=self.worker.running, more=more)
        return Response(page, media_type=CONTENT_TYPE_LATEST)


def ops_routes(pages: OpsPages) -> APIRouter:
    """Return the routes of the pages."""
    router = APIRouter()
    router.add_api_route("/health", pages.health, methods=["GET", "HEAD"])
    router.add_api_route("/live", pages.live, methods=["GET", "HEAD"])
    router.add_api_route("/stats", pages.stats, methods=["GET", "HEAD"])
    router.add_api_route("/metrics", pages.exposition, methods=["GET", "HEAD"])
    return router
