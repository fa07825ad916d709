"""docs/commands.md names everything there is, and nothing that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.commands.buttons import Action
from app.commands.registry import definitions

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "commands.md").read_text()
NAMED = set(re.findall(r"`([^`\n]+)`", DOCUMENT)) | set(re.findall(r"\*(\w+)\*", DOCUMENT))
MARKS = {
    Action.STOP: "⏹", Action.AGAIN: "🔁", Action.CONTINUE: "➡️", Action.VARY: "🎲", Action.RATIO: "menu",
    Action.UPSCALE: "⬆️", Action.DELETE: "🗑", Action.MEMORY: "🧹", Action.FORM: "a form opens",
}  # fmt: skip


def names(item: Mapping[str, Any], mark: str = "") -> Iterator[str]:
    """Yield the Korean and English names of a command or an option, with those of all beneath it."""
    for locale in ("ko", "en-US"):
        yield mark + item["name_localizations"][locale]
    for option in item.get("options", []):
        yield from names(option)


def test_every_command_and_option_is_named() -> None:
    """In both languages; a slash command with its slash."""
    missing = {name for item in definitions() for name in names(item, "/" if item["type"] == 1 else "")} - NAMED
    assert missing == set()


def test_no_command_is_named_that_does_not_exist() -> None:
    """Nobody is sent to a command that is gone."""
    known = {name for item in definitions() for name in names(item, "/")}
    mentioned = {name.split()[0] for name in NAMED if re.fullmatch(r"/[\w-]+( \w+)?", name)}
    assert mentioned and mentioned <= known


def test_every_button_is_described() -> None:
    """By the mark its label begins with; settings have none yet."""
    assert set(MARKS) == set(Action) - {Action.SETTINGS}
    assert all(mark in DOCUMENT for mark in MARKS.values())


def test_every_variable_that_is_named_exists() -> None:
    """As it stands in the example of the configuration."""
    example = (ROOT / ".env.multi.example").read_text()
    variables = {name for name in NAMED if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", name)}
    assert len(variables) > 20
    assert {name for name in variables if not re.search(rf"^#? ?{name}=", example, re.MULTILINE)} == set()
