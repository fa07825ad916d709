"""Every command, once: the dispatcher and the registration script share this list. Needs no environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from app.commands import (
    assignment,
    chat,
    image,
    load_balancer,
    memory_command,
    message_commands,
    new_chat,
    performance,
    ping,
    settings_command,
    usage_command,
    video,
)
from app.commands.base import Command, Definition, JobCommand
from app.discord.models import Interaction

COMMANDS: Final[Mapping[str, Command]] = {
    command.name: command
    for command in (
        chat.COMMAND,
        image.COMMAND,
        video.COMMAND,
        new_chat.COMMAND,
        memory_command.COMMAND,
        settings_command.COMMAND,
        usage_command.COMMAND,
        ping.COMMAND,
        load_balancer.COMMAND,
        performance.COMMAND,
        assignment.COMMAND,
        message_commands.SUMMARISE,
        message_commands.TRANSLATE,
        message_commands.EXPLAIN,
    )
}


def offering(models: Sequence[str]) -> Mapping[str, Command]:
    """Return every command as an instance serves it that offers these chat models."""
    return {**COMMANDS, chat.COMMAND.name: chat.offering(models)}


def _first_of_each_kind(commands: Iterable[Command]) -> Mapping[str, JobCommand]:
    firsts: dict[str, JobCommand] = {}
    for command in commands:
        if isinstance(command, JobCommand):
            firsts.setdefault(command.kind, command)
    return firsts


JOB_COMMANDS: Final = _first_of_each_kind(COMMANDS.values())
"""The command that names each kind's providers: of several, the first in the list."""


def job_command(interaction: Interaction, kind: str) -> JobCommand:
    """Return the command a job of `kind` was asked for with; its kind's first if that one is gone since."""
    command = COMMANDS.get(interaction.command)
    return command if isinstance(command, JobCommand) and command.kind == kind else JOB_COMMANDS[kind]


def definitions() -> list[Definition]:
    """Return what is registered with Discord, in a stable order."""
    return [command.definition for command in COMMANDS.values()]
