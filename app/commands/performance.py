"""`/성능`: what is configured beside what was measured."""

from __future__ import annotations

from app.balancing.overview import Measured, SystemView
from app.commands.base import InstantCommand, InstantContext, Limits
from app.commands.definition import slash
from app.discord.replies import Message
from app.texts import Locale, Text

_TEXT = Text(
    ko="📊 **성능** · 설정값: 키 세트 1개 → {count}개\n"
    "· OpenAI 분당 요청: {rpm} → {rpm_all}\n· Stability 분당 요청: {images} → {images_all}\n"
    "· MiniMax 하루 요청: {rpd} → {rpd_all}\n· 동시 작업: {jobs} → {jobs_all}\n· 하루 작업: {day} → {day_all}\n",
    en="📊 **Performance** · configured: one key set → {count} sets\n"
    "· OpenAI requests a minute: {rpm} → {rpm_all}\n· Stability requests a minute: {images} → {images_all}\n"
    "· MiniMax requests a day: {rpd} → {rpd_all}\n· Jobs at once: {jobs} → {jobs_all}\n"
    "· Jobs a day: {day} → {day_all}\n",
)
_MEASURED = Text(
    ko="**측정값** (최근 1시간, {jobs}건) · 응답 시간 중앙값 {p50:.1f}초 · 95% {p95:.1f}초\n",
    en="**Measured** (last hour, {jobs} jobs) · answer time median {p50:.1f} s · 95 % {p95:.1f} s\n",
)
_NOT_MEASURED = Text(
    ko="**측정값** · 최근 1시간에 끝난 작업이 아직 없어요\n",
    en="**Measured** · no job has finished in the last hour yet\n",
)
_USE = Text(ko="**키 사용** (최근 1분 / 오늘)\n", en="**Use of the keys** (last minute / today)\n")
_KEYS = Text(
    ko="· {instance}번: OpenAI {openai} · Stability {stability} · MiniMax {minimax}",
    en="· #{instance}: OpenAI {openai} · Stability {stability} · MiniMax {minimax}",
)
_NOTE = Text(
    ko="\n-# 공급자 한도는 보통 조직 단위예요. 키 {count}개가 같은 조직의 것이라면 한도는 1개분이고, "
    "{count}배는 서로 독립된 계정일 때만 나와요.",
    en="\n-# Provider limits are usually per organisation: {count} keys of one organisation share one limit, and "
    "{count}× holds only for independently limited accounts.",
)


async def answer(context: InstantContext) -> Message:
    """Show nominal capacity of one set and of all, what was measured, and the plain note on organisations."""
    measured = await context.overview.measured()
    return Message(render(context.limits, measured, context.overview.view, context.locale))


def render(limits: Limits, measured: Measured, view: SystemView, locale: Locale) -> str:
    """Return the text: the configured figures, the measured ones, each key's use."""
    count = limits.instance_count
    text = _TEXT.format(
        count=count,
        rpm=_figure(limits.openai_per_minute),
        rpm_all=_figure(limits.openai_per_minute * count),
        images=_figure(limits.stability_per_minute),
        images_all=_figure(limits.stability_per_minute * count),
        rpd=_figure(limits.minimax_per_day),
        rpd_all=_figure(limits.minimax_per_day * count),
        jobs=limits.jobs_at_once,
        jobs_all=limits.jobs_at_once * count,
        day=_figure(limits.jobs_day),
        day_all=_figure(limits.jobs_day * count),
    ).to(locale)
    uses = [_use_of(instance.instance, view).to(locale) for instance in view.alive]
    return (
        text + _measured(measured).to(locale) + _USE.to(locale) + "\n".join(uses) + _NOTE.format(count=count).to(locale)
    )


def _figure(limit: int) -> str:
    return f"{limit:,}" if limit else "∞"


def _measured(measured: Measured) -> Text:
    if measured.p50_s is None or measured.p95_s is None:
        return _NOT_MEASURED
    return _MEASURED.format(jobs=measured.jobs, p50=measured.p50_s, p95=measured.p95_s)


def _use_of(instance: int, view: SystemView) -> Text:
    keys = next(member.snapshot.keys for member in view.members if member.instance == instance)
    uses = {name: f"{key.minute_used} / {key.day_used}" for name, key in keys.items()}
    shown = {name: uses.get(name, "–") for name in ("openai", "stability", "minimax")}
    return _KEYS.format(instance=instance, **shown)


COMMAND = InstantCommand(
    slash(
        Text(ko="성능", en="performance"),
        Text(
            ko="키 세트 1개와 전체의 처리 능력, 그리고 실제 측정값을 보여 줘요",
            en="Shows the capacity of one key set and of all, beside what was measured",
        ),
    ),
    answer,
)
