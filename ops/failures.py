"""What the operator's command line says when something can't be done, and the exit codes it ends with."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1  # it was tried and did not work, or something is unhealthy
    CONFIGURATION = 2  # the command line or the env file is wrong: nothing was tried
    NOT_RUNNING = 3  # the system this command speaks to does not run


class OpsError(Exception):
    """A command can't go on. The message says what is wrong, `hint` what to do."""

    def __init__(self, message: str, *, hint: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code
