"""Five small faults, each fatal to one of the mutants and harmless to the system as it is."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace

from simulator.ledger import Event
from tests.faults.judge import Judge
from tests.faults.load import Played, chats, play
from tests.faults.stage import Stage
from tests.faults.trial import Trial

BATCHES = 4
BATCH_S = 6.0
"""So long one batch is waited for: it is answered by then."""

THINKING_1S = {"speed": {"ttft_s": 1.0, "tokens_per_s": 4000.0, "spread": 0.2}}


@contextlib.contextmanager
def store_locked(running: Stage) -> Iterator[None]:
    """Hold the store's write lock, as another process or a slow disk would; a server puts off its writes.

    What waits there of connections that end meanwhile is never done.
    """
    if running.redis is not None:
        running.redis.call("CLIENT", "PAUSE", 60_000, "WRITE")
        yield
        running.redis.call("CLIENT", "UNPAUSE")
        return
    connection = sqlite3.connect(running.database, isolation_level=None, timeout=5)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


async def killed_while_recording(trial: Trial, running: Stage, judge: Judge) -> None:
    """The disk is slow and all instances are killed before it has taken anything."""
    with store_locked(running):
        sending = asyncio.create_task(play(running.control, running.interactions, chats(trial.rng, 12, 100.0)))
        await asyncio.sleep(0.5)
        kill_all(running)
    await sending


async def several_copies(trial: Trial, running: Stage, judge: Judge) -> None:
    """Each interaction comes five times, at every instance."""
    doors = " ".join(f"{running.instance_url(k)}/interactions" for k in range(1, running.count + 1))
    await play(running.control, doors, [replace(ask, copies=5) for ask in chats(trial.rng, 6, 20.0)])


async def edits_unheard(trial: Trial, running: Stage, judge: Judge) -> None:
    """Discord takes an answer and the connection breaks before it can say so."""
    # Only the last edits: on a slow machine those that show progress would use up all of the fault.
    await running.control.fault("discord", "done_then_drop", route="webhook", count=9, final=True)
    await play(running.control, running.interactions, chats(trial.rng, 6, 20.0, seconds=(0.2, 0.4)))


async def frozen_at_work(trial: Trial, running: Stage, judge: Judge) -> None:
    """An instance is frozen in mid-work until others have done it, then goes on where it was.

    One that is frozen while it holds the store's lock is ended by another, as it should be, and has nothing to go on
    with: then it is done again.
    """
    for _ in range(BATCHES):
        pid = running.pid(1)
        await freeze_first(trial, running, judge)
        if running.pid(1) == pid:
            return
        running.note("the frozen instance held the store's lock and was ended: once more")
        await running.all_healthy()
    raise AssertionError(f"instance 1 was ended {BATCHES} times")


async def freeze_first(trial: Trial, running: Stage, judge: Judge) -> None:
    """Freeze the first instance in mid-work until others have done it."""
    since = time.monotonic()
    sending = await first_at_work(trial, running, judge, since)
    running.send(1, signal.SIGSTOP)
    held = {call["prompt"] for call in begun(judge, since, "set-1")}
    await judge.until(lambda: held <= ended_elsewhere(judge, since), 30, "the end of that work elsewhere")
    await judge.quiet(0.5)
    running.send(1, signal.SIGCONT)
    await sending


async def first_at_work(trial: Trial, running: Stage, judge: Judge, since: float) -> asyncio.Task[Played]:
    """Ask until the first instance is at work: on a busy machine one that has just started is slow, and the others take
    its jobs. Returns what still asks."""
    for _ in range(BATCHES):
        asks = chats(trial.rng, 8, 40.0, seconds=(2.5, 3.0))
        # However the seed draws them, half of the users are at home on the first instance.
        asks = [ask if n % 2 else replace(ask, user_id=ask.user_id // running.count * running.count)
                for n, ask in enumerate(asks)]  # fmt: skip
        sending = asyncio.create_task(play(running.control, running.interactions, asks))
        with contextlib.suppress(AssertionError):
            await judge.until(lambda: len(begun(judge, since, "set-1")) > 1, BATCH_S, "some work of instance 1")
            return sending
        await sending
    raise AssertionError(f"instance 1 left all of {BATCHES} batches to others")


def begun(judge: Judge, since: float, key: str) -> list[Event]:
    """The chat calls of a key since a moment."""
    return [call for call in judge.provider_calls() if call["t"] > since and call["key"] == key]


def ended_elsewhere(judge: Judge, since: float) -> set[str]:
    """The prompts that another key than the first has answered since."""
    return {call["prompt"] for call in answered_since(judge, since) if call["key"] != "set-1"}


async def killed_while_answering(trial: Trial, running: Stage, judge: Judge) -> None:
    """Discord is slow, and all instances are killed while their answers are on the way to it."""
    since = time.monotonic()
    # Only the last edits hang: one that shows progress would hold the answer itself back.
    await running.control.fault("discord", "hang", route="webhook", seconds=20.0, for_s=20.0, final=True)
    await play(running.control, running.interactions, chats(trial.rng, 8, 40.0, seconds=(0.2, 0.4)))
    await judge.until(lambda: len(answered_since(judge, since)) >= 4, 10, "the models' answers")
    await asyncio.sleep(0.5)
    kill_all(running)
    await running.control.clear_faults()


def answered_since(judge: Judge, since: float) -> list[Event]:
    """The chat calls that have ended well."""
    return [call for call in judge.of("provider_done", provider="openai", outcome="ok") if call["t"] > since]


def kill_all(running: Stage) -> None:
    """kill -9 every instance at once."""
    for number in range(1, running.count + 1):
        running.kill(number)


FATAL_TO = {
    "ack_before_record": killed_while_recording,
    "dedupe_off": several_copies,
    "post_instead_of_patch": edits_unheard,
    "no_fencing": frozen_at_work,
    "finish_before_answer": killed_while_answering,
}
