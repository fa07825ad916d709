"""Options that several commands have, and looking at what a user entered, the same way for every command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.commands.base import InstantContext
from app.commands.definition import boolean, completed
from app.discord.models import Interaction
from app.discord.wire import CHOICE_VALUE_MAX, CHOICES_MAX, OptionType, Permission
from app.texts import Text
from app.userdata.preferences import Preferences


def text_fault(interaction: Interaction, option: str, limit: int, *, empty: Text, too_long: Text) -> Text | None:
    """Return what is wrong with a text option that has to be there, of at most `limit` characters; None if nothing."""
    text = interaction.options.get(option)
    if not isinstance(text, str) or not text.strip():
        return empty
    return too_long if len(text) > limit else None


def chosen_subcommand(interaction: Interaction) -> str:
    """Return the default name of the subcommand that was used; empty if there is none."""
    options = interaction.data.get("options")
    first = options[0] if isinstance(options, list) and options else None
    if not isinstance(first, dict) or first.get("type") != OptionType.SUB_COMMAND:
        return ""
    return str(first.get("name", ""))


def manages_server(interaction: Interaction) -> bool:
    """Whether the user may change this server's settings, by what Discord says of them with this very interaction."""
    allowed = Permission.MANAGE_GUILD | Permission.ADMINISTRATOR
    return interaction.guild_id is not None and bool(interaction.permissions & allowed)


MODEL = "모델"
PRIVATE = "비공개"


def model_option() -> dict[str, Any]:
    """Return the definition of an option that takes one of the configured models; `complete_model` completes it."""
    name, about = Text(ko=MODEL, en="model"), Text(ko="답할 AI 모델", en="The AI model that answers")
    return completed(name, about, max_length=CHOICE_VALUE_MAX)


def complete_model(context: InstantContext) -> Sequence[tuple[str, str]]:
    """Offer the configured models that contain what was typed so far."""
    interaction = context.interaction
    if context.people is None or interaction.focused != MODEL:
        return ()
    typed = str(interaction.options.get(MODEL, "")).strip().casefold()
    fitting = [model for model in context.people.models if typed in model.casefold() and len(model) <= CHOICE_VALUE_MAX]
    return [(model, model) for model in fitting[:CHOICES_MAX]]


_NO_SUCH_MODEL = Text(
    ko="고를 수 있는 모델이 아니어서 비용 없이 거절했어요. {models} 가운데 골라 주세요.",
    en="That model is not offered, so this cost nothing. Please choose one of these: {models}",
)
_MODELS_NAMED = 20


def model_fault(interaction: Interaction, models: Sequence[str]) -> Text | None:
    """Return what is wrong with the model asked for by name, if one is; another must not answer in its place."""
    asked = interaction.options.get(MODEL)
    if not isinstance(asked, str) or not asked.strip() or asked in models:
        return None
    named = ", ".join(f"`{model}`" for model in models[:_MODELS_NAMED])
    return _NO_SUCH_MODEL.format(models=named + (", …" if len(models) > _MODELS_NAMED else ""))


def private_option() -> dict[str, Any]:
    """Return the definition of the option that lets only the user see the answer."""
    return boolean(
        Text(ko=PRIVATE, en="private"),
        Text(ko="나에게만 보이게 답해요 (기본값은 /설정)", en="Only you see the answer (the default is in /settings)"),
    )


def private_wanted(interaction: Interaction, preferences: Preferences) -> bool:
    """Whether only the user is to see the answer: by the option, else by preference."""
    option = interaction.options.get(PRIVATE)
    return option if isinstance(option, bool) else bool(preferences.private)
