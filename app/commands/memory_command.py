"""`/기억`: what is kept of the user's words, and two buttons that forget it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from app.commands.base import InstantCommand, InstantContext, conversation_of, people_of
from app.commands.buttons import Action, Components, custom_id
from app.commands.definition import slash
from app.commands.formatting import shortened
from app.commands.new_chat import MEMORY_OFF
from app.discord.graphemes import utf16_length
from app.discord.replies import Message, action_row, button
from app.discord.wire import CONTENT_MAX, ButtonStyle
from app.texts import Locale, Text
from app.userdata.conversations import Remembered, Turn


class _Clear(StrEnum):
    CHANNEL = "clear_channel"
    ALL = "clear_all"


CHANNELS_SHOWN = 6
TURNS_SHOWN = 3
_QUESTION_SHOWN, _ANSWER_SHOWN = 60, 100

_HEAD = Text(ko="🧠 **기억하고 있는 대화**", en="🧠 **Conversations kept**")
_NOTHING = Text(ko="· 지금 기억하는 대화가 없어요.", en="· None is kept right now.")
_CHANNEL = Text(
    ko="· {where}: 문답 {turns:,}개 · {characters:,}자 · <t:{first}:R>부터 · 마지막 것은 <t:{forgotten}:R>에 잊어요",
    en="· {where}: {turns:,} Q&A · {characters:,} characters · since <t:{first}:R> · forgotten <t:{forgotten}:R>",
)
_PRIVATE = Text(ko=" · 🔒 나만 본 것 {private:,}개", en=" · 🔒 {private:,} private")
_HERE = Text(ko="**이 채널**", en="**this channel**")
_MORE = Text(ko="· 그 밖의 채널 {channels:,}곳: 문답 {turns:,}개", en="· other channels: {channels:,}, Q&A: {turns:,}")
_LAST = Text(ko="**이 채널의 마지막 문답**", en="**The last Q&A in this channel**")
_TURN = "> {lock}{question} → {answer}"
_ALSO = Text(
    ko="-# 그 밖에 저장하는 것: 최근 24시간의 요청 내용(버튼이 쓰고, 모두 잊기가 함께 지워요), 90일간의 사용량 합계"
    "(/사용량), 내가 정한 설정(/설정). 이미 보낸 메시지는 Discord에 남아요.",
    en="-# Also stored: what you asked in the last 24 hours (for the buttons; “forget everything” deletes it, too), "
    "sums of your use for 90 days (/usage), your settings (/settings). Messages already sent stay in Discord.",
)
_CLEAR_CHANNEL = Text(ko="🧹 이 채널 잊기", en="🧹 Forget this channel")
_CLEAR_ALL = Text(ko="🗑 모두 잊기", en="🗑 Forget everything")
_CLEARED_CHANNEL = Text(
    ko="✅ 이 채널의 문답 {turns:,}개를 잊었어요.", en="✅ Forgotten in this channel. Questions and answers: {turns:,}."
)
_CLEARED_ALL = Text(
    ko="✅ 문답 {turns:,}개와 버튼용 요청 {requests:,}개를 모두 잊었어요. 예전 답의 버튼은 더 이상 쓸 수 없어요.",
    en="✅ Everything is forgotten. Questions and answers: {turns:,}; requests kept for buttons: {requests:,}. Buttons "
    "under old answers no longer work.",
)


async def answer(context: InstantContext) -> Message:
    """Show what is kept of this user, channel by channel, and the last of this channel."""
    return await _shown(context)


async def press(context: InstantContext, action: str, argument: str) -> Message:
    """Forget this user's turns here, or everywhere along with the requests kept for buttons; then show what is left.

    Whose data it is says the interaction, never the button.
    """
    people, interaction, now = people_of(context), context.interaction, context.clock.now()
    match argument.partition(":")[0]:
        case _Clear.CHANNEL:
            channel = conversation_of(interaction)
            turns = await people.conversations.start_over(interaction.user_id, channel, now=now)
            return await _shown(context, _CLEARED_CHANNEL.format(turns=turns))
        case _Clear.ALL:
            turns = await people.conversations.delete_all(interaction.user_id, now=now)
            requests = await context.store.forget_payloads(interaction.user_id)
            return await _shown(context, _CLEARED_ALL.format(turns=turns, requests=requests))
    return await _shown(context)


async def _shown(context: InstantContext, done: Text | None = None) -> Message:
    people, interaction, locale = people_of(context), context.interaction, context.locale
    ttl_s = people.memory.ttl_s
    since = context.clock.now() - ttl_s
    here = conversation_of(interaction)
    if people.memory.on:
        kept = await people.conversations.remembered(interaction.user_id, since=since)
        turns = await people.conversations.turns(
            interaction.user_id, here, since=since, private=True, limit=TURNS_SHOWN
        )
        body = [_HEAD.to(locale), *_channels(kept, here, ttl_s, locale)]
    else:
        kept, turns, body = [], [], [MEMORY_OFF.to(locale)]
    head = [done.to(locale)] if done else []
    lines = [*head, *body, *_last(turns, locale), _ALSO.to(locale)]
    if utf16_length("\n".join(lines)) > CONTENT_MAX:
        lines = [*head, *body, _ALSO.to(locale)]
    return Message("\n".join(lines), components=_buttons(interaction.user_id, locale))


def _channels(kept: Sequence[Remembered], here: str, ttl_s: float, locale: Locale) -> list[str]:
    if not kept:
        return [_NOTHING.to(locale)]
    ordered = sorted(kept, key=lambda channel: channel.channel_id != here)  # stable: else newest first
    lines = [_channel(channel, here, ttl_s, locale) for channel in ordered[:CHANNELS_SHOWN]]
    rest = ordered[CHANNELS_SHOWN:]
    if rest:
        lines.append(_MORE.format(channels=len(rest), turns=sum(channel.turns for channel in rest)).to(locale))
    return lines


def _channel(channel: Remembered, here: str, ttl_s: float, locale: Locale) -> str:
    line = _CHANNEL.format(
        where=_HERE.to(locale) if channel.channel_id == here else f"<#{channel.channel_id}>",
        turns=channel.turns,
        characters=channel.characters,
        first=int(channel.first_at),
        forgotten=int(channel.last_at + ttl_s),
    )
    private = _PRIVATE.format(private=channel.private).to(locale) if channel.private else ""
    return line.to(locale) + private


def _last(turns: Sequence[Turn], locale: Locale) -> list[str]:
    shown = [
        _TURN.format(
            lock="🔒 " if turn.private else "",
            question=shortened(turn.question, _QUESTION_SHOWN),
            answer=shortened(turn.answer, _ANSWER_SHOWN),
        )
        for turn in turns
    ]
    return [_LAST.to(locale), *shown] if shown else []


def _buttons(user_id: str, locale: Locale) -> Components:
    channel = button(_CLEAR_CHANNEL.to(locale), custom_id(Action.MEMORY, _Clear.CHANNEL, user_id))
    everything = button(_CLEAR_ALL.to(locale), custom_id(Action.MEMORY, _Clear.ALL, user_id), ButtonStyle.DANGER)
    return (action_row(channel, everything),)


COMMAND = InstantCommand(
    slash(
        Text(ko="기억", en="memory"),
        Text(
            ko="나에 대해 무엇을 기억하는지 보고 지워요",
            en="Shows what is kept of you, and forgets it if you like",
        ),
    ),
    answer,
    private=True,
    press=press,
)
