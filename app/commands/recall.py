"""What goes along of a conversation with a question, and what is remembered of its answer."""

from __future__ import annotations

from collections.abc import Sequence

from app.commands.base import JobContext, conversation_of
from app.commands.buttons import Action
from app.commands.options import PRIVATE, private_wanted
from app.commands.prompting import History, fitting, turn_tokens
from app.discord.wire import CommandType
from app.userdata.conversations import Turn

LONGEST_HISTORY = 200
"""Turns that are looked at; what they may take up is bounded in tokens."""


async def conversation(context: JobContext) -> History:
    """Return what goes along with a question; what 🔁 asks once more is not what was said before it."""
    of = context.interaction.derived.get("of")
    turns = [turn for turn in await _turns(context) if turn.job_id != of]
    return fitting(turns, context.services.memory.tokens)


async def unfinished(context: JobContext, question: str, *, remember: bool) -> History:
    """Return the conversation up to the answer that ➡️ goes on with: as remembered, else as its message showed it."""
    of, text = (str(context.interaction.derived.get(name, "")) for name in ("of", "text"))
    turn = await context.services.conversations.turn(of, user_id=context.interaction.user_id) if remember else None
    if turn is None or (turn.private and not _only_for_asker(context)):
        return History(((question, text),))
    room = context.services.memory.tokens - turn_tokens(turn.question, turn.answer)
    before = fitting([each for each in await _turns(context) if each.asked_at < turn.asked_at], room)
    return History((*before.turns, (turn.question, turn.answer)), before.dropped)


async def _turns(context: JobContext) -> Sequence[Turn]:
    memory, interaction = context.services.memory, context.interaction
    if not memory.on:
        return ()
    return await context.services.conversations.turns(
        interaction.user_id,
        conversation_of(interaction),
        since=context.job.received_at - memory.ttl_s,
        private=_only_for_asker(context),
        limit=LONGEST_HISTORY,
    )


def turn_of(context: JobContext, question: str, text: str) -> Turn | None:
    """Return what is remembered of this answer, if anything is to be."""
    if not context.services.memory.on:
        return None
    interaction, job = context.interaction, context.job
    whose = (interaction.user_id, conversation_of(interaction))
    return Turn(job.id, *whose, job.received_at, question, text, _private(context))


def _only_for_asker(context: JobContext) -> bool:
    """Whether the answer was deferred so that only the user sees it, by what was recorded then; not by a habit of now.

    Message commands are always answered so.
    """
    interaction = context.interaction
    return interaction.command_type == CommandType.MESSAGE or interaction.options.get(PRIVATE) is True


def _private(context: JobContext) -> bool:
    """Whether the answer is remembered as private: it was deferred so, or its user has wished so since."""
    interaction = context.interaction
    return interaction.command_type == CommandType.MESSAGE or private_wanted(interaction, context.preferences)


def continues(context: JobContext) -> bool:
    """Whether ➡️ made this job."""
    return context.interaction.derived.get("action") == Action.CONTINUE
