"""Of a job whose fate nobody here knows, Discord is asked; where that can't be, nobody is answered twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from app import restoring
from app.clock import SystemClock
from app.jobs.job import NewJob
from app.jobs.sqlite_backup import write_backup
from app.restoring import Restored, restore
from tests.kit.running import serving
from tests.unit.jobs.test_sqlite_backup import jobs_in, states

MESSAGES: dict[str, dict[str, Any]] = {
    "thinking": {"content": "", "flags": 128},
    "thinking-in-private": {"content": "", "flags": 128 | 64},
    "progress": {"content": "⏳ 그림을 그리고 있어요…", "flags": 0},
    "growing": {"content": "It all began with ▌", "flags": 0},
    "answered": {"content": "42", "flags": 0},
    "answered-with-a-picture": {"content": "", "flags": 0, "attachments": [{}]},
}
OWED = {"thinking", "thinking-in-private", "progress", "growing"}


def payload(token: str) -> bytes:
    """An interaction as Discord posts it, as far as anybody looks; one that nobody can read for `odd`."""
    if token == "odd":
        return b"{}"
    user, data = {"id": "5"}, {"id": "1", "name": "채팅", "type": 1}
    return json.dumps(
        {"id": "1", "type": 2, "token": token, "application_id": "1", "user": user, "data": data}
    ).encode()


async def discord(scope: Any, receive: Any, send: Any) -> None:
    """Shows the message that a token names; 404 for one that was deleted, and no answer for `hangs`."""
    if scope["type"] == "lifespan":
        while True:
            phase = (await receive())["type"]
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                return
    token = scope["path"].split("/")[3]
    assert scope["method"] == "GET" and scope["path"] == f"/webhooks/1/{token}/messages/@original"
    if token == "hangs":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    shown = MESSAGES.get(token, {"code": 10008, "message": "Unknown Message"})
    body = json.dumps(shown).encode()
    status = 200 if token in MESSAGES else 404
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


async def restored(
    place: Path, tokens: Iterable[str], api_url: str, *, age_s: float = 1.0
) -> tuple[Restored, set[str]]:
    """Lose a store with a job of each token, restore its backup, and return the outcome and the jobs still owed."""
    store, backup = place / "quartet.db", place / "backup.db"
    received = time.time() - age_s
    async with jobs_in(store) as jobs:
        for token in tokens:
            await jobs.put(NewJob(token, "chat", "5", 1, received, received + 885, payload(token)))
        write_backup(store, backup)
    store.write_bytes(b"lost")
    done = await restore(store, backup, api_url=api_url, application_id="1", clock=SystemClock())
    found = await states(store)
    assert all(state in ("waiting", "done undeliverable") for state in found.values())
    return done, {job_id for job_id, state in found.items() if state == "waiting"}


async def test_where_discord_still_shows_progress_the_answer_is_owed(tmp_path: Path) -> None:
    """Thinking, progress and a growing answer are owed; what stands there, or was deleted, is not."""
    async with serving(discord) as url:
        done, owed = await restored(tmp_path, [*MESSAGES, "deleted"], url)
    assert owed == OWED
    assert (done.owed, done.ended, done.merged) == (4, 3, False)


async def test_what_can_not_be_asked_is_not_answered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Discord can't be reached: every job in doubt is ended, and the restoration is done all the same."""
    monkeypatch.setattr(restoring, "ASK_WITHIN_S", 0.2)
    done, owed = await restored(tmp_path, ["thinking", "answered"], "http://127.0.0.1:1")
    assert (owed, done.ended) == (set(), 2)


async def test_asking_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a Discord that hangs for one job, the others' answers count, and nobody waits for it longer than that."""
    monkeypatch.setattr(restoring, "ASK_ALL_WITHIN_S", 1.0)
    async with serving(discord) as url, asyncio.timeout(8):
        done, owed = await restored(tmp_path, ["hangs", "thinking"], url)
    assert (owed, done.ended) == ({"thinking"}, 1)


async def test_dead_tokens_are_not_asked_about(tmp_path: Path) -> None:
    """After 15 minutes nobody can be answered, so the jobs end without a call."""
    done, owed = await restored(tmp_path, ["thinking"], "http://127.0.0.1:1", age_s=901)
    assert (owed, done.ended) == (set(), 1)


async def test_a_payload_nobody_can_read_is_not_answered(tmp_path: Path) -> None:
    """A job whose interaction can't be read has no token to ask with, and keeps nobody else from being asked."""
    async with serving(discord) as url:
        done, owed = await restored(tmp_path, ["odd", "thinking"], url)
    assert (owed, done.ended) == ({"thinking"}, 1)
