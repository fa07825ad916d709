"""The same figures with Redis or Valkey underneath: the store's clock is there, SQLite's disk is not."""

from __future__ import annotations

from pathlib import Path

from tests.integration.test_metrics import USER, scraped, shown
from tests.kit.running import system
from tests.kit.waiting import wait_until
from tests.redis_kit import require_redis, running_redis


async def test_the_store_is_timed_and_its_clock_compared(tmp_path: Path) -> None:
    """Each call has its time as with SQLite; a store that is gone costs only what it alone knows, and is counted."""
    require_redis()
    with running_redis() as redis:
        async with system(tmp_path, store_url=redis.url) as one:
            await (await one.ask(USER, "채팅", {"질문": "왜?"})).final(20)
            series = shown(await scraped(one))
            assert {"jobs.put", "jobs.lease", "cluster.beat"} <= series["quartet_store_seconds_count"]["operation"]
            assert series["quartet_clock_offset_seconds"]["against"] == {"wall", "store"}
            assert "quartet_store_file_bytes" not in series and "quartet_queue_oldest_seconds" in series
            redis.kill()

            async def noticed() -> bool:
                seen = shown(await scraped(one))
                failing = "cluster.beat" in seen["quartet_store_errors_total"]["operation"]
                return failing and "quartet_queue_oldest_seconds" not in seen

            await wait_until(noticed, 15, "the errors are counted, and the rest is still shown")
            assert "quartet_key_state" in shown(await scraped(one))
            redis.start()

            async def back() -> bool:
                return "quartet_queue_oldest_seconds" in shown(await scraped(one))

            await wait_until(back, 15, "it is asked again")
