"""`/새대화`: the conversation in this channel starts over."""

from __future__ import annotations

from app.commands.base import InstantCommand, InstantContext, conversation_of, people_of
from app.commands.definition import slash
from app.discord.replies import Message
from app.texts import Text

MEMORY_OFF = Text(
    ko="💭 이 봇은 대화를 기억하지 않아요(운영자 설정). 질문마다 언제나 새 대화예요.",
    en="💭 This bot remembers no conversations (its operator's choice): every question is a new chat.",
)
_STARTED = Text(
    ko="🌱 새 대화를 시작해요. 이 채널에서 기억하던 내 대화 {turns:,}개를 잊었어요.",
    en="🌱 A new chat begins. Forgot what was kept of yours in this channel; questions and their answers: {turns:,}.",
)
_NOTHING = Text(
    ko="🌱 새 대화를 시작해요. 이 채널에서 기억하던 대화는 없었어요.",
    en="🌱 A new chat begins. Nothing of yours was remembered in this channel.",
)


async def answer(context: InstantContext) -> Message:
    """Forget this user's turns in this channel, also those of questions that are still being answered."""
    people, interaction = people_of(context), context.interaction
    if not people.memory.on:
        return Message(MEMORY_OFF.to(context.locale))
    channel = conversation_of(interaction)
    turns = await people.conversations.start_over(interaction.user_id, channel, now=context.clock.now())
    return Message((_STARTED.format(turns=turns) if turns else _NOTHING).to(context.locale))


COMMAND = InstantCommand(
    slash(
        Text(ko="새대화", en="new-chat"),
        Text(
            ko="이 채널에서 나눈 대화를 잊고 새로 시작해요",
            en="Forgets our conversation in this channel and starts anew",
        ),
    ),
    answer,
    private=True,
)
