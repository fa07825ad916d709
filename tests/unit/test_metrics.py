"""What is counted as it happens, and how it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.commands.base import Answer, JobContext
from app.discord.replies import Message
from app.errors import LeaseLost, StoreUnavailable
from app.histograms import QuickHistogram
from app.jobs.job import Finish, Job, NewJob, Outcome, ServedBecause
from app.journal import Journal
from app.metrics import LAG_EVERY_S, Metrics, watch_loop
from app.observed import StoreWatch, observed
from app.settings import CommonSettings
from app.storage import Storage, storage
from tests.kit.clock import FakeClock
from tests.kit.waiting import wait_turns_until
from tests.unit.worker.bench_worker import Bench


def values(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample by name and labels, without the instance."""
    page = metrics.exposition(running=0).decode()
    return {
        (sample.name, frozenset(pair for pair in sample.labels.items() if pair[0] != "instance_id")): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return one sample; None if it is not shown."""
    return values(metrics).get((name, frozenset(labels.items())))


def job(because: ServedBecause = ServedBecause.HOME, received_at: float = 0.0) -> Job:
    return Job("13", "chat", "5", 2, received_at, received_at + 900, b"", 1, 1, because)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(3)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto_advance=False)


@pytest.fixture
def journal(metrics: Metrics, clock: FakeClock) -> Journal:
    return Journal(metrics, clock)


def test_a_quick_histogram_counts_like_the_library_s() -> None:
    """The same times give the same samples under the same names, also at a class's edge, above all and with none."""
    ours = QuickHistogram("times_seconds", "How long.", (0.01, 0.5, 2), "answer", "3")
    theirs = Histogram("times_seconds", "How long.", ("instance_id", "answer"), buckets=(0.01, 0.5, 2), registry=None)
    pages = []
    for told in ([], [0.0, 0.01, 0.0100001, 0.3, 0.5, 2.0, 2.1, 99.0]):
        for seconds in told:
            ours.observe("deferred", seconds)
            theirs.labels("3", "deferred").observe(seconds)
        pages.append([generate_latest(cast(CollectorRegistry, one)) for one in (ours, theirs)])
    assert pages[0][0] == pages[0][1] and pages[1][0] == pages[1][1]
    assert b'times_seconds_count{answer="deferred",instance_id="3"} 8.0' in pages[1][0]


def test_what_an_alert_looks_at_begins_at_zero(metrics: Metrics) -> None:
    """A rate sees nothing of a series whose first value is 1, so the first time would go unnoticed."""
    assert value(metrics, "quartet_leases_lost_total") == 0
    assert value(metrics, "quartet_store_errors_total", operation="jobs.put") == 0
    for because in ("home_busy", "home_spent", "home_down"):
        assert value(metrics, "quartet_steals_total", because=because) == 0
    for kind in ("chat", "image", "video"):
        assert value(metrics, "quartet_jobs_recovered_total", kind=kind) == 0
        assert value(metrics, "quartet_jobs_undelivered_total", kind=kind) == 0


@pytest.mark.parametrize("because", list(ServedBecause))
def test_steals_and_recoveries(metrics: Metrics, journal: Journal, because: ServedBecause) -> None:
    """A lease of another home's job is a steal by its reason; a crashed life's is recovered; the home's is neither."""
    journal.leased(job(because))
    reasons = ("home_busy", "home_spent", "home_down")
    stolen = {reason: value(metrics, "quartet_steals_total", because=reason) for reason in reasons}
    assert stolen == {reason: float(reason == because.value) for reason in reasons}
    recovered = value(metrics, "quartet_jobs_recovered_total", kind="chat")
    assert recovered == float(because is ServedBecause.RECOVERED)
    assert value(metrics, "quartet_queue_wait_seconds_count", kind="chat", because=because.value) == 1


def test_the_intake_is_counted_by_what_became_of_it(metrics: Metrics, journal: Journal) -> None:
    """Accepted, known already, refused for a reason."""
    new = NewJob("13", "chat", "5", 2, 0.0, 900.0, b"")
    journal.accepted(new)
    journal.known(new)
    journal.known(new)
    journal.refused("14", "image", 1, "queue_full")
    assert value(metrics, "quartet_intake_total", kind="chat", result="accepted") == 1
    assert value(metrics, "quartet_intake_total", kind="chat", result="duplicate") == 2
    assert value(metrics, "quartet_intake_total", kind="image", result="queue_full") == 1


def test_an_end_is_counted_once_each_way(metrics: Metrics, journal: Journal) -> None:
    """By outcome, by error if there was one, and as undelivered if Discord did not take it; with its whole time."""
    journal.finished(job(received_at=100.0), Finish(Outcome.ANSWERED, 102.0, "openai"))
    journal.finished(job(received_at=100.0), Finish(Outcome.UNDELIVERABLE, 103.0, error="AnswerGone"))
    ended = {"kind": "chat", "because": "home"}
    assert value(metrics, "quartet_jobs_finished_total", outcome="answered", **ended) == 1
    assert value(metrics, "quartet_jobs_finished_total", outcome="undeliverable", **ended) == 1
    assert value(metrics, "quartet_job_errors_total", kind="chat", error="AnswerGone") == 1
    assert value(metrics, "quartet_jobs_undelivered_total", kind="chat") == 1
    assert value(metrics, "quartet_answer_seconds_sum", kind="chat") == 5.0


def test_a_call_is_counted_by_kind(metrics: Metrics, journal: Journal) -> None:
    """A provider that makes pictures and videos has two very different times."""
    watch = journal.call(job(), "openai")
    watch.begun()
    watch.spoke(0.3)
    watch.ended("ok", 2.0)
    labels = {"provider": "openai", "kind": "chat", "outcome": "ok"}
    assert value(metrics, "quartet_provider_seconds_sum", **labels) == 2.0
    assert value(metrics, "quartet_first_word_seconds_sum", provider="openai") == 0.3


def test_nothing_that_names_a_user_or_a_job_is_a_label(metrics: Metrics, journal: Journal) -> None:
    """Such labels would make a series for each of them, for ever."""
    journal.accepted(NewJob("13131313", "chat", "5757575757", 2, 0.0, 900.0, b""))
    journal.leased(job())
    page = metrics.exposition(running=0).decode()
    assert "13131313" not in page and "5757575757" not in page


class LateClock(FakeClock):
    """Wakes sleepers later than they asked for, as a busy event loop does."""

    late_s = 0.125

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + self.late_s)


async def test_the_event_loop_s_lag_is_measured(metrics: Metrics) -> None:
    """How much later than asked for a timer comes, twice a second."""
    clock = LateClock(auto_advance=False)
    watching = asyncio.create_task(watch_loop(metrics, clock))
    await clock.advance(2 * (LAG_EVERY_S + clock.late_s))
    await wait_turns_until(lambda: value(metrics, "quartet_event_loop_lag_seconds_count") == 2, "two looks")
    assert value(metrics, "quartet_event_loop_lag_seconds_sum") == pytest.approx(0.25)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


class Part:
    """Stands for a store's part: one call that works, one that fails in each way, one that takes time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.fact = "known"

    async def put(self, job_id: str, *, limit: int = 0) -> str:
        await self.clock.sleep(0.5)
        return f"{job_id}:{limit}"

    async def down(self) -> None:
        raise StoreUnavailable("down")

    async def hung(self) -> None:
        await self.clock.sleep(2)
        raise StoreUnavailable("no answer within 2 s")

    async def lost(self) -> None:
        raise LeaseLost("lost")


def parts(clock: FakeClock) -> Storage:
    """Return a storage made of such parts."""
    names = ("jobs", "cluster", "counters", "calls", "conversations", "preferences", "usage")
    fields: Mapping[str, Any] = {name: Part(clock) for name in names}
    nobody = cast(Any, None)
    return Storage(**fields, open=nobody, close=nobody)


async def test_the_store_s_calls_are_timed(metrics: Metrics) -> None:
    """By part and name, what they return and raise unchanged; only what the store could not serve is an error."""
    clock = FakeClock()
    timed = observed(parts(clock), metrics.store_called, clock.monotonic, StoreWatch(clock.monotonic))
    jobs, usage = cast(Part, timed.jobs), cast(Part, timed.usage)
    assert await jobs.put("1", limit=3) == "1:3" and jobs.fact == "known"
    with pytest.raises(StoreUnavailable):
        await usage.down()
    with pytest.raises(LeaseLost):
        await jobs.lost()
    assert value(metrics, "quartet_store_seconds_sum", operation="jobs.put") == 0.5
    assert value(metrics, "quartet_store_seconds_count", operation="usage.down") == 1
    assert value(metrics, "quartet_store_errors_total", operation="usage.down") == 1
    assert value(metrics, "quartet_store_errors_total", operation="jobs.lost") is None


async def test_a_store_that_answers_nobody_is_silent() -> None:
    """After 1.6 s without any answer, calls that end in vain after a while included, and until the next answer; being
    asked nothing is no silence, nor is it one if it says at once that it can't serve.
    """
    clock = FakeClock()
    watch = StoreWatch(clock.monotonic)
    jobs = cast(Part, observed(parts(clock), lambda *_, failed: None, clock.monotonic, watch).jobs)
    await clock.advance(60)
    for answer, error in ((jobs.down, StoreUnavailable), (jobs.lost, LeaseLost)):
        assert not watch.silent()
        with pytest.raises(StoreUnavailable):
            await jobs.hung()
        assert watch.silent()
        with pytest.raises(error):
            await answer()
    assert not watch.silent()


async def test_the_real_store_is_timed(tmp_path: Path) -> None:
    """Also where it can't be used: it was never opened here."""
    settings = CommonSettings(discord_application_id="1", discord_public_key="ab" * 32, data_dir=tmp_path)
    told: list[tuple[str, bool]] = []
    timed = observed(
        storage(settings), lambda name, _s, *, failed: told.append((name, failed)), lambda: 0.0, StoreWatch(lambda: 0.0)
    )
    for call in (timed.jobs.counts(), timed.cluster.heartbeats(), timed.calls.since("1:openai", 0.0)):
        with pytest.raises(StoreUnavailable):
            await call
    assert told == [("jobs.counts", True), ("cluster.heartbeats", True), ("calls.since", True)]


@pytest.mark.parametrize("found_by", ["the next renewal", "the work itself"])
async def test_a_lost_lease_is_counted_once(found_by: str) -> None:
    """Whoever finds out first: the renewal, which ends the work, or the work, whose answer can't be kept."""
    bench = Bench()
    gate = asyncio.Event()

    async def wait(context: JobContext) -> Answer:
        await gate.wait()
        return Answer(Message("the answer"), "openai")

    bench.command("chat", wait)
    leased = await bench.lease()
    work = asyncio.create_task(bench.runner.run(leased))
    bench.leases.work(leased, work)
    await wait_turns_until(lambda: "1" in bench.runner._running, "the job runs")
    bench.store.steal("1")
    if found_by == "the next renewal":
        assert await bench.leases.renew() == ["1"]
    gate.set()
    await asyncio.gather(work, return_exceptions=True)
    await bench.leases.renew()
    assert value(bench.metrics, "quartet_leases_lost_total") == 1
    assert bench.discord.finals == [] and len(bench.leases) == 0
