"""`/할당`: a user's home, and who really served that user."""

from __future__ import annotations

from app.balancing.assignment import home_of
from app.commands.base import InstantCommand, InstantContext
from app.commands.definition import option, slash
from app.commands.formatting import KIND_NAMES, duration
from app.discord.models import is_snowflake
from app.discord.replies import Message
from app.discord.wire import OptionType
from app.jobs.job import FinishedJob, Outcome, ServedBecause
from app.texts import Locale, Text

LAST_JOBS = 5

_FORMULA = Text(
    ko="📍 <@{user}> → 담당 인스턴스 **{home}**번\n`{user} % {count} + 1 = {home}`\n",
    en="📍 <@{user}> → home instance **{home}**\n`{user} % {count} + 1 = {home}`\n",
)
_FUNCTIONAL = Text(
    ko="-# 기능별 분리 모드에서는 담당이 아니라 기능이 인스턴스를 정해요.\n",
    en="-# With the functional split, the feature decides on the instance, not the home.\n",
)
_NO_JOBS = Text(ko="최근에 처리한 작업이 없어요.", en="No jobs lately.")
_JOBS = Text(ko="**최근 작업**", en="**Last jobs**")
_JOB = Text(
    ko="· {kind} · {ago} 전 · **{served_by}**번이 처리 ({because}) · {outcome}",
    en="· {kind} · {ago} ago · served by **#{served_by}** ({because}) · {outcome}",
)
_BECAUSE = {
    ServedBecause.HOME: Text(ko="담당", en="home"),
    ServedBecause.HOME_BUSY: Text(ko="담당이 바빠서", en="the home was busy"),
    ServedBecause.HOME_SPENT: Text(ko="담당의 키가 쉬고 있어서", en="the home's key was resting"),
    ServedBecause.HOME_DOWN: Text(ko="담당이 멈춰서", en="the home was down"),
    ServedBecause.RECOVERED: Text(ko="중단된 작업을 이어서", en="recovered"),
}
_OUTCOMES = {
    Outcome.ANSWERED: Text(ko="답함", en="answered"),
    Outcome.REFUSED: Text(ko="거절됨", en="refused"),
    Outcome.FAILED: Text(ko="실패", en="failed"),
    Outcome.EXPIRED: Text(ko="시간 초과", en="too late"),
    Outcome.STOPPED: Text(ko="멈춤", en="stopped"),
    Outcome.UNDELIVERABLE: Text(ko="전달 못 함", en="undeliverable"),
}


async def answer(context: InstantContext) -> Message:
    """Fill in the formula for the named user, or the caller, and list who served that user's last jobs."""
    asked = context.interaction.options.get("사용자")
    user = asked if is_snowflake(asked) else context.interaction.user_id
    count = context.limits.instance_count
    text = _FORMULA.format(user=user, count=count, home=home_of(user, count)).to(context.locale)
    if context.limits.routing == "functional":
        text += _FUNCTIONAL.to(context.locale)
    jobs = await context.store.history(user_id=user, limit=LAST_JOBS)
    now = context.clock.now()
    lines = [_line(job, now, context.locale) for job in jobs]
    return Message(text + "\n".join([_JOBS.to(context.locale), *lines] if lines else [_NO_JOBS.to(context.locale)]))


def _line(job: FinishedJob, now: float, locale: Locale) -> str:
    kind = KIND_NAMES[job.kind].to(locale) if job.kind in KIND_NAMES else job.kind
    return _JOB.format(
        kind=kind,
        ago=duration(now - job.finished_at, locale),
        served_by=job.served_by,
        because=_BECAUSE[job.because].to(locale),
        outcome=_OUTCOMES[job.outcome].to(locale),
    ).to(locale)


COMMAND = InstantCommand(
    slash(
        Text(ko="할당", en="assignment"),
        Text(ko="사용자의 담당 인스턴스와 최근 작업을 보여 줘요", en="Shows a user's home instance and last jobs"),
        [
            option(
                OptionType.USER,
                Text(ko="사용자", en="user"),
                Text(ko="비워 두면 나", en="Yourself if left empty"),
            )
        ],
    ),
    answer,
)
