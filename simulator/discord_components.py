"""Rules of message components and modals. Source: Discord's documentation, components/reference (August 2026)."""

from __future__ import annotations

from typing import Any

from simulator.discord_errors import Faultfinder

ACTION_ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
SECTION, TEXT_DISPLAY, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER, LABEL = 9, 10, 11, 12, 13, 14, 17, 18
SELECTS = (3, 5, 6, 7, 8)
SELECT_DEFAULTS = {"min_values": 1, "max_values": 1, "disabled": False}
V2_TOP_LEVEL = (ACTION_ROW, SECTION, TEXT_DISPLAY, GALLERY, FILE, SEPARATOR, CONTAINER)
FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 19, 21, 22, 23
IN_LABELS = (TEXT_INPUT, *SELECTS, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX)
MAX_INPUT = 4000
LINK_STYLE, PREMIUM_STYLE = 5, 6


class _Seen:
    """Custom ids and the count of components, over one whole message."""

    def __init__(self) -> None:
        self.custom_ids: set[str] = set()
        self.count = 0


def check_components(components: Any, faults: Faultfinder, path: str, *, v2: bool) -> None:
    """Note everything wrong with a message's components."""
    if components is None:
        return
    if not isinstance(components, list):
        faults.wrong_type(path, "a list")
        return
    if not v2 and len(components) > 5:
        faults.add(path, "BASE_TYPE_MAX_LENGTH", "Must be 5 or fewer in length.")
    seen = _Seen()
    for i, component in enumerate(components):
        allowed = V2_TOP_LEVEL if v2 else (ACTION_ROW,)
        kind = component.get("type") if isinstance(component, dict) else None
        if kind not in allowed:
            faults.choice(f"{path}.{i}.type", kind, allowed)
            continue
        _check_one(component, faults, f"{path}.{i}", seen)
    if seen.count > 40:
        faults.add(path, "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "The total number of components is limited to 40")


def _check_one(component: dict[str, Any], faults: Faultfinder, path: str, seen: _Seen) -> None:
    seen.count += 1
    kind = component.get("type")
    if kind == ACTION_ROW:
        _check_row(component, faults, path, seen)
    elif kind == BUTTON:
        _check_button(component, faults, path, seen)
    elif kind in SELECTS:
        _check_select(component, faults, path, seen)
    elif kind == TEXT_DISPLAY:
        if not isinstance(component.get("content"), str) or not component["content"]:
            faults.required(f"{path}.content")
    elif kind in (SECTION, CONTAINER):
        for i, child in enumerate(_listed(component.get("components"))):
            if isinstance(child, dict):
                _check_one(child, faults, f"{path}.components.{i}", seen)
    elif kind == GALLERY and not 1 <= len(_listed(component.get("items"))) <= 10:
        faults.add(f"{path}.items", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 10 in length.")


def _check_row(row: dict[str, Any], faults: Faultfinder, path: str, seen: _Seen) -> None:
    children = row.get("components")
    if not isinstance(children, list) or not 1 <= len(children) <= 5:
        faults.add(f"{path}.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        return
    kinds = [child.get("type") if isinstance(child, dict) else None for child in children]
    if any(kind in SELECTS for kind in kinds) and len(children) > 1:
        faults.add(f"{path}.components", "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                   "The specified component exceeds the maximum width")  # fmt: skip
    for i, (child, kind) in enumerate(zip(children, kinds, strict=True)):
        if kind != BUTTON and kind not in SELECTS:
            faults.choice(f"{path}.components.{i}.type", kind, (BUTTON, *SELECTS))
        else:
            _check_one(child, faults, f"{path}.components.{i}", seen)


def _check_button(button: dict[str, Any], faults: Faultfinder, path: str, seen: _Seen) -> None:
    style = button.get("style")
    if style not in (1, 2, 3, 4, LINK_STYLE, PREMIUM_STYLE):
        faults.choice(f"{path}.style", style, (1, 2, 3, 4, 5, 6))
    if style == LINK_STYLE:
        url = button.get("url")
        if not isinstance(url, str) or not url.startswith(("http://", "https://", "discord://")) or len(url) > 512:
            faults.add(f"{path}.url", "URL_TYPE_INVALID_URL", "Not a well formed URL.")
        if button.get("custom_id"):
            faults.add(path, "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
                       "A custom id and url cannot both be specified")  # fmt: skip
    elif style != PREMIUM_STYLE:
        _check_custom_id(button, faults, path, seen)
    label = button.get("label")
    if label is not None:
        faults.length(f"{path}.label", str(label), 80)
    if not label and not button.get("emoji") and style != PREMIUM_STYLE:
        faults.add(path, "BUTTON_COMPONENT_INVALID", "A button must have a label or an emoji")


def _check_select(select: dict[str, Any], faults: Faultfinder, path: str, seen: _Seen) -> None:
    _check_custom_id(select, faults, path, seen)
    faults.length(f"{path}.placeholder", str(select.get("placeholder") or ""), 150)
    for name, low in (("min_values", 0), ("max_values", 1)):
        value = select.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not low <= value <= 25):
            faults.add(f"{path}.{name}", "NUMBER_TYPE_MAX", f"int value should be between {low} and 25.")
    if select.get("type") != STRING_SELECT:
        return
    options = select.get("options")
    if not isinstance(options, list) or not 1 <= len(options) <= 25:
        faults.add(f"{path}.options", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.")
        return
    values = [str(option.get("value")) for option in options if isinstance(option, dict)]
    if len(set(values)) != len(options):
        faults.add(f"{path}.options", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
                   "The specified option value is already used")  # fmt: skip
    for i, option in enumerate(options):
        if not isinstance(option, dict):
            continue
        for name in ("label", "value"):
            faults.length(f"{path}.options.{i}.{name}", str(option.get(name) or ""), 100, 1)
        faults.length(f"{path}.options.{i}.description", str(option.get("description") or ""), 100)


def _check_custom_id(component: dict[str, Any], faults: Faultfinder, path: str, seen: _Seen) -> None:
    custom_id = component.get("custom_id")
    if not isinstance(custom_id, str):
        faults.required(f"{path}.custom_id")
        return
    faults.length(f"{path}.custom_id", custom_id, 100, 1)
    if custom_id in seen.custom_ids:
        faults.add(f"{path}.custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
    seen.custom_ids.add(custom_id)


def numbered(components: list[dict[str, Any]], start: int = 1) -> tuple[list[dict[str, Any]], int]:
    """Return the components as Discord hands them back, with an `id` each and defaults, and the next free number."""
    result = []
    for component in components:
        defaults = SELECT_DEFAULTS if component.get("type") in SELECTS else {}
        shown = {**defaults, **component, "id": component.get("id") or start}
        start += 1
        if isinstance(component.get("components"), list):
            shown["components"], start = numbered(component["components"], start)
        result.append(shown)
    return result, start


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def find_component(components: list[dict[str, Any]], custom_id: str) -> dict[str, Any] | None:
    """Return the component with this custom id, at any depth."""
    for component in components:
        if component.get("custom_id") == custom_id:
            return component
        found = find_component(component.get("components") or [], custom_id)
        if found is not None:
            return found
    return None


def find_action(components: list[dict[str, Any]], action: str) -> str | None:
    """Return the first custom id that is `action` or begins with it and a colon, at any depth."""
    for component in components:
        custom_id = str(component.get("custom_id") or "")
        if custom_id.partition(":")[0] == action and custom_id:
            return custom_id
        found = find_action(component.get("components") or [], action)
        if found is not None:
            return found
    return None


def check_modal(data: dict[str, Any], faults: Faultfinder, path: str = "data") -> None:
    """Note everything wrong with a modal (response type 9)."""
    seen = _Seen()
    faults.length(f"{path}.custom_id", str(data.get("custom_id") or ""), 100, 1)
    faults.length(f"{path}.title", str(data.get("title") or ""), 45, 1)
    rows = data.get("components")
    if not isinstance(rows, list) or not 1 <= len(rows) <= 5:
        faults.add(f"{path}.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
        return
    for i, row in enumerate(rows):
        at = f"{path}.components.{i}"
        kind = row.get("type") if isinstance(row, dict) else None
        if kind == LABEL:
            faults.length(f"{at}.label", str(row.get("label") or ""), 45, 1)
            if row.get("description") is not None:
                faults.length(f"{at}.description", str(row["description"]), 100, 1)
            _check_modal_field(row.get("component"), faults, f"{at}.component", seen, IN_LABELS)
        elif kind == ACTION_ROW:
            _check_modal_row(row, faults, at, seen)
        elif kind == TEXT_DISPLAY:
            _check_one(row, faults, at, seen)
        else:
            faults.choice(f"{at}.type", kind, (ACTION_ROW, TEXT_DISPLAY, LABEL))


def _check_modal_row(row: dict[str, Any], faults: Faultfinder, path: str, seen: _Seen) -> None:
    """Check the older form of a modal's row: one text input, which carries its own label."""
    children = _listed(row.get("components"))
    if len(children) != 1:
        faults.add(f"{path}.components", "BASE_TYPE_BAD_LENGTH", "Must be 1 in length.")
        return
    _check_modal_field(children[0], faults, f"{path}.components.0", seen, (TEXT_INPUT,))
    if isinstance(children[0], dict):
        faults.length(f"{path}.components.0.label", str(children[0].get("label") or ""), 45, 1)


def _check_modal_field(
    component: Any, faults: Faultfinder, path: str, seen: _Seen, allowed: tuple[int, ...]
) -> None:  # fmt: skip
    kind = component.get("type") if isinstance(component, dict) else None
    if kind not in allowed:
        faults.choice(f"{path}.type", kind, allowed)
    elif kind == TEXT_INPUT:
        _check_custom_id(component, faults, path, seen)
        _check_text_input(component, faults, path)
    elif kind in SELECTS:
        _check_select(component, faults, path, seen)
    else:
        _check_custom_id(component, faults, path, seen)


def _check_text_input(field: dict[str, Any], faults: Faultfinder, path: str) -> None:
    if field.get("style") not in (1, 2):
        faults.choice(f"{path}.style", field.get("style"), (1, 2))
    faults.length(f"{path}.placeholder", str(field.get("placeholder") or ""), 100)
    faults.length(f"{path}.value", str(field.get("value") or ""), MAX_INPUT)
    least, most = field.get("min_length") or 0, field.get("max_length") or MAX_INPUT
    for name, value, low in (("min_length", least, 0), ("max_length", most, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= MAX_INPUT:
            faults.add(f"{path}.{name}", "NUMBER_TYPE_MAX", f"int value should be between {low} and {MAX_INPUT}.")
            return
    if least > most:
        faults.add(f"{path}.min_length", "BASE_TYPE_BAD_LENGTH", "min_length is greater than max_length.")
    if field.get("required") is not None and not isinstance(field["required"], bool):
        faults.wrong_type(f"{path}.required", "a boolean")
