"""What Discord accepts as an application command.

Source: Discord's documentation of interactions/application-commands and reference#locales (August 2026).
"""

from __future__ import annotations

import unicodedata
from typing import Any

from simulator.discord_errors import TOO_MANY_COMMANDS, DiscordProblem, Faultfinder

CHAT_INPUT, USER, MESSAGE = 1, 2, 3
MAX_PER_SCOPE = {CHAT_INPUT: 100, USER: 15, MESSAGE: 15}
SUB_COMMAND, SUB_COMMAND_GROUP, STRING, INTEGER, NUMBER = 1, 2, 3, 4, 10
OPTION_TYPES = range(1, 12)
MAX_TEXT = 8000
LOCALES = frozenset(
    ("id", "da", "de", "en-GB", "en-US", "es-ES", "es-419", "fr", "hr", "it", "lt", "hu", "nl", "no", "pl", "pt-BR",
     "ro", "fi", "sv-SE", "vi", "tr", "cs", "el", "bg", "ru", "uk", "hi", "th", "zh-CN", "ja", "zh-TW", "ko")
)  # fmt: skip


def is_name(name: str) -> bool:
    r"""Say whether `^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$` matches and no letter could be lower case."""
    if not 1 <= len(name) <= 32 or name != name.lower():
        return False
    return all(_is_name_character(character) for character in name)


def _is_name_character(character: str) -> bool:
    if character in "-_'" or unicodedata.category(character)[0] in "LN":
        return True
    script = unicodedata.name(character, "")
    return script.startswith(("DEVANAGARI", "THAI"))


def check_set(commands: list[Any]) -> None:
    """Check a whole scope: each command, duplicates and how many there are."""
    faults = Faultfinder()
    seen: set[tuple[str, str]] = set()
    counts: dict[str, int] = {}
    for i, command in enumerate(commands):
        if not isinstance(command, dict):
            faults.wrong_type(str(i), "an object")
            continue
        check_command(command, faults, f"{i}.")
        kind = str(command.get("type") or CHAT_INPUT)
        counts[kind] = counts.get(kind, 0) + 1
        if (kind, str(command.get("name"))) in seen:
            faults.add(f"{i}.name", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
        seen.add((kind, str(command.get("name"))))
    faults.check()
    if any(count > MAX_PER_SCOPE[int(kind)] for kind, count in counts.items()):
        raise DiscordProblem(400, TOO_MANY_COMMANDS)


def check_command(command: Any, faults: Faultfinder, at: str) -> None:
    """Note everything wrong with one command; `at` is a path prefix that ends in a dot, or empty."""
    if not isinstance(command, dict):
        faults.wrong_type(f"{at}name", "an object")
        return
    kind = command.get("type") or CHAT_INPUT
    if isinstance(kind, bool) or not isinstance(kind, int) or kind not in MAX_PER_SCOPE:
        faults.choice(f"{at}type", kind, (1, 2, 3))
        return
    if not _shapes_are_right(command, faults, at):
        return
    _check_texts(command, faults, at, chat=kind == CHAT_INPUT)
    _check_enums(command, faults, at)
    permissions = command.get("default_member_permissions")
    if permissions is not None and not str(permissions).isdigit():
        faults.add(f"{at}default_member_permissions", "NUMBER_TYPE_COERCE", f'Value "{permissions}" is not int.')
    _check_options(command.get("options"), faults, f"{at}options", depth=0)
    if text_size(command) > MAX_TEXT:
        faults.add(f"{at}name", "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)")


def _shapes_are_right(item: dict[str, Any], faults: Faultfinder, at: str) -> bool:
    """Check lists and objects at every depth, so that the rules can rely on them."""
    good = True
    for name in ("name_localizations", "description_localizations"):
        texts = item.get(name)
        if texts is not None and not (isinstance(texts, dict) and all(isinstance(t, str) for t in texts.values())):
            faults.wrong_type(f"{at}{name}", "an object of strings")
            good = False
    for name in ("contexts", "integration_types"):
        values = item.get(name)
        if values is not None and not (isinstance(values, list) and all(isinstance(v, int) for v in values)):
            faults.wrong_type(f"{at}{name}", "a list of integers")
            good = False
    for name in ("options", "choices"):
        members = item.get(name)
        if members is not None and not (isinstance(members, list) and all(isinstance(m, dict) for m in members)):
            faults.wrong_type(f"{at}{name}", "a list of objects")
            good = False
            continue
        for i, member in enumerate(members or []):
            good = _shapes_are_right(member, faults, f"{at}{name}.{i}.") and good
    return good


def _check_enums(command: dict[str, Any], faults: Faultfinder, at: str) -> None:
    for name, allowed in (("contexts", (0, 1, 2)), ("integration_types", (0, 1))):
        values = command.get(name)
        if values is not None and (not values or len(set(values)) != len(values) or set(values) - set(allowed)):
            faults.choice(f"{at}{name}", values, allowed)


def _check_texts(item: dict[str, Any], faults: Faultfinder, at: str, *, chat: bool) -> None:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        faults.required(f"{at}name")
    elif chat and not is_name(name):
        faults.add(f"{at}name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    else:
        faults.length(f"{at}name", name, 32, 1)
    description = item.get("description")
    if chat and not description:
        faults.required(f"{at}description")
    elif not chat and description:
        faults.add(f"{at}description", "APPLICATION_COMMAND_DESCRIPTION_NOT_ALLOWED", "Only chat commands have one")
    elif chat:
        faults.length(f"{at}description", str(description), 100, 1)
    _check_localizations(item, faults, at, chat=chat)


def _check_localizations(item: dict[str, Any], faults: Faultfinder, at: str, *, chat: bool) -> None:
    for field, limit in (("name_localizations", 32), ("description_localizations", 100)):
        for locale, text in (item.get(field) or {}).items():
            path = f"{at}{field}.{locale}"
            if locale not in LOCALES:
                faults.choice(path, locale, "Discord's locales")
            faults.length(path, str(text), limit, 1)
            if field == "name_localizations" and chat and not is_name(str(text)):
                faults.add(path, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def _check_options(options: Any, faults: Faultfinder, path: str, depth: int) -> None:
    if options is None:
        return
    if not isinstance(options, list) or len(options) > 25:
        faults.add(path, "BASE_TYPE_BAD_LENGTH", "Must be 25 or fewer in length.")
        return
    _check_unique(options, faults, path)
    optional_seen = False
    for i, option in enumerate(options):
        at = f"{path}.{i}."
        if not isinstance(option, dict) or option.get("type") not in OPTION_TYPES:
            faults.choice(f"{at}type", option.get("type") if isinstance(option, dict) else None, "1..11")
            continue
        _check_texts(option, faults, at, chat=True)
        if optional_seen and option.get("required"):
            faults.add(f"{at}required", "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                       "Required options must be placed before non-required options")  # fmt: skip
        optional_seen = optional_seen or not option.get("required")
        _check_option(option, faults, at, depth)


def _check_unique(options: list[Any], faults: Faultfinder, path: str) -> None:
    items = [option for option in options if isinstance(option, dict)]
    locales = {locale for item in items for locale in item.get("name_localizations") or {}}
    for locale in [None, *sorted(locales)]:
        names = [str((item.get("name_localizations") or {}).get(locale, item.get("name"))) for item in items]
        if len(set(names)) != len(names):
            faults.add(path, "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists")
            return


def _check_option(option: dict[str, Any], faults: Faultfinder, at: str, depth: int) -> None:
    kind = option["type"]
    if kind in (SUB_COMMAND, SUB_COMMAND_GROUP):
        if depth > 1 or (depth == 1 and kind == SUB_COMMAND_GROUP):
            faults.add(f"{at}type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Sub-commands are nested too deeply")
        else:
            _check_options(option.get("options"), faults, f"{at}options", depth + 1)
        return
    choices = option.get("choices")
    if option.get("autocomplete") and (choices or kind not in (STRING, INTEGER, NUMBER)):
        faults.add(f"{at}autocomplete", "APPLICATION_COMMAND_AUTOCOMPLETE_NOT_ALLOWED", "Autocomplete is not allowed")
    if choices is not None:
        _check_choices(choices, kind, faults, f"{at}choices")
    for name, low in (("min_length", 0), ("max_length", 1)):
        value = option.get(name)
        if value is not None and (kind != STRING or not isinstance(value, int) or not low <= value <= 6000):
            faults.add(f"{at}{name}", "NUMBER_TYPE_MAX", f"int value should be between {low} and 6000.")
    for name in ("min_value", "max_value"):
        if option.get(name) is not None and kind not in (INTEGER, NUMBER):
            faults.add(f"{at}{name}", "BASE_TYPE_BAD_TYPE", "Only for numbers.")


def _check_choices(choices: Any, kind: int, faults: Faultfinder, path: str) -> None:
    if not isinstance(choices, list) or len(choices) > 25 or kind not in (STRING, INTEGER, NUMBER):
        faults.add(path, "BASE_TYPE_BAD_LENGTH", "Must be 25 or fewer in length.")
        return
    for i, choice in enumerate(choices):
        faults.length(f"{path}.{i}.name", str(choice.get("name") or ""), 100, 1)
        value = choice.get("value")
        if kind == STRING and not (isinstance(value, str) and len(value) <= 100):
            faults.add(f"{path}.{i}.value", "BASE_TYPE_BAD_TYPE", "Must be a string of at most 100 characters.")
        elif kind != STRING and (isinstance(value, bool) or not isinstance(value, int | float)):
            faults.add(f"{path}.{i}.value", "NUMBER_TYPE_COERCE", "Must be a number.")
    if len({str(choice.get("name")) for choice in choices}) != len(choices):
        faults.add(path, "APPLICATION_COMMAND_OPTIONS_CHOICE_NAME_ALREADY_EXISTS", "Option choice name already exists")


def text_size(item: dict[str, Any]) -> int:
    """Return the characters of names, descriptions and values; of a text's localizations the longest counts."""
    total = 0
    for name in ("name", "description"):
        texts = [str(item.get(name) or ""), *(item.get(f"{name}_localizations") or {}).values()]
        total += max(len(text) for text in texts)
    total += sum(len(str(c.get("name", ""))) + len(str(c.get("value", ""))) for c in item.get("choices") or [])
    return total + sum(text_size(option) for option in item.get("options") or [] if isinstance(option, dict))


def normalised(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a command as Discord stores it: defaults filled in, permissions as text."""
    permissions = raw.get("default_member_permissions")
    command = {
        "type": raw.get("type") or CHAT_INPUT, "name": raw["name"], "description": raw.get("description") or "",
        "name_localizations": raw.get("name_localizations"),
        "description_localizations": raw.get("description_localizations"),
        "default_member_permissions": None if permissions is None else str(permissions),
        "dm_permission": raw.get("dm_permission", True), "nsfw": bool(raw.get("nsfw", False)),
        "contexts": raw.get("contexts"), "integration_types": raw.get("integration_types") or [0],
    }  # fmt: skip
    options = raw.get("options")
    return {**command, "options": options} if options else command
