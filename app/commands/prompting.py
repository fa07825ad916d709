"""What a model is told: the operator's prompt, the user's wishes, and as much of the conversation as is allowed.

Nothing here looks anything up; `app/commands/chat.py` brings the turns and sends the request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.commands.options import MODEL
from app.discord.models import Interaction
from app.userdata.conversations import Turn
from app.userdata.preferences import Preferences

MESSAGE_TOKENS = 4
"""What a message costs beside its text: role and separators."""

LONGEST_REMEMBERED = 16_000
"""Characters kept of a question; a file that came with it can be far longer, and would crowd everything else out."""

GO_ON = (
    "Your last answer was cut off. Continue it exactly where it stopped, even in the middle of a word, a list or a "
    "code block. Repeat nothing of it, and add no introduction, apology or comment about continuing."
)

_PERSONA = (
    "\n\nThe user asks to be answered in this manner. Follow it as far as it does not conflict with anything above:\n"
)
_CUT_MARK = "\n[…]"

_ASCII = re.compile(r"[\x00-\x7f]")
_DENSE = re.compile(r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef]")
_ASCII_PER_TOKEN = 4
_OTHERS_PER_TOKEN = 2
_TOKENS_BEYOND = 2
"""For a character beyond the basic plane, an emoji mostly."""


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text is, rather too many than too few.

    By characters, since each model counts differently and the exact counts come with the answer: four ASCII characters
    a token, one for each Chinese, Japanese or Korean character, two other letters a token, and two for an emoji.
    """
    ascii_count, dense = len(_ASCII.findall(text)), len(_DENSE.findall(text))
    beyond = sum(char > "\uffff" for char in text)
    others = len(text) - ascii_count - dense - beyond
    return -(-ascii_count // _ASCII_PER_TOKEN) + dense + -(-others // _OTHERS_PER_TOKEN) + _TOKENS_BEYOND * beyond


def turn_tokens(question: str, answer: str) -> int:
    """Return about how many tokens a question and its answer take up in a request."""
    return estimate_tokens(question) + estimate_tokens(answer) + 2 * MESSAGE_TOKENS


@dataclass(frozen=True, slots=True)
class History:
    """What goes along of a conversation, oldest first, and how many older turns do not."""

    turns: tuple[tuple[str, str], ...] = ()
    dropped: int = 0


NO_HISTORY = History()


def fitting(turns: Sequence[Turn], tokens: int) -> History:
    """Return the newest of `turns` (oldest first) that fit into `tokens` together.

    It ends at the first that does not fit, though older ones might: a conversation with a hole would mislead.
    """
    kept: list[tuple[str, str]] = []
    for turn in reversed(turns):
        tokens -= turn_tokens(turn.question, turn.answer)
        if tokens < 0:
            break
        kept.append((turn.question, turn.answer))
    return History(tuple(reversed(kept)), len(turns) - len(kept))


def system_prompt(operators: str, preferences: Preferences) -> str:
    """Return the operator's prompt, whole and first, with the user's wish behind it."""
    persona = (preferences.persona or "").strip()
    return operators + _PERSONA + persona if persona else operators


def model_for(interaction: Interaction, preferences: Preferences, models: Sequence[str]) -> str | None:
    """Return the model asked for, else the one preferred, if it is one of `models`; None is the operator's own."""
    wishes = (interaction.options.get(MODEL), preferences.model)
    return next((wish for wish in wishes if isinstance(wish, str) and wish in models), None)


def with_material(question: str, material: str) -> str:
    """Return a question followed by the texts that were attached to it."""
    return "\n\n".join(filter(None, (question, material)))


def as_remembered(question: str, pictures: int) -> str:
    """Return a question as it is kept: bounded, and with a word on what was not kept with it."""
    if len(question) > LONGEST_REMEMBERED:
        question = question[: LONGEST_REMEMBERED - len(_CUT_MARK)] + _CUT_MARK
    return question + f"\n[attached: {pictures} picture(s), not kept]" if pictures else question
