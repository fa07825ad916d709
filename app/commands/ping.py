"""`/핑`: how long the way was, and who answered."""

from __future__ import annotations

from app.commands.base import InstantCommand, InstantContext
from app.commands.definition import slash
from app.discord.replies import Message
from app.texts import Text

PLAUSIBLE_TRAVEL_S = 60.0
"""Beyond this the difference between the id's time and ours says something about clocks, not about the way."""

_ANSWER = Text(
    ko="🏓 **퐁!**\n· Discord → 여기: {travel}\n· 처리 시간: {handling:.1f} ms\n· 내 담당 인스턴스: **{home}**번\n"
    "· 응답한 인스턴스: **{instance}**번",
    en="🏓 **Pong!**\n· Discord → here: {travel}\n· Handling time: {handling:.1f} ms\n"
    "· Your home instance: **{home}**\n· Answered by instance: **{instance}**",
)
_UNKNOWN = Text(ko="알 수 없음 (시계가 맞지 않아요)", en="unknown (the clocks disagree)")


async def answer(context: InstantContext) -> Message:
    """Tell the time from Discord to us (from the interaction's id), our own, the caller's home and who answered."""
    travel_s = context.received_at - context.interaction.created_at
    travel = f"{travel_s * 1000:.0f} ms" if 0 <= travel_s <= PLAUSIBLE_TRAVEL_S else _UNKNOWN.to(context.locale)
    handling = (context.clock.monotonic() - context.started) * 1000
    text = _ANSWER.format(travel=travel, handling=handling, home=context.home, instance=context.instance)
    return Message(text.to(context.locale))


COMMAND = InstantCommand(
    slash(
        Text(ko="핑", en="ping"),
        Text(
            ko="봇까지의 거리와 응답한 인스턴스를 보여 줘요",
            en="Shows how far away the bot is and which instance answered",
        ),
    ),
    answer,
)
