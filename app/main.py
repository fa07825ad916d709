"""The composition root: settings in, one running instance out. The only file that knows the concrete classes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx2
import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp

from app import VERSION, configured, providing
from app.balancing.cooldowns import Cooldowns
from app.balancing.keyset import OPENAI, forget_old_calls
from app.balancing.overview import Overview
from app.balancing.state import InstanceSnapshot
from app.clock import Clock, SharedClock, SystemClock, boot_id, since_boot
from app.commands.registry import JOB_COMMANDS, job_command, offering
from app.discord.signature import SignatureVerifier
from app.edge import Edge
from app.errors import StoreUnavailable
from app.intake import Intake, IntakeRules
from app.journal import Journal
from app.metrics import Metrics, watch_loop
from app.observed import StoreWatch, observed
from app.replying import Replying
from app.settings import SQLITE_PREFIX, InstanceSettings
from app.storage import storage
from app.tracing import Traces, traces
from app.users import Users
from app.web.dashboard.feed import Feed
from app.web.dashboard.files import PageFiles
from app.web.dashboard.picture import Camera
from app.web.dashboard.routes import dashboard_routes
from app.web.gauges import Gauges
from app.web.interactions import InteractionsEndpoint
from app.web.ops import OpsPages, ops_routes
from app.worker.leases import LeaseBook
from app.worker.loop import Worker
from app.worker.pressure import Pressure
from app.worker.rescue import Rescue
from app.worker.runner import Runner

DRAIN_S = 20.0
"""How long running jobs may go on after SIGTERM; what is not done by then is handed back."""

WARM_WITHIN_S = 6.0

log = structlog.get_logger("instance")


class Instance:
    """One instance, wired but not started. `asgi` serves it; the lifespan starts and stops the rest.

    `when_warm` is called once everything is loaded, the parts that load in the background too.
    """

    def __init__(
        self,
        settings: InstanceSettings,
        clock: Clock | None = None,
        *,
        when_warm: Callable[[], None] = lambda: None,
    ) -> None:
        self._when_warm = when_warm
        self.settings = settings
        self.clock = clock or SystemClock()
        self.metrics = Metrics(settings.instance_id)
        self._traces = self._make_traces()
        self.journal = Journal(self.metrics, self.clock, self._traces)
        self.limits = configured.limits(settings)
        self._day_limits = self.limits.day
        self._started_at = self.clock.now()
        self._boot_id = boot_id()
        self._warming: asyncio.Task[None] | None = None
        self._watch = StoreWatch(self.clock.monotonic)
        self.storage = observed(storage(settings), self.metrics.store_called, self.clock.monotonic, self._watch)
        self.store = self.storage.jobs
        self._shared_clock = SharedClock(self.clock, self.storage.time)
        self.users = Users(settings, self.storage, self.clock)
        self.keys = configured.keys(settings, self.clock, self.storage.calls)
        self.overview = Overview(
            self.store,
            self.storage.cluster,
            self.storage.counters,
            self.clock,
            instance_count=settings.instance_count,
            day_starts_at=settings.day_starts_at_utc * 3600,
            describe=self._describe,
        )
        connections = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
        self._provider_http = httpx2.AsyncClient(limits=connections)
        self._replying = Replying(settings, connections, self.store, self.clock, self.metrics)
        self._pressure = Pressure(self.clock)
        self._chat = providing.chat(
            settings,
            self._provider_http,
            self.clock,
            on_rate=self.keys[OPENAI].learn,
            stretch=self._pressure.stretch,
        )
        self.worker = self._make_worker()
        self.intake = self._make_intake()
        self.edge = Edge(
            instance=settings.instance_id,
            verifier=SignatureVerifier(settings.discord_public_key, self.clock),
            commands=offering(self.users.models),
            intake=self.intake,
            store=self.store,
            overview=self.overview,
            limits=self.limits,
            clock=self.clock,
            metrics=self.metrics,
            remover=self._replying.removal,
            people=self.users.people(),
            refuse=self.users.refusal,
            on_stop=self.worker.stop_job,
        )
        self._files = PageFiles()
        self.feed = self._make_feed()
        self.asgi: ASGIApp = InteractionsEndpoint(self.edge, self._make_api(), settings.instance_id)

    def _make_api(self) -> FastAPI:
        pages = OpsPages(
            instance=self.settings.instance_id,
            overview=self.overview,
            limits=self.limits,
            metrics=self.metrics,
            worker=self.worker,
            gauges=self._make_gauges(),
        )
        api = FastAPI(
            title="Quartet", version=VERSION, lifespan=self._lifespan, docs_url=None, redoc_url=None, openapi_url=None
        )
        api.include_router(ops_routes(pages))
        api.include_router(dashboard_routes(self._files, self.feed))
        return api

    def _make_feed(self) -> Feed:
        camera = Camera(
            instance=self.settings.instance_id,
            overview=self.overview,
            limits=self.limits,
            store=self.store,
            calls=self.storage.calls,
            clock=self.clock,
            release=self._files.release,
        )
        return Feed(camera.take, camera.forget, self.clock)

    def _make_traces(self) -> Traces | None:
        endpoint = self.settings.otel_exporter_otlp_endpoint
        return traces(endpoint, instance=self.settings.instance_id, version=VERSION) if endpoint else None

    def _make_gauges(self) -> Gauges:
        settings = self.settings
        return Gauges(
            instance=settings.instance_id,
            overview=self.overview,
            keys=self.keys,
            worker=self.worker,
            store=self.store,
            clock=self.clock,
            slots=settings.max_concurrent_jobs,
            instance_count=settings.instance_count,
            invalid=self._replying.invalid_responses,
            invalid_limit=self._replying.invalid_limit,
            store_time=self.storage.time,
            disk=settings.sqlite_path if settings.store_url.startswith(SQLITE_PREFIX) else None,
        )

    def _make_intake(self) -> Intake:
        settings = self.settings
        rules = IntakeRules(
            instance_count=settings.instance_count,
            routing=settings.routing,
            max_waiting=settings.max_queued_jobs,
            day_starts_at=settings.day_starts_at_utc * 3600,
        )
        return Intake(
            self.store,
            self.clock,
            rules=rules,
            cooldowns=Cooldowns(self.clock, configured.cooldowns(settings)),
            day_exhausted=self._day_exhausted,
            notify=self.worker.notify,
            journal=self.journal,
            quota=self.users.quota,
            store_silent=self._watch.silent,
        )

    def _make_worker(self) -> Worker:
        settings = self.settings
        leases = LeaseBook(
            self.store,
            self.clock,
            owner=settings.instance_id,
            lease_s=settings.lease_s,
            on_lost=self.journal.lost,
            moment=since_boot,
        )
        delivery = self._replying.delivery(leases.holds)
        runner = Runner(
            instance=settings.instance_id,
            store=self.store,
            leases=leases,
            commands=JOB_COMMANDS,
            services=providing.services(
                settings, self.users, self.keys, self._chat, self._provider_http, self._replying.http, self.clock
            ),
            delivery=delivery,
            overview=self.overview,
            clock=self.clock,
            journal=self.journal,
            resolve=job_command,
            pressure=self._pressure,
        )
        rescue = Rescue(
            store=self.store,
            leases=leases,
            runner=runner,
            delivery=delivery,
            commands=JOB_COMMANDS,
            overview=self.overview,
            clock=self.clock,
            day_exhausted=self._day_exhausted,
        )
        return Worker(
            leases=leases,
            runner=runner,
            commands=JOB_COMMANDS,
            keys=self.keys,
            overview=self.overview,
            clock=self.clock,
            slots=settings.max_concurrent_jobs,
            day_limits=self.limits.day,
            ready=self._ready,
            takes_new=self.storage.takes_new,
            user_limit=settings.user_max_running,
            steal=settings.stealing and settings.routing == "user",
            chores={
                "rescue": rescue.keep_looking,
                "clock": self._shared_clock.keep_following,
                "house": rescue.keep_house,
                "lag": partial(watch_loop, self.metrics, self.clock),
                "calls": partial(forget_old_calls, self.storage.calls, self.clock),
                "choices": self.users.choices.keep_fresh,
                "users": self.users.housekeeping.keep_house,
            },
        )

    def _day_exhausted(self, kind: str) -> bool:
        return self.overview.day_exhausted(kind, self._day_limits[kind])

    def _describe(self) -> InstanceSnapshot:
        settings, acks = self.settings, self.metrics.acks.figures(self.clock.monotonic())
        return InstanceSnapshot(
            instance=settings.instance_id,
            pid=os.getpid(),
            address=f"{settings.host}:{settings.port}",
            version=VERSION,
            started_at=self._started_at,
            running=self.worker.running,
            slots=settings.max_concurrent_jobs,
            draining=self.worker.draining,
            ready=self._ready(),
            boot_id=self._boot_id,
            clock_offset=getattr(self.clock, "offset", 0.0),
            acked=acks.count,
            ack_p50_s=acks.p50_s,
            ack_p99_s=acks.p99_s,
            keys=self.keys.snapshots(),
        )

    @asynccontextmanager
    async def _lifespan(self, _api: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if self._traces is not None:
                stack.push_async_callback(self._traces.close)
            stack.push_async_callback(self._provider_http.aclose)
            stack.push_async_callback(self.storage.close)
            await self._open_storage()
            stack.push_async_callback(self.storage.cluster.leave, self.settings.instance_id)
            stack.push_async_callback(self.intake.close)
            stack.push_async_callback(self._replying.close)
            stack.callback(self.feed.close)
            await self._adopt_clock()
            await self.keys.restore()
            await self.users.choices.refresh()
            self._warming = asyncio.create_task(self._warm(), name="warm")
            stack.callback(self._warming.cancel)
            await self.worker.start()
            stack.push_async_callback(self._stop_worker)
            log.info("started", version=VERSION, instances=self.settings.instance_count)
            yield
            log.info("stopping", running=self.worker.running)

    async def _open_storage(self) -> None:
        try:
            await self.storage.open()
        except StoreUnavailable as error:
            log.critical("the store can't be used", reason=str(error))
            raise StoreUnavailable(str(error)) from None  # what lies below tells an operator nothing more

    async def _adopt_clock(self) -> None:
        """Agree with all others about what time it is: by the store's clock, or if it has none by that of those which
        run on this machine already."""
        if await self._shared_clock.adopt():
            self._started_at = self.clock.now()
            return
        if not isinstance(self.clock, SystemClock):
            return
        beats = await self.storage.cluster.heartbeats()
        here = [beat for beat in beats if beat.snapshot.boot_id == self._boot_id != ""]
        if here:
            self.clock.offset = max(here, key=lambda beat: beat.beat_at).snapshot.clock_offset
            self._started_at = self.clock.now()

    async def _warm(self) -> None:
        """Load what the first chat needs, so that no job of this instance waits for it while others are free."""
        try:
            async with asyncio.timeout(WARM_WITHIN_S):
                await self._chat.warm()
        except TimeoutError:
            log.warning("loading the chat client takes long")
        self._when_warm()

    def _ready(self) -> bool:
        return self._warming is not None and self._warming.done()

    async def _stop_worker(self) -> None:
        self.edge.draining = True
        await self.worker.stop(DRAIN_S)
