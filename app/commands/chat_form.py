"""The form for long questions: opened by a `/채팅` that was given neither a question nor a file."""

from __future__ import annotations

from app.commands.derived import form_id
from app.discord.models import Interaction
from app.discord.replies import modal, text_input
from app.discord.wire import TEXT_INPUT_MAX
from app.texts import Text

_TITLE = Text(ko="AI에게 물어보기", en="Ask the AI")
_LABEL = Text(ko="무엇이 궁금한가요?", en="What would you like to know?")
_ABOUT = Text(
    ko="여러 줄로 쓸 수 있어요. {limit:,}자까지예요.",
    en="As many lines as you like, {limit:,} characters at most.",
).format(limit=TEXT_INPUT_MAX)


def opened(interaction: Interaction, *, question: str, file: str) -> bytes | None:
    """Return the form that asks for the `question` option, unless that option or the `file` option was given."""
    if question in interaction.options or file in interaction.options:
        return None
    locale = interaction.locale
    field = text_input(question, _LABEL.to(locale), description=_ABOUT.to(locale), min_length=1)
    return modal(form_id(interaction), _TITLE.to(locale), [field])
