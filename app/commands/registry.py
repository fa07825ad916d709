"""Every command, once: the dispatcher and the registration script share this list. Needs no environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.commands import assignment, chat, image, load_balancer, performance, ping, video
from app.commands.base import Command, Definition, JobCommand

COMMANDS: Final[Mapping[str, Command]] = {
    command.name: command
    for command in (
        chat.COMMAND,
        image.COMMAND,
        video.COMMAND,
        ping.COMMAND,
        load_balancer.COMMAND,
        performance.COMMAND,
        assignment.COMMAND,
    )
}

JOB_COMMANDS: Final[Mapping[str, JobCommand]] = {
    command.kind: command for command in COMMANDS.values() if isinstance(command, JobCommand)
}


def definitions() -> list[Definition]:
    """Return what is registered with Discord, in a stable order."""
    return [command.definition for command in COMMANDS.values()]
