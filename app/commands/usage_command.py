"""`/사용량`: what the user took, what it cost and what is left today; a server's use, for its managers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from app.balancing.budget import DAY_S
from app.commands.base import InstantCommand, InstantContext, People, people_of
from app.commands.definition import choice, option, slash
from app.commands.formatting import KIND_NAMES
from app.commands.options import manages_server
from app.discord.replies import Message
from app.discord.wire import OptionType
from app.texts import Locale, Text
from app.userdata.preferences import Scope
from app.userdata.usage import UsageTotal

DAYS = 30
TOP = 5

_SCOPE = Text(ko="범위", en="scope")

_MINE = Text(ko="📈 **내 사용량**", en="📈 **Your use**")
_SERVERS = Text(ko="📈 **이 서버의 사용량**", en="📈 **This server's use**")
_TODAY = Text(ko="**오늘**", en="**Today**")
_LONG = Text(ko="**최근 {days}일**", en="**Last {days} days**").format(days=DAYS)
_NOTHING = Text(ko="· 아직 답한 것이 없어요", en="· nothing answered yet")
_KIND = Text(ko="· {kind} {jobs:,}건", en="· {kind}: {jobs:,}")
_TOKENS = Text(
    ko=" · 토큰 입력 {prompt:,} · 출력 {completion:,}", en=" · tokens in {prompt:,} · tokens out {completion:,}"
)
_IMAGES = Text(ko=" · 그림 {images:,}장", en=" · pictures {images:,}")
_VIDEOS = Text(ko=" · 영상 {videos:,}편", en=" · videos {videos:,}")
_COST = Text(ko="· 비용 약 ${dollars}", en="· cost about ${dollars}")
_TOP = Text(ko="**가장 많이 쓴 사람 (최근 {days}일)**", en="**Who used most (last {days} days)**").format(days=DAYS)
_WHO = Text(ko="{place}. <@{user}> · {jobs:,}건{cost}", en="{place}. <@{user}> · {jobs:,}{cost}")
_LEFT = Text(
    ko="**남은 횟수** · 오늘 {limit:,}번 가운데 **{left:,}번** · <t:{reset}:R>에 다시 채워져요",
    en="**Left today** · **{left:,}** of {limit:,} · back to {limit:,} <t:{reset}:R>",
)
_NO_QUOTA = Text(ko="**남은 횟수** · 개인 하루 한도가 없어요", en="**Left today** · there is no personal daily limit")
_ESTIMATE = Text(
    ko="-# 비용은 운영자가 정한 가격으로 어림한 값이에요. 가격을 정하지 않은 것은 빠져 있어요.",
    en="-# Costs are an estimate by the operator's prices; what has no price is left out.",
)
_UNPRICED = Text(
    ko="-# 운영자가 가격을 정하지 않아 비용은 보여 드릴 수 없어요.",
    en="-# The operator stated no prices, so no costs are shown.",
)
_ONLY_MANAGERS = Text(
    ko="서버의 사용량은 ‘서버 관리’ 권한이 있는 사람만 볼 수 있어요. 내 사용량은 범위를 비우고 `/사용량`을 써 주세요.",
    en="Only people with “Manage Server” can see a server's use. For your own, use `/usage` without a scope.",
)
_NO_SERVER = Text(
    ko="여기는 서버가 아니에요. 서버의 채널에서 다시 시도하거나, 범위를 비우고 `/사용량`을 써 주세요.",
    en="This is no server. Try again in a server's channel, or use `/usage` without a scope for your own use.",
)


async def answer(context: InstantContext) -> Message:
    """Show the user's sums and what is left of the quota, or the server's sums and who used most."""
    if context.interaction.options.get(_SCOPE.ko) == Scope.GUILD:
        return Message(await _of_server(context))
    return Message(await _of_user(context))


async def _of_user(context: InstantContext) -> str:
    people, user, locale = people_of(context), context.interaction.user_id, context.locale
    today = people.day()
    of_today = await people.usage.of_user(user, from_day=today, to_day=today)
    of_all = await people.usage.of_user(user, from_day=_first(today), to_day=today)
    lines = [_MINE.to(locale), *_sums(_TODAY, of_today, people, locale), *_sums(_LONG, of_all, people, locale)]
    return "\n".join([*lines, await _left(context, people), _note(people).to(locale)])


async def _of_server(context: InstantContext) -> str:
    people, guild, locale = people_of(context), context.interaction.guild_id, context.locale
    if guild is None:
        return _NO_SERVER.to(locale)
    if not manages_server(context.interaction):
        return _ONLY_MANAGERS.to(locale)
    today = people.day()
    of_today = await people.usage.of_guild(guild, from_day=today, to_day=today)
    of_all = await people.usage.of_guild(guild, from_day=_first(today), to_day=today)
    top = await people.usage.top_users(guild, from_day=_first(today), to_day=today, limit=TOP)
    lines = [_SERVERS.to(locale), *_sums(_TODAY, of_today, people, locale), *_sums(_LONG, of_all, people, locale)]
    return "\n".join([*lines, *_most(top, people, locale), _note(people).to(locale)])


def _first(today: str) -> str:
    return (date.fromisoformat(today) - timedelta(days=DAYS - 1)).isoformat()


def _sums(head: Text, totals: Mapping[str, UsageTotal], people: People, locale: Locale) -> list[str]:
    known = [kind for kind in KIND_NAMES if kind in totals]
    kinds = [*known, *(kind for kind in totals if kind not in KIND_NAMES)]
    lines = [_kind(kind, totals[kind], locale) for kind in kinds] or [_NOTHING.to(locale)]
    micro_usd = sum(total.usage.micro_usd for total in totals.values())
    if totals and people.prices_known:
        lines.append(_COST.format(dollars=_dollars(micro_usd)).to(locale))
    return [head.to(locale), *lines]


def _kind(kind: str, total: UsageTotal, locale: Locale) -> str:
    usage = total.usage
    name = KIND_NAMES[kind].to(locale) if kind in KIND_NAMES else kind
    line = _KIND.format(kind=name, jobs=total.jobs)
    more = []
    if usage.prompt_tokens or usage.completion_tokens:
        more.append(_TOKENS.format(prompt=usage.prompt_tokens, completion=usage.completion_tokens))
    if usage.images:
        more.append(_IMAGES.format(images=usage.images))
    if usage.videos:
        more.append(_VIDEOS.format(videos=usage.videos))
    return "".join(text.to(locale) for text in (line, *more))


def _most(top: Mapping[str, UsageTotal], people: People, locale: Locale) -> list[str]:
    lines = [
        _WHO.format(
            place=place,
            user=user,
            jobs=total.jobs,
            cost=f" · ${_dollars(total.usage.micro_usd)}" if people.prices_known else "",
        ).to(locale)
        for place, (user, total) in enumerate(top.items(), start=1)
    ]
    return [_TOP.to(locale), *lines] if lines else []


async def _left(context: InstantContext, people: People) -> str:
    """Count as the quota does: what was accepted since the day began, answered or not."""
    limit = people.quota(context.interaction)
    if not limit:
        return _NO_QUOTA.to(context.locale)
    reset = people.day_ends_at()
    used = await context.store.accepted(context.interaction.user_id, since=reset - DAY_S)
    return _LEFT.format(limit=limit, left=max(0, limit - used), reset=int(reset)).to(context.locale)


def _note(people: People) -> Text:
    return _ESTIMATE if people.prices_known else _UNPRICED


def _dollars(micro_usd: int) -> str:
    """Return dollars, the small amounts in more detail; what was paid is never shown as nothing."""
    if micro_usd >= 1_000_000 or not micro_usd:
        return f"{micro_usd / 1_000_000:,.2f}"
    return f"{max(micro_usd, 100) / 1_000_000:.4f}"


COMMAND = InstantCommand(
    slash(
        Text(ko="사용량", en="usage"),
        Text(ko="얼마나 썼고 오늘 얼마나 남았는지 보여 줘요", en="Shows what you used and what is left today"),
        [
            option(
                OptionType.STRING,
                _SCOPE,
                Text(ko="누구의 사용량인가요? (기본: 나)", en="Whose use? (yours if left empty)"),
                choices=[
                    choice(Text(ko="나", en="me"), Scope.USER.value),
                    choice(Text(ko="서버 (서버 관리 권한)", en="server (Manage Server)"), Scope.GUILD.value),
                ],
            )
        ],
    ),
    answer,
    private=True,
)
