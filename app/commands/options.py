"""Looking at what a user entered, the same way for every command."""

from __future__ import annotations

from app.discord.models import Interaction
from app.texts import Text


def text_fault(interaction: Interaction, option: str, limit: int, *, empty: Text, too_long: Text) -> Text | None:
    """Return what is wrong with a text option that has to be there, of at most `limit` characters; None if nothing."""
    text = interaction.options.get(option)
    if not isinstance(text, str) or not text.strip():
        return empty
    return too_long if len(text) > limit else None
