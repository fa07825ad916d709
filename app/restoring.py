"""A backup takes the place of the store: what lies behind `restore`, natively and in containers.

Nobody is answered twice by it. Of a job whose fate nobody here knows, Discord is asked: where it still shows
"thinking…" or progress, the answer is owed and will be given; else the job is ended without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx2

from app.clock import Clock
from app.commands.base import PROGRESS_MARK
from app.discord.models import parse, read_json
from app.discord.webhook import FollowUpClient
from app.discord.wire import MessageFlag
from app.errors import QuartetError
from app.jobs.sqlite_backup import Contents
from app.jobs.sqlite_restore import InDoubt, end_quietly, prepared, put_in_place
from app.worker.progress import CURSOR

ASK_WITHIN_S = 8.0
ASK_ALL_WITHIN_S = 60.0
ASK_AT_ONCE = 8
TOKEN_S = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it: `owed` jobs are still to be answered, `ended` were ended without a word.

    `aside` is where the file that was there before lies now. `merged`: it could be read, so nothing recorded was lost.
    """

    contents: Contents
    aside: Path | None
    merged: bool
    owed: int
    ended: int


async def restore(store: Path, backup: Path, *, api_url: str, application_id: str, clock: Clock) -> Restored:
    """Put the backup in the place of the store's file. Raises `BackupUnusable`, with nothing changed."""
    with prepared(store, backup) as ready:
        async with httpx2.AsyncClient() as http:
            discord = FollowUpClient(http, api_url, application_id, clock)
            owed = await _owed(ready.in_doubt, discord, clock)
        ended = {job.id for job in ready.in_doubt} - owed
        end_quietly(ready.copy, ended, now=clock.wall())
        aside = put_in_place(ready.copy, store, now=clock.wall())
    return Restored(ready.contents, aside, ready.merged, len(owed), len(ended))


async def _owed(in_doubt: Iterable[InDoubt], discord: FollowUpClient, clock: Clock) -> set[str]:
    """Of these jobs, those whose users wait still. What can't be asked any more counts as answered."""
    few = asyncio.Semaphore(ASK_AT_ONCE)

    async def asked(job: InDoubt) -> bool:
        async with few:
            return await _is_unanswered(job, discord)

    now = clock.wall()
    askable = [job for job in in_doubt if now < min(job.expires_at, job.received_at + TOKEN_S)]
    asking = {asyncio.create_task(asked(job)): job.id for job in askable}
    done = (await asyncio.wait(asking, timeout=ASK_ALL_WITHIN_S))[0] if asking else set()
    for task in asking.keys() - done:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return {asking[task] for task in done if task.result()}


async def _is_unanswered(job: InDoubt, discord: FollowUpClient) -> bool:
    try:
        message = await discord.original(parse(read_json(job.payload)).token, within_s=ASK_WITHIN_S)
    except (QuartetError, ValueError):
        return False
    text, flags = str(message.get("content") or ""), message.get("flags")
    thinking = type(flags) is int and bool(flags & MessageFlag.LOADING)
    return thinking or text.startswith(PROGRESS_MARK) or text.endswith(CURSOR.rstrip())
