"""`/stats` has exactly the fields that docs/stats.md names, with the values the system shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.balancing.state import DEAD_AFTER_S
from app.jobs.job import Outcome, ServedBecause
from app.web import stats
from tests.unit.commands.test_instant import finished
from tests.unit.edge.kit import LIMITS, USER, Bench

DOCUMENT = (Path(__file__).parents[3] / "docs" / "stats.md").read_text(encoding="utf-8").partition("# `/dashboard`")[0]
KEYED = ("keys", "done_today")


def paths(value: Any, at: str = "") -> Iterator[str]:
    """Name each leaf as the document does."""
    if isinstance(value, dict):
        for name, part in value.items():
            inside = at.rpartition(".")[2] in KEYED
            yield from paths(part, f"{at}.{'*' if inside else name}".lstrip("."))
    elif isinstance(value, list):
        for part in value:
            yield from paths(part, f"{at}[]")
    else:
        yield at


async def busy() -> tuple[Bench, dict[str, Any]]:
    """Return a system of four, one of them never seen, with jobs waiting and done, and its statistics as JSON."""
    bench = Bench()
    await bench.populate(3)
    await bench.ask("채팅", {"질문": "왜?"})
    for _ in range(3):
        await bench.overview.count_done(2, "chat")
    bench.store.finished = [finished(n, bench, ago=60 + n) for n in range(60)]
    return bench, json.loads(json.dumps(await stats.collect(bench.overview, bench.limits, 1), allow_nan=False))


async def test_the_document_names_every_field_and_no_other() -> None:
    """A field that is added or goes has to be documented or struck out; each has a meaning."""
    _, found = await busy()
    rows = re.findall(r"^\| `([^`]+)` \|([^|]*)\| ([^|]+) \|$", DOCUMENT, re.MULTILINE)
    documented = [name for name, _, _ in rows]
    assert sorted(set(paths(found))) == sorted(documented)
    assert len(documented) == len(set(documented))
    assert all(meaning.strip() for _, _, meaning in rows)
    for name, unit, _ in rows:
        if name.endswith("_s"):
            assert unit.strip() == "seconds", name


async def test_the_document_names_every_word() -> None:
    """Every outcome and every reason that can stand there is explained."""
    for word in (*Outcome, *ServedBecause):
        assert f"`{word.value}`" in DOCUMENT


async def test_the_figures() -> None:
    """What waits, what was done, who lives, and how long it took."""
    bench, found = await busy()
    assert found["at"] == bench.clock.now() and found["answered_by"] == 1
    assert found["alive"] == [1, 2, 3] and found["instance_count"] == 4
    assert found["totals"] == {"waiting": 1, "running": 0, "done_today": 3, "slots": 30}
    assert found["measured"] == {"window_s": 3600, "jobs": 60, "p50_s": 4.0, "p95_s": 4.0}
    assert found["limits"]["jobs_day"] == 1060
    home = found["instances"][int(USER) % 4]
    assert (home["waiting"], home["done_today"]) == (1, {"chat": 3})
    assert home["keys"]["openai"]["minute_limit"] == 3500 and home["keys"]["openai"]["minute_used"] == 12
    assert home["uptime_s"] == 4000 and home["last_beat_s"] == 0


async def test_an_instance_that_was_never_seen() -> None:
    """It has its entry, and claims nothing."""
    _, found = await busy()
    never = found["instances"][3]
    assert (never["instance"], never["alive"], never["uptime_s"], never["last_beat_s"]) == (4, False, None, None)
    assert never["running"] == 0 and never["keys"] == {}


async def test_an_instance_that_died() -> None:
    """It runs nothing any more, and it says when it was last seen."""
    bench, _ = await busy()
    await bench.clock.sleep(DEAD_AFTER_S + 2)
    found = await stats.collect(bench.overview, bench.limits, 1)
    assert found["alive"] == [] and found["totals"]["slots"] == 0
    died = found["instances"][0]
    assert (died["alive"], died["running"], died["uptime_s"]) == (False, 0, None)
    assert died["last_beat_s"] == pytest.approx(DEAD_AFTER_S + 2)


async def test_the_last_jobs() -> None:
    """The newest fifty, newest first; a key set only where a provider made the answer."""
    bench, found = await busy()
    assert [job["id"] for job in found["recent_jobs"]] == [str(n) for n in range(50)]
    first = found["recent_jobs"][0]
    assert (first["queued_s"], first["answered_s"], first["home"], first["key_set"]) == (1.0, 4.0, 2, 3)
    bench.store.finished = [finished(1, bench, provider="", outcome=Outcome.FAILED, error="ProviderTimeout")]
    (failed,) = (await stats.collect(bench.overview, bench.limits, 1))["recent_jobs"]
    assert (failed["key_set"], failed["outcome"], failed["error"]) == (None, "failed", "ProviderTimeout")


async def test_no_limit_is_zero() -> None:
    """The day's sum has no limit if one kind has none."""
    bench = Bench(limits=replace(LIMITS, video_day=0))
    assert (await stats.collect(bench.overview, bench.limits, 1))["limits"]["jobs_day"] == 0
