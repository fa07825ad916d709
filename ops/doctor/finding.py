"""What the doctor says of one thing it looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from app.redaction import MASK


class State(StrEnum):
    """How it is. Only a fault keeps the bot from answering."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found, or why nothing could be, and what to do about it."""

    subject: str
    state: State
    detail: str
    advice: str = ""

    @property
    def well(self) -> bool:
        """Whether it keeps nobody from anything."""
        return self.state is not State.FAULT

    def without(self, secrets: list[str]) -> Finding:
        """Return it with every one of the `secrets` masked, wherever it got in."""
        subject, detail, advice = self.subject, self.detail, self.advice
        for secret in secrets:
            subject, detail, advice = (text.replace(secret, MASK) for text in (subject, detail, advice))
        return replace(self, subject=subject, detail=detail, advice=advice)

    def to_json(self) -> dict[str, Any]:
        """The shape of an entry of `doctor --json`."""
        return {
            "subject": self.subject,
            "state": self.state.value,
            "well": self.well,
            "detail": self.detail,
            "advice": self.advice,
        }


def ok(subject: str, detail: str) -> Finding:
    """It is as it should be."""
    return Finding(subject, State.OK, detail)


def warning(subject: str, detail: str, advice: str) -> Finding:
    """The bot answers, but not as well, or not for ever."""
    return Finding(subject, State.WARNING, detail, advice)


def fault(subject: str, detail: str, advice: str) -> Finding:
    """The bot does not answer, or somebody's questions fail."""
    return Finding(subject, State.FAULT, detail, advice)


def not_checked(subject: str, why: str, advice: str = "") -> Finding:
    """Nothing is known of it, and why."""
    return Finding(subject, State.NOT_CHECKED, why, advice)
