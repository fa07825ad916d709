"""What the stream says: the whole system's figures, right, and of users only how many there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.balancing.keyset import OPENAI, key_name
from app.balancing.state import DEAD_AFTER_S
from app.errors import StoreUnavailable
from app.jobs.job import Outcome
from app.jobs.store import WaitingJob
from app.web.dashboard.hour import MINUTES
from app.web.dashboard.picture import Camera
from tests.unit.commands.test_instant import finished
from tests.unit.edge.kit import USER, Bench, snapshot
from tests.unit.worker.memory import MemoryCalls

DOCUMENT = (Path(__file__).parents[3] / "docs" / "stats.md").read_text(encoding="utf-8").partition("# `/dashboard`")[2]
NAME = "김철수의 비밀"


def camera(bench: Bench, calls: MemoryCalls | None = None) -> Camera:
    """Return a camera of instance 1."""
    return Camera(
        instance=1, overview=bench.overview, limits=bench.limits, store=bench.store, calls=calls or MemoryCalls(),
        clock=bench.clock, release="abc",
    )  # fmt: skip


async def event(taker: Camera) -> tuple[str, dict[str, Any]]:
    """Take a picture and read it as a browser does."""
    lines = (await taker.take()).decode().split("\n")
    assert lines[2:] == ["", ""] and lines[0].startswith("event: ") and lines[1].startswith("data: ")
    return lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))


async def busy() -> tuple[Bench, MemoryCalls]:
    """Return a system of four, one of them never seen, with a job that waits and jobs that ended."""
    bench, calls = Bench(), MemoryCalls()
    await bench.populate(3)
    now = bench.clock.now()
    await bench.state.beat(snapshot(2, now, acked=40, ack_p50_s=0.002, ack_p99_s=0.03), now=now)
    await bench.ask("채팅", {"질문": NAME})
    for _ in range(3):
        await bench.overview.count_done(2, "chat")
    await bench.overview.refresh()
    bench.store.finished = [finished(n, bench, ago=1 + n, user=str(10**17 + n % 5), home=n % 4 + 1) for n in range(20)]
    bench.store.finished.append(finished(77, bench, outcome=Outcome.FAILED, error="ProviderTimeout", user=USER))
    for n in range(7):
        await calls.record(key_name(2, OPENAI), day="", at=now - n * 60)

    async def unserved(**_: Any) -> list[WaitingJob]:
        return [WaitingJob("1", "chat", 1, now - 12.5, now + 800)]

    bench.store.unserved = unserved  # type: ignore[method-assign]
    return bench, calls


async def test_the_figures() -> None:
    """Instances, queue, keys, answers, steals, users and today's use, of the whole system."""
    bench, calls = await busy()
    name, shown = await event(camera(bench, calls))
    assert (name, shown["answered_by"], shown["release"], shown["instance_count"]) == ("picture", 1, "abc", 4)
    assert shown["queue"] == {"waiting": 1, "running": 0, "oldest_s": 12.5}
    second = shown["instances"][1]
    assert (second["alive"], second["running"], second["slots"], second["done_today"]) == (True, 3, 10, 3)
    assert (second["acked"], second["ack_p50_s"], second["ack_p99_s"]) == (40, 0.002, 0.03)
    assert [key["provider"] for key in second["keys"]] == ["openai", "stability", "minimax"]
    assert second["keys"][0]["calls"][-7:] == [1] * 7 and sum(second["keys"][0]["calls"]) == 7
    assert second["keys"][1]["calls"] == []
    hour = shown["hour"]
    assert len(hour["answered"]) == len(hour["elsewhere"]) == len(hour["failed"]) == MINUTES
    assert (sum(hour["answered"]), sum(hour["elsewhere"]), sum(hour["failed"])) == (20, 20, 1)
    assert hour["because"] == {"home_busy": 21, "home_spent": 0, "home_down": 0, "recovered": 0}
    assert sum(hour["users"]) == 6 and (hour["p50_s"], hour["p95_s"]) == (4.0, 4.0)
    assert shown["budget"][0] == {"kind": "chat", "used": 3, "limit": 4000}
    (fault,) = shown["faults"]
    assert (fault["reference"], fault["error"], fault["outcome"]) == ("77", "ProviderTimeout", "failed")


async def test_nothing_of_a_user_is_told() -> None:
    """No id, no word of what was asked; and no address or process of an instance."""
    bench, calls = await busy()
    text = (await camera(bench, calls).take()).decode()
    assert USER not in text and NAME not in text and "user_id" not in text
    assert not re.search(r"10000000000000000\d", text)
    assert "127.0.0.1" not in text and "4321" not in text


async def test_instances_that_are_down() -> None:
    """One was never seen; another died, and shows nothing that was true while it lived but when it was last seen."""
    bench, _ = await busy()
    never = (await event(camera(bench)))[1]["instances"][3]
    assert (never["alive"], never["last_beat_s"], never["uptime_s"], never["keys"]) == (False, None, None, [])
    await bench.clock.sleep(DEAD_AFTER_S + 2)
    await bench.overview.refresh()
    died = (await event(camera(bench)))[1]["instances"][1]
    assert (died["alive"], died["ready"], died["running"], died["acked"], died["ack_p99_s"]) == (
        False,
        False,
        0,
        0,
        None,
    )
    assert died["last_beat_s"] == pytest.approx(DEAD_AFTER_S + 2)


async def test_without_a_store() -> None:
    """The listeners are told, and get pictures again when it is back."""
    bench, _ = await busy()
    taker = camera(bench)

    async def fail() -> None:
        raise StoreUnavailable("reading quartet.db failed: disk I/O error")

    bench.store.before_read = fail
    told = ("trouble", {"error": "reading quartet.db failed: disk I/O error", "answered_by": 1})
    assert await event(taker) == told
    bench.store.before_read = None
    assert (await event(taker))[0] == "picture"


def paths(value: Any, at: str = "") -> Iterator[str]:
    """Name each leaf as the document does."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from paths(part, f"{at}.{name}".lstrip("."))
    elif isinstance(value, list):
        for part in value or [0]:
            yield from paths(part, f"{at}[]")
    else:
        yield at


async def test_the_document_names_every_field_and_no_other() -> None:
    """A field that is added or goes has to be documented or struck out; each has a meaning."""
    bench, calls = await busy()
    found = {re.sub(r"because\.\w+", "because.*", path) for path in paths((await event(camera(bench, calls)))[1])}
    found.remove("instances[].keys[]")  # an instance that was never seen has none
    documented = re.findall(r"^\| `([^`]+)` \|([^|]*)\| ([^|]+) \|$", DOCUMENT, re.MULTILINE)
    assert sorted(found) == sorted(name for name, _, _ in documented)
    assert all(meaning.strip() for _, _, meaning in documented)
