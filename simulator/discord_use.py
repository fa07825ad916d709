"""What Discord's own client would let a user type: a command's options against its registration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.discord_payloads import CONTEXTS, OPTION_ATTACHMENT, Standing

PYTHON_TYPES: dict[int, type | tuple[type, ...]] = {3: str, 4: int, 5: bool, 10: (int, float)}

ADMINISTRATOR = 1 << 3


def check_allowed(registered: Mapping[str, Any], standing: Standing) -> None:
    """Raise `ValueError` where the client would not show this command to the user at all."""
    name, contexts = registered["name"], registered.get("contexts")
    if contexts is not None and CONTEXTS[standing.place] not in contexts:
        raise ValueError(f"{name} is not offered in the place {standing.place}")
    if standing.place != "guild":
        return
    if registered.get("nsfw") and not standing.nsfw:
        raise ValueError(f"{name} is offered in age-restricted channels only")
    needed, held = registered.get("default_member_permissions"), int(standing.permissions)
    if needed is None or held & ADMINISTRATOR:
        return
    if int(needed) == 0 or held & int(needed) != int(needed):
        raise ValueError(f"{name} is not offered to users without the permissions {needed}")


def check_focus(registered: Mapping[str, Any], focused: str) -> None:
    """Raise `ValueError` unless the option, in whatever subcommand, is completed by the application."""
    for option in registered.get("options") or []:
        if option["name"] == focused and option.get("autocomplete"):
            return None
        if option["type"] in (1, 2):
            try:
                return check_focus({**option, "name": registered["name"]}, focused)
            except ValueError:
                continue
    raise ValueError(f"/{registered['name']} has no option {focused} that is completed while one types")


def check_use(registered: Mapping[str, Any], options: Mapping[str, Any], attached: set[str], *, partial: bool) -> None:
    """Raise `ValueError` where no user could send this; `partial` (autocomplete) forgives what is missing."""
    known = {option["name"]: option for option in registered.get("options", [])}
    if unknown := sorted((set(options) | attached) - set(known)):
        raise ValueError(f"/{registered['name']} has no option {', '.join(unknown)}")
    for name, option in known.items():
        if option["type"] in (1, 2):
            if isinstance(options.get(name), Mapping):
                check_use({**option, "name": f"{registered['name']} {name}"}, options[name], set(), partial=partial)
        elif option["type"] == OPTION_ATTACHMENT:
            if option.get("required") and name not in attached and not partial:
                raise ValueError(f"/{registered['name']} requires the file {name}")
        elif name in options:
            _check_value(option, options[name], partial)
        elif option.get("required") and not partial:
            raise ValueError(f"/{registered['name']} requires {name}")


def _check_value(option: Mapping[str, Any], value: Any, partial: bool) -> None:
    name, kind = option["name"], option["type"]
    wanted = PYTHON_TYPES.get(kind, str)
    if not isinstance(value, wanted) or (kind != 5 and isinstance(value, bool)):
        raise ValueError(f"{name} must be of type {kind}, not {type(value).__name__}")
    if partial:
        return
    if isinstance(value, str) and not option.get("min_length", 0) <= len(value) <= option.get("max_length", 6000):
        raise ValueError(f"{name} has a length of {len(value)}")
    if kind in (4, 10) and not option.get("min_value", value) <= value <= option.get("max_value", value):
        raise ValueError(f"{name} is out of range")
    if option.get("choices") and value not in [choice["value"] for choice in option["choices"]]:
        raise ValueError(f"{name} must be one of its choices")
