"""The commands as Discord gets them keep every rule Discord states, and need nothing to be listed.

Rules: https://discord.com/developers/docs/interactions/application-commands#application-command-object.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from app.commands.base import InstantCommand, JobCommand
from app.commands.registry import COMMANDS, JOB_COMMANDS, definitions, job_command
from app.discord import wire
from app.discord.models import parse
from tests.unit.edge.kit import use

Definition = Mapping[str, Any]
LOCALES = {
    "id", "da", "de", "en-GB", "en-US", "es-ES", "es-419", "fr", "hr", "it", "lt", "hu", "nl", "no", "pl", "pt-BR",
    "ro", "fi", "sv-SE", "vi", "tr", "cs", "el", "bg", "ru", "uk", "hi", "th", "zh-CN", "ja", "zh-TW", "ko",
}  # fmt: skip
KNOWN_FIELDS = {
    "type", "name", "name_localizations", "description", "description_localizations", "options", "contexts",
    "integration_types", "required", "min_length", "max_length", "choices", "value", "autocomplete",
}  # fmt: skip
SLASH = [
    "채팅", "이미지", "비디오", "새대화", "기억", "설정", "사용량", "핑", "로드밸런서", "성능", "할당",
]  # fmt: skip
IN_MENUS = ["요약", "번역", "설명"]


def name_faults(name: object) -> Iterator[str]:
    r"""`^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$`, and the lower-case form of each letter that has one."""
    if not isinstance(name, str) or not 1 <= len(name) <= wire.COMMAND_NAME_MAX:
        yield f"name {name!r}: length"
        return
    if not all(character in "-_'" or unicodedata.category(character)[0] in "LN" for character in name):
        yield f"name {name!r}: characters"
    if name != name.lower() or name != unicodedata.normalize("NFC", name):
        yield f"name {name!r}: form"


def menu_name_faults(name: object) -> Iterator[str]:
    """A command in a menu may have capitals and spaces."""
    if not isinstance(name, str) or not 1 <= len(name.strip()) == len(name) <= wire.COMMAND_NAME_MAX:
        yield f"name {name!r}: length"


def localized_faults(item: Definition, field: str, check: Callable[[object], Iterator[str]]) -> Iterator[str]:
    """Check a field and its translations, which have to be there for Korean and English."""
    yield from check(item.get(field))
    translations = item.get(f"{field}_localizations") or {}
    if not set(translations) <= LOCALES:
        yield f"{field}: unknown locale"
    if not {"ko", "en-US", "en-GB"} <= set(translations):
        yield f"{field}: not in both languages"
    for text in translations.values():
        yield from check(text)


def description_faults(text: object) -> Iterator[str]:
    """1 to 100 characters, and not blank."""
    if not isinstance(text, str) or not text.strip() or len(text) > wire.COMMAND_DESCRIPTION_MAX:
        yield f"description {text!r}: length"


def choice_faults(option: Definition) -> Iterator[str]:
    """At most 25, each of its own name and value, only where a text or number is asked for."""
    choices = option.get("choices", [])
    if len(choices) > wire.CHOICES_MAX:
        yield "choices: too many"
    for field in ("name", "value"):
        if len({choice[field] for choice in choices}) != len(choices):
            yield f"choices: the same {field} twice"
    for choice in choices:
        for text in (choice["name"], choice["value"], *choice.get("name_localizations", {}).values()):
            if not isinstance(text, str) or not 1 <= len(text) <= wire.CHOICE_NAME_MAX:
                yield f"choice {text!r}"


def kind_faults(option: Definition) -> Iterator[str]:
    """What only some kinds of options may have."""
    kind = option["type"]
    if option.get("autocomplete") and (kind not in (3, 4, 10) or option.get("choices")):
        yield "option: nothing to complete, or choices beside it"
    if option.get("choices") and kind not in (3, 4, 10):
        yield "option: choices of what is neither text nor number"
    if "options" in option and kind not in (1, 2):
        yield "option: options beneath what is no subcommand"
    if "required" in option and kind in (1, 2):
        yield "option: a required subcommand"


def option_faults(options: list[Definition], depth: int = 0) -> Iterator[str]:
    """Names of their own, required ones first, lengths within Discord's; subcommands stand alone, and on top."""
    groups = {option["type"] in (1, 2) for option in options}
    if len(groups) > 1 or (depth and True in groups):
        yield "options: subcommands beside or beneath others"
    if len(options) > wire.OPTIONS_MAX:
        yield "options: too many"
    if len({option["name"] for option in options}) != len(options):
        yield "options: the same name twice"
    required = [bool(option.get("required")) for option in options]
    if required != sorted(required, reverse=True):
        yield "options: a required one after an optional one"
    for option in options:
        yield from localized_faults(option, "name", name_faults)
        yield from localized_faults(option, "description", description_faults)
        yield from choice_faults(option)
        yield from kind_faults(option)
        yield from option_faults(option.get("options", []), depth + 1)
        if option["type"] not in list(wire.OptionType):
            yield "option: type"
        shortest, longest = option.get("min_length", 0), option.get("max_length", wire.STRING_OPTION_MAX)
        if not 0 <= shortest <= longest <= wire.STRING_OPTION_MAX or longest < 1:
            yield "option: lengths"
        if ({"min_length", "max_length"} & option.keys()) and option["type"] != wire.OptionType.STRING:
            yield "option: a length of what is no text"


def text_size(item: Definition) -> int:
    """Count as Discord does: of name, description and value the longest language, with everything beneath."""
    size = 0
    for field in ("name", "description", "value"):
        texts = [str(item.get(field, "")), *(item.get(f"{field}_localizations") or {}).values()]
        size += max(map(len, texts))
    return size + sum(text_size(part) for name in ("options", "choices") for part in item.get(name, []))


def unknown_fields(item: Definition) -> set[str]:
    """Return the fields nobody documented."""
    unknown = set(item) - KNOWN_FIELDS
    for part in (part for name in ("options", "choices") for part in item.get(name, [])):
        unknown |= unknown_fields(part)
    return unknown


def faults(command: Definition) -> list[str]:
    """Return everything Discord would refuse about a command."""
    if command["type"] == wire.CommandType.MESSAGE:
        beyond = {"description", "description_localizations", "options"} & command.keys()
        found = [*localized_faults(command, "name", menu_name_faults), *(f"{field} in a menu" for field in beyond)]
        return found + sorted(unknown_fields(command))
    found = [*localized_faults(command, "name", name_faults)]
    found += localized_faults(command, "description", description_faults)
    found += option_faults(command.get("options", []))
    if command["type"] != wire.CommandType.CHAT_INPUT:
        found.append("type")
    if text_size(command) > wire.COMMAND_TEXT_MAX:
        found.append("too much text")
    return found + sorted(unknown_fields(command))


def test_each_goes_by_its_korean_name() -> None:
    """The default name, which payloads carry, is Korean; the dispatcher finds each by it, as do the jobs' kinds."""
    assert [definition["name"] for definition in definitions()] == list(COMMANDS) == [*SLASH, *IN_MENUS]
    assert {kind: command.name for kind, command in JOB_COMMANDS.items()} == {
        "chat": "채팅", "image": "이미지", "video": "비디오",
    }  # fmt: skip
    for name, command in COMMANDS.items():
        assert command.name == name
        assert isinstance(command, JobCommand if name in ("채팅", "이미지", "비디오", *IN_MENUS) else InstantCommand)
        assert command.definition["type"] == (3 if name in IN_MENUS else 1)


def test_a_job_is_run_by_the_command_it_was_asked_for_with() -> None:
    """Several share a kind; a name that is gone, or of another kind, falls back to the kind's own command."""
    for asked, kind, served in (
        ("번역", "chat", "번역"), ("채팅", "chat", "채팅"), ("이미지", "chat", "채팅"), ("옛이름", "video", "비디오"),
        ("핑", "chat", "채팅"),
    ):  # fmt: skip
        assert job_command(parse(use(asked)), kind).name == served


@pytest.mark.parametrize("name", COMMANDS)
def test_discord_would_take_each(name: str) -> None:
    """No rule is broken, in either language."""
    assert faults(COMMANDS[name].definition) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_works_everywhere(name: str) -> None:
    """In servers, in direct messages with the bot and, installed by a user, anywhere."""
    definition = COMMANDS[name].definition
    assert definition["contexts"] == [0, 1, 2]
    assert definition["integration_types"] == [0, 1]


def test_no_two_share_a_name_in_any_language() -> None:
    """A user sees different names; Discord compares them within each kind of command."""
    for locale in ("ko", "en-US", "en-GB"):
        names = {(definition["type"], definition["name_localizations"][locale]) for definition in definitions()}
        assert len(names) == len(COMMANDS)


def test_english_is_english() -> None:
    """No Korean is left where Discord shows English."""

    def check(item: Definition) -> None:
        for field in ("name_localizations", "description_localizations"):
            for locale, text in (item.get(field) or {}).items():
                assert locale == "ko" or not any("가" <= character <= "힣" for character in text), text
        for part in (part for name in ("options", "choices") for part in item.get(name, [])):
            check(part)

    for definition in definitions():
        check(definition)


def _spoiled(change: Callable[[dict[str, Any]], object], name: str = "이미지") -> dict[str, Any]:
    """Return a command with one thing changed."""
    definition: dict[str, Any] = copy.deepcopy(dict(COMMANDS[name].definition))
    change(definition)
    return definition


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(name="이 미지"), lambda d: d.update(name="Image"), lambda d: d.update(name="이" * 33),
        lambda d: d.update(name="🌊"), lambda d: d["name_localizations"].update({"en-US": "Image"}),
        lambda d: d.update(name=unicodedata.normalize("NFD", "이미지")), lambda d: d["name_localizations"].pop("ko"),
        lambda d: d["name_localizations"].update({"kr": "x"}), lambda d: d.update(description="가" * 101),
        lambda d: d.update(description=""), lambda d: d["options"].reverse(), lambda d: d.update(type=2),
        lambda d: d["options"].append(d["options"][1]), lambda d: d["options"][0].update(max_length=6001),
        lambda d: d["options"][1].update(choices=d["options"][1]["choices"] * 5), lambda d: d.update(extra=1),
        lambda d: d["options"][1]["choices"][0].update(value=""), lambda d: d["options"][0].update(type=4),
        lambda d: d["options"][1]["choices"][0].update(value="x" * 101),
    ],
)  # fmt: skip
def test_the_check_would_notice(change: Callable[[dict[str, Any]], object]) -> None:
    """Each of these, which Discord refuses, is a fault here too."""
    assert faults(_spoiled(change))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("설정", lambda d: d["options"][0].update(required=False)),
        ("설정", lambda d: d["options"].append({**d["options"][1]["options"][1], "name": "x"})),
        ("설정", lambda d: d["options"][1]["options"].append({**d["options"][0], "name": "x"})),
        ("설정", lambda d: d["options"][1]["options"][0].update(choices=d["options"][1]["options"][2]["choices"])),
        ("설정", lambda d: d["options"][1]["options"][5].update(autocomplete=True)),
        ("설정", lambda d: d["options"][1]["options"][1].update(description="")),
        ("설정", lambda d: d["options"][1]["options"][1].update(options=[])),
        ("요약", lambda d: d.update(description="x")), ("요약", lambda d: d.update(name=" x")),
        ("요약", lambda d: d.update(options=[])), ("요약", lambda d: d["name_localizations"].pop("en-GB")),
    ],
)  # fmt: skip
def test_the_check_would_notice_in_subcommands_and_menus(name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Each of these, which Discord refuses, is a fault here too."""
    assert faults(_spoiled(change, name))


_LIST = """
import sys
from app.commands.registry import definitions
print(len(definitions()))
heavy = {"openai", "fastapi", "starlette", "uvicorn", "httpx2", "redis", "pydantic_settings", "prometheus_client"}
print(sorted({name.partition(".")[0] for name in sys.modules} & heavy))
print(sorted(name for name in sys.modules if name in ("app.main", "app.settings", "app.edge", "app.jobs.sqlite")))
"""


def test_listing_them_needs_no_environment_and_nothing_heavy() -> None:
    """The registration script imports the registry without settings, web framework or provider libraries."""
    listed = subprocess.run(
        [sys.executable, "-c", _LIST], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert listed.stdout.split("\n")[:3] == [str(len(COMMANDS)), "[]", "[]"], listed.stderr
