"""What users and operators see while the store can't be written, and afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.errors import StoreUnavailable
from tests.integration.test_edge_http import good_headers, question, settings
from tests.kit.running import RunningInstance, running
from tests.kit.waiting import wait_until


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody holds the write lock and does not let go."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")


@contextmanager
def gone(path: Path) -> Iterator[None]:
    """The file is not where it was."""
    away = path.with_name("away.db")
    path.rename(away)
    yield
    away.rename(path)


def nothing_to_withdraw() -> bool:
    """Whether no refused interaction may still have been recorded."""
    return not any(task.get_name() == "withdraw" for task in asyncio.all_tasks())


@pytest.mark.parametrize("trouble", [locked, gone])
async def test_trouble_is_told_and_healed(tmp_path: Path, trouble: Any) -> None:
    """While the store can't be written: health is red within five seconds, an interaction gets its apology within three
    and is never recorded. Afterwards health is green by itself within ten, and interactions are accepted.
    """
    async with (
        running(settings(tmp_path)) as one,
        httpx2.AsyncClient(base_url=one.url, timeout=20) as client,
    ):

        async def ask(number: int) -> tuple[dict[str, Any], float]:
            body, started = question(number), time.monotonic()
            answer = await client.post("/interactions", content=body, headers=good_headers(body))
            assert answer.status_code == 200
            return answer.json(), time.monotonic() - started

        async def health_is(status: int) -> bool:
            return (await client.get("/health")).status_code == status

        assert await health_is(200)
        block: AbstractContextManager[None] = trouble(tmp_path / "quartet.db")
        with block:
            began = time.monotonic()
            told, took = await ask(1)
            assert told["data"]["content"] == StoreUnavailable.sentence.ko and told["data"]["flags"] == 64
            assert took < 3
            await wait_until(lambda: health_is(503), 5 - (time.monotonic() - began), "health is red")
            state = (await client.get("/health")).json()
            assert (state["status"], state["store"]) == ("failing", "failing")
            assert (await client.get("/stats")).status_code == 200
        await wait_until(lambda: health_is(200), 10, "health is green again")
        assert (await ask(2))[0] == {"type": 5}

        await wait_until(nothing_to_withdraw, 10, "nothing is left to withdraw")
        await wait_until(partial(waits_there, one, [2]), 10, "the second job is there, and only that")


async def waits_there(one: RunningInstance, numbers: Iterable[int]) -> bool:
    """Whether exactly these jobs wait. On a slow machine one may be leased just now, to tell its user their place."""
    jobs = await one.instance.store.unserved(now=time.time())
    return sorted(int(job.id) for job in jobs) == list(numbers)


async def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    """A new life on the same file: every deferred interaction is there, and a copy of one is no new job."""
    for life in range(2):
        async with (
            running(settings(tmp_path)) as one,
            httpx2.AsyncClient(base_url=one.url, timeout=20) as client,
        ):
            for number in range(1, 21):
                body = question(number)
                answer = await client.post("/interactions", content=body, headers=good_headers(body))
                assert json.loads(answer.content) == {"type": 5}
            await wait_until(partial(waits_there, one, range(1, 21)), 10, f"all jobs of life {life}")
