"""`/로드밸런서`: every instance at a glance."""

from __future__ import annotations

from app.balancing.budget import KeySnapshot, KeyState
from app.balancing.overview import Member, SystemView
from app.commands.base import InstantCommand, InstantContext
from app.commands.definition import slash
from app.commands.formatting import duration
from app.discord.graphemes import utf16_length
from app.discord.replies import Message
from app.discord.wire import CONTENT_MAX
from app.texts import Locale, Text

_HEAD = Text(
    ko="⚖️ **로드 밸런서** · 인스턴스 {alive}/{count} 가동 중",
    en="⚖️ **Load balancer** · {alive}/{count} instances up",
)
_ALIVE = Text(
    ko="🟢 **{instance}번** · 가동 {uptime} · 실행 {running}/{slots} · 대기 {waiting} · 오늘 {done}건",
    en="🟢 **#{instance}** · up {uptime} · running {running}/{slots} · waiting {waiting} · {done} today",
)
_DRAINING = Text(ko=" · 종료 준비 중", en=" · draining")
_DEAD = Text(
    ko="🔴 **{instance}번** · 응답 없음 · 대기 {waiting} · 오늘 {done}건",
    en="🔴 **#{instance}** · no sign of life · waiting {waiting} · {done} today",
)
_TOTAL = Text(
    ko="**합계** · 실행 {running}/{slots} · 대기 {waiting} · 오늘 {done}건",
    en="**Total** · running {running}/{slots} · waiting {waiting} · {done} today",
)
_PER_MINUTE = Text(ko="{left}/{limit} 남음(분)", en="{left}/{limit} left/min")
_PER_DAY = Text(ko="{left}/{limit} 남음(일)", en="{left}/{limit} left/day")
_RESTING = {
    KeyState.COOLING: Text(ko="⏸ {rest} 쉬는 중", en="⏸ cooling {rest}"),
    KeyState.SPENT: Text(ko="💸 사용량 소진", en="💸 out of credit"),
    KeyState.DEAD: Text(ko="🚫 거부된 키", en="🚫 key rejected"),
}
_UNLIMITED = Text(ko="제한 없음", en="no limit")
_NAMES = {"openai": "OpenAI", "stability": "Stability", "minimax": "MiniMax"}


async def answer(context: InstantContext) -> Message:
    """Show every instance: alive or not, uptime, running, waiting, done today, budget left; and the totals."""
    return Message(render(context.overview.view, context.locale))


def render(view: SystemView, locale: Locale) -> str:
    """Return the table as text; the keys' lines are left out where sixteen instances would not fit."""
    head = _HEAD.format(alive=len(view.alive), count=len(view.members)).to(locale)
    total = _total(view).to(locale)
    full = "\n".join([head, *(_lines(member, view.at, locale, keys=True) for member in view.members), total])
    if utf16_length(full) <= CONTENT_MAX:
        return full
    return "\n".join([head, *(_lines(member, view.at, locale, keys=False) for member in view.members), total])


def _lines(member: Member, now: float, locale: Locale, *, keys: bool) -> str:
    snapshot, done = member.snapshot, sum(member.done_today.values())
    if not member.alive:
        return _DEAD.format(instance=member.instance, waiting=member.waiting, done=done).to(locale)
    line = _ALIVE.format(
        instance=member.instance,
        uptime=duration(now - snapshot.started_at, locale),
        running=snapshot.running,
        slots=snapshot.slots,
        waiting=member.waiting,
        done=done,
    ).to(locale)
    if snapshot.draining:
        line += _DRAINING.to(locale)
    if keys:
        left = [f"{_NAMES.get(name, name)} {_left(key, locale)}" for name, key in snapshot.keys.items()]
        line += "\n　" + " · ".join(left)
    return line


def _left(key: KeySnapshot, locale: Locale) -> str:
    if key.state in _RESTING and not key.usable:
        return _RESTING[key.state].format(rest=duration(key.rest_s, locale)).to(locale)
    parts = []
    if key.minute_limit:
        parts.append(_PER_MINUTE.format(left=max(0, key.minute_limit - key.minute_used), limit=key.minute_limit))
    if key.day_limit:
        parts.append(_PER_DAY.format(left=max(0, key.day_limit - key.day_used), limit=key.day_limit))
    return ", ".join(part.to(locale) for part in parts or [_UNLIMITED])


def _total(view: SystemView) -> Text:
    return _TOTAL.format(
        running=sum(member.snapshot.running for member in view.alive),
        slots=sum(member.snapshot.slots for member in view.alive),
        waiting=sum(member.waiting for member in view.members),
        done=sum(sum(member.done_today.values()) for member in view.members),
    )


COMMAND = InstantCommand(
    slash(
        Text(ko="로드밸런서", en="load-balancer"),
        Text(
            ko="모든 인스턴스의 상태와 남은 사용량을 보여 줘요", en="Shows every instance's state and the budget left"
        ),
    ),
    answer,
)
