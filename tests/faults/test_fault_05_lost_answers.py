"""Fault 5: the operation was done, but whoever asked for it heard of a failure."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass

import pytest

from ops.health import get
from tests.faults.copies import LOST_ANSWERS, patched_copy
from tests.faults.judge import Judge, prompt_digest
from tests.faults.load import THINKING, Ask, chat, chats, play, video
from tests.faults.stage import Stage
from tests.faults.trial import Trial

NUMBER = 5
TITLE = "done, but the caller saw a failure: put, lease, finish, provider call, PATCH, extra part"
CHANCE = 0.2
PARTS = 2
LONG = " #chars=4800"
"""Makes the model's answer fill three messages: the answer and `PARTS` more."""

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(900)]


def lost_answers(running: Stage) -> Counter[str]:
    """How often each of the store's operations was done and reported as failed, from the patched copy's own words."""
    text = "".join(running.paths.log(f"instance-{k}").read_text() for k in range(1, running.count + 1))
    return Counter(name for line in re.findall(r"LOST-ANSWER (\S+)", text) for name in line.split(","))


def counted_calls(running: Stage) -> int:
    """How many chat calls the instances' own metrics tell of; one the store kept from being made is none."""
    line = re.compile(r'^quartet_provider_seconds_count(\{.*provider="openai".*\}) ([\d.]+)$', re.MULTILINE)
    pages = [get(f"{running.instance_url(k)}/metrics")[1].decode() for k in range(1, running.count + 1)]
    found = [match for page in pages for match in line.findall(page)]
    return sum(int(float(value)) for labels, value in found if 'outcome="StoreUnavailable"' not in labels)


@dataclass
class LongAnswer:
    """What one user saw of an answer in three messages: how many followed it, and whether its whole was attached."""

    parts: int = 0
    whole: bool = False


def long_answers(judge: Judge, asks: list[Ask]) -> dict[str, LongAnswer]:
    """Return what was seen of each of these answers, which need further messages, by interaction."""
    accepted = {e["interaction"] for e in judge.of("acked", type=5)}
    prompts = {prompt_digest(prompt) for ask in asks for prompt in ask.options.values()}
    seen = {
        e["interaction"]: LongAnswer() for e in judge.of("sent")
        if e["interaction"] in accepted and prompts & set((e.get("prompts") or {}).values())
    }  # fmt: skip
    for event in judge.of("webhook", status=200):
        answer = seen.get(event.get("interaction", ""))
        if answer is not None:
            answer.parts += event["method"] == "POST"
            answer.whole = answer.whole or any(file["filename"] == "answer.md" for file in event.get("files") or [])
    return seen


async def test_an_answer_that_got_lost_loses_and_doubles_nothing(trial: Trial) -> None:
    """Everyone is answered once; at most one provider call more for each lost answer, all counted; no second video.

    Of a long answer each further message is there once, or the answer's whole is attached.
    """
    count, drops, videos, least = trial.size((100, 12, 4, 5), (700, 100, 20, 100))
    asks = chats(trial.rng, count, 10.0)
    long = [chat(trial.rng, trial.rng.uniform(0, count / 10), count + n, more=LONG) for n in range(trial.size(24, 120))]
    asks += long
    asks += [video(trial.rng, trial.rng.uniform(0, count / 10), n) for n in range(videos)]
    tree = await asyncio.to_thread(patched_copy, trial.directory / "copy", LOST_ANSWERS)
    environment = {"QUARTET_FAULTS_LOSE": str(CHANCE), "QUARTET_FAULTS_LOSE_SEED": str(trial.seed)}
    async with trial.stage(tree=tree, environment=environment, simulator=THINKING) as (running, judge):
        await running.control.fault("openai", "done_then_drop", route="chat", count=drops, probability=0.3)
        await running.control.fault("discord", "done_then_drop", route="PATCH", count=drops, probability=0.3)
        await running.control.fault("discord", "done_then_drop", route="POST followup", count=drops, probability=0.3)
        await running.control.fault("minimax", "done_then_drop", route="video_generation", count=videos // 2)
        await play(running.control, running.interactions, asks)
        await trial.verdict(running, judge, settle_s=120)
        record = trial.record
        lost = lost_answers(running)
        dropped = len([e for e in judge.of("provider_call", fault="done_then_drop") if e["provider"] == "openai"])
        calls, made = len(judge.provider_calls()), len(judge.provider_calls("minimax", "video_generation"))
        accepted = {e["interaction"] for e in judge.of("acked", type=5)}
        asked = {p for e in judge.of("sent") if e["interaction"] in accepted for p in (e.get("prompts") or {}).values()}
        extra = calls - len(asked & {call["prompt"] for call in judge.provider_calls()})
        counted = await asyncio.to_thread(counted_calls, running)
        patched = len(judge.of("webhook", fault="done_then_drop", method="PATCH"))
        posted = len(judge.of("webhook", fault="done_then_drop", method="POST"))
        answers = long_answers(judge, long)
        whole = sum(answer.whole for answer in answers.values())
        record.figures |= {
            "lost_in_the_store": dict(lost), "dropped_chat_calls": dropped, "dropped_edits": patched,
            "dropped_parts": posted, "long_answers": len(answers), "long_answers_with_their_whole": whole,
            "extra_chat_calls": extra, "chat_calls": calls, "chat_calls_in_metrics": counted, "videos_created": made,
        }  # fmt: skip
        for name in ("put", "lease", "finish"):
            record.check(f"{name}: at least {least} answers were lost", lost[name] >= least, lost[name])
        record.check("at most one extra call for each lost answer", extra <= dropped + lost.total(), extra)
        record.check("every call is counted in metrics", counted == calls, f"{counted} counted, {calls} made")
        record.check("no video was created a second time", made <= videos, f"{made} for {videos}")
        record.check("extra part: some were posted and reported as failed", posted > 0, posted)
        missing = [name for name, answer in answers.items() if answer.parts != PARTS and not answer.whole]
        record.check("every long answer is there in three messages, or whole", bool(answers) and not missing, missing)
        doubled = [name for name, answer in answers.items() if answer.parts > PARTS]
        record.check("no further message was posted twice", not doubled, doubled)
    record.require()
