"""How a job ends, in what its user reads: the answer, that it was stopped, or one honest sentence."""

from __future__ import annotations

import structlog

from app.commands.base import Answer
from app.commands.buttons import answer_rows, retry_row
from app.commands.prices import Prices
from app.discord.models import Interaction
from app.discord.replies import Message
from app.errors import QuartetError, VideoUnknown
from app.jobs.job import Job, Outcome, Repeat
from app.journal import facts
from app.redaction import excerpt
from app.texts import Text
from app.userdata.usage import NO_USAGE, Usage
from app.worker.kept import Ended, unpack
from app.worker.running import STOPPED, RunningCommand

CRASHED = Text(
    ko="이 요청을 처리하던 중 봇이 여러 번 중단되어 답할 수 없었고, 비용이 들었을 수 있어요. 다시 시도해 주세요.",
    en="The bot was interrupted several times while working on this, so there is no answer, though it may have cost "
    "something. Please try again.",
)
_STRANDED = Text(
    ko="이 요청을 처리하던 서버가 제때 돌아오지 않아 답하지 못했고, 비용이 들었을 수 있어요. 다시 시도해 주세요.",
    en="The server that was working on this did not come back in time, so there is no answer, though it may have cost "
    "something. Please try again.",
)
_EXPIRED = Text(
    ko="지금 요청이 많아 제시간에 답하지 못했고, 비용은 들지 않았어요. 잠시 뒤 다시 시도해 주세요.",
    en="There is too much to do right now to answer this in time; this cost nothing. Please try again in a while.",
)
_REFERENCE = Text(ko="⚠️ {sentence}\n-# 참조 번호 {reference}", en="⚠️ {sentence}\n-# Reference {reference}")

log = structlog.get_logger("worker")


def answered(answer: Answer, prices: Prices) -> Ended:
    """Return the end of a job whose command came to an answer; it can be asked for again."""
    return Ended(
        answer.message,
        Outcome.ANSWERED,
        answer.provider,
        answer.error,
        repeat=Repeat.ALWAYS,
        parts=answer.parts,
        whole=answer.whole,
        turn=answer.turn,
        usage=prices.priced(answer.usage),
    )


def stopped(job: Job, interaction: Interaction, running: RunningCommand, prices: Prices) -> Ended:
    """Say that it was stopped, and what that cost; it can be asked for again."""
    locale = interaction.locale
    message = Message(running.sentence(job).to(locale), components=answer_rows(job.id, interaction.user_id, locale))
    # Only videos are ordered and then waited for; who stops waiting has paid all the same.
    usage = prices.priced(Usage(videos=1)) if running.paid(job) else NO_USAGE
    return Ended(message, Outcome.STOPPED, error=STOPPED, repeat=Repeat.ALWAYS, usage=usage)


def unserved(job: Job, interaction: Interaction, error: QuartetError | None, prices: Prices) -> Ended:
    """End a job that can't run: with what an earlier run kept, as its user wished, or with why it can't."""
    if job.result is not None:
        return unpack(job.result)
    if job.stop:
        return stopped(job, interaction, RunningCommand(), prices)
    if error is not None:
        return apology(job, interaction, error.sentence, Outcome.FAILED, type(error).__name__)
    sentence = _STRANDED if job.checkpoint or job.attempts > 1 else _EXPIRED  # this very lease is one attempt
    return apology(job, interaction, sentence, Outcome.EXPIRED, "")


def apology(
    job: Job, interaction: Interaction, sentence: Text, outcome: Outcome, error: str, cause: QuartetError | None = None
) -> Ended:
    """One honest sentence, with a reference that the operator finds in the log."""
    if cause is not None:
        log.warning("job failed", **facts(job), error=error, cause=excerpt(str(cause)))
    text = _REFERENCE.format(sentence=sentence.to(interaction.locale), reference=job.id[-8:])
    repeat = Repeat.ONCE if isinstance(cause, VideoUnknown) else Repeat.NONE
    buttons = retry_row(job.id, interaction.locale) if repeat is Repeat.ONCE else ()
    message = Message(text.to(interaction.locale), components=buttons)
    return Ended(message, outcome, error=error, repeat=repeat)
