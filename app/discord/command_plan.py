"""What registering commands would change, before anything is changed.

Both sides are brought into one canonical form first, because Discord fills in defaults that a definition leaves out
(https://discord.com/developers/docs/interactions/application-commands#application-command-object).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.discord.wire import CommandType, InteractionContext

Definition = Mapping[str, Any]
"""A command as Discord's API takes it, or as it gives it back."""

_EVERYWHERE: Final = sorted(int(context) for context in InteractionContext)
_GLOBAL_ONLY: Final = frozenset({"contexts", "integration_types"})
_COMMAND_DEFAULTS: Final[Definition] = {
    "type": int(CommandType.CHAT_INPUT),
    "description": "",
    "name_localizations": {},
    "description_localizations": {},
    "default_member_permissions": None,
    "nsfw": False,
    "contexts": _EVERYWHERE,
    "options": [],
}
_OPTION_DEFAULTS: Final[Definition] = {
    "name_localizations": {},
    "description_localizations": {},
    "required": False,
    "autocomplete": False,
    "choices": [],
    "options": [],
    "channel_types": [],
    "min_value": None,
    "max_value": None,
    "min_length": None,
    "max_length": None,
}
_CHOICE_DEFAULTS: Final[Definition] = {"name_localizations": {}}
_UNORDERED: Final = frozenset({"contexts", "integration_types", "channel_types"})
_SHOWN_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class Change:
    """A command that differs, and how: lines such as `options.prompt.description: "old" → "new"`."""

    name: str
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a registration will do in one scope: a guild's, or the global one if `guild_id` is None.

    `payload` is the whole list that Discord will hold afterwards. `spared` are commands that are not wanted any more
    but stay, since deleting was not asked for.
    """

    create: tuple[str, ...]
    update: tuple[Change, ...]
    delete: tuple[str, ...]
    unchanged: tuple[str, ...]
    payload: tuple[Definition, ...]
    guild_id: str | None = None
    spared: tuple[str, ...] = ()

    @property
    def changes_anything(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.create or self.update or self.delete)

    def lines(self) -> list[str]:
        """Return the plan for a person to read: `+` new, `~` changed, `-` deleted, `!` spared, `=` as it is."""
        lines = [f"+ {name}" for name in self.create]
        for change in self.update:
            lines += [f"~ {change.name}", *(f"    {difference}" for difference in change.differences)]
        lines += [*(f"- {name}" for name in self.delete), *(f"! {name}" for name in self.spared)]
        return [*lines, *(f"= {name}" for name in self.unchanged)]


def make_plan(
    existing: Sequence[Definition],
    wanted: Sequence[Definition],
    guild_id: str | None = None,
    *,
    delete: bool = True,
) -> Plan:
    """Compare what Discord has (`CommandsApi.fetch`) with what it should have; commands match by type and name.

    Contexts and installation types exist only for global commands and are left out for a guild. An Activity's entry
    point, which Discord makes itself and a bulk update may not remove (50240), is kept. Without `delete` so is every
    other command that is not wanted.
    """
    if guild_id is not None:
        wanted = [{k: v for k, v in command.items() if k not in _GLOBAL_ONLY} for command in wanted]
    before = {_key(command): command for command in existing}
    after = {_key(command): command for command in wanted}
    strangers = {key: command for key, command in before.items() if key not in after}
    kept = [c for key, c in strangers.items() if not delete or key[0] == CommandType.PRIMARY_ENTRY_POINT]
    after |= {_key(command): command for command in kept}
    spared = [key for key in strangers if key in after and key[0] != CommandType.PRIMARY_ENTRY_POINT]
    updates, unchanged = [], []
    for key in (key for key in after if key in before and key not in spared):
        differences = tuple(_differences(before[key], after[key], guild_id is None))
        if differences:
            updates.append(Change(_title(key), differences))
        else:
            unchanged.append(_title(key))
    return Plan(
        create=tuple(_title(key) for key in after if key not in before),
        update=tuple(updates),
        delete=tuple(_title(key) for key in before if key not in after),
        unchanged=tuple(unchanged),
        payload=(*wanted, *(_sendable(command) for command in kept)),
        guild_id=guild_id,
        spared=tuple(_title(key) for key in spared),
    )


def _key(command: Definition) -> tuple[int, str]:
    return int(command.get("type") or CommandType.CHAT_INPUT), str(command["name"])


def _title(key: tuple[int, str]) -> str:
    kind, name = key
    if kind == CommandType.CHAT_INPUT:
        return f"/{name}"
    known = kind in CommandType.__members__.values()
    return f"{name} ({CommandType(kind).name.lower() if known else f'type {kind}'})"


def _sendable(command: Definition) -> Definition:
    """Return what Discord gave back without what it only gives."""
    given_only = {"application_id", "version", "guild_id", "name_localized", "description_localized", "dm_permission"}
    return {k: v for k, v in command.items() if k not in given_only and v is not None}


def _differences(old: Definition, new: Definition, is_global: bool) -> Iterator[str]:
    old, new = _canonical(old, _COMMAND_DEFAULTS), _canonical(new, _COMMAND_DEFAULTS)
    # Only what the definition says is compared: installation types, left out, follow the application's own setting.
    fields = [name for name in new if name != "id" and (is_global or name not in _GLOBAL_ONLY)]
    for name in fields:
        yield from _compare(name, old.get(name), new[name])


def _canonical(raw: Definition, defaults: Definition) -> dict[str, Any]:
    """Return `raw` with defaults filled in, numbers of permissions as strings, and sets in one order."""
    made = {**defaults, **{name: value for name, value in raw.items() if value is not None}}
    for name in _UNORDERED & made.keys():
        made[name] = sorted(made[name])
    if made.get("default_member_permissions") is not None:
        made["default_member_permissions"] = str(made["default_member_permissions"])
    if "options" in made:
        made["options"] = [_canonical(option, _OPTION_DEFAULTS) for option in made["options"]]
    if "choices" in made:
        made["choices"] = [_canonical(choice, _CHOICE_DEFAULTS) for choice in made["choices"]]
    return made


def _compare(path: str, old: object, new: object) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        # Discord's answer may have fields that a definition never has; a localization that went is a difference.
        names = dict.fromkeys([*new, *(old if path.endswith("_localizations") else ())])
        for name in names:
            yield from _compare(f"{path}.{name}", old.get(name), new.get(name))
    elif _named(old) and _named(new) and isinstance(old, list) and isinstance(new, list) and (old or new):
        yield from _compare_named(path, old, new)
    elif old != new:
        yield f"{path}: {_shown(old)} → {_shown(new)}"


def _compare_named(path: str, old: list[Any], new: list[Any]) -> Iterator[str]:
    """Compare options or choices: by name, then their order, which users see."""
    before, after = {item["name"]: item for item in old}, {item["name"]: item for item in new}
    yield from (f"{path}: + {name}" for name in after if name not in before)
    yield from (f"{path}: - {name}" for name in before if name not in after)
    shared = [name for name in after if name in before]
    for name in shared:
        yield from _compare(f"{path}.{name}", before[name], after[name])
    if shared != [name for name in before if name in after]:
        yield f"{path}: order {', '.join(before)} → {', '.join(after)}"


def _named(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value)


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else "nothing" if value in (None, [], {}) else str(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 1]}…"
