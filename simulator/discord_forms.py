"""What Discord's own client lets a user choose and type: selects, and modals as they are submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ACTION_ROW, STRING_SELECT, TEXT_INPUT, LABEL = 1, 3, 4, 18
LONGEST_INPUT = 4000


def chosen(select: Mapping[str, Any], values: Sequence[str]) -> list[str]:
    """Return `values` if the select lets a user choose them, else raise `ValueError`."""
    name = select.get("custom_id")
    if select.get("type") == STRING_SELECT:
        offered = [option["value"] for option in select["options"]]
        if unknown := [value for value in values if value not in offered]:
            raise ValueError(f"{name} does not offer {', '.join(unknown)}")
    least, most = (1 if select.get(key) is None else int(select[key]) for key in ("min_values", "max_values"))
    if select.get("required") is False and not values:
        least = 0
    if not least <= len(values) <= most or len(set(values)) != len(values):
        raise ValueError(f"{name} takes {least} to {most} different values, not {len(values)}")
    return list(values)


def submitted(rows: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a modal's rows as they are sent, filled in; `ValueError` where the client would not send them."""
    known = {str(field.get("custom_id")) for row in rows for field in _fields(row)}
    if unknown := sorted(set(fields) - known):
        raise ValueError(f"the form has no field {', '.join(unknown)}")
    sent, number = [], 1
    for row in rows:
        filled = [_filled(field, fields, number + i + 1) for i, field in enumerate(_fields(row))]
        whole = {"component": filled[0]} if row.get("type") == LABEL else {"components": filled}
        if row.get("type") in (LABEL, ACTION_ROW):
            sent.append({"type": row["type"], "id": number, **whole})
        else:
            sent.append({"type": row.get("type"), "id": number})
        number += 1 + len(filled)
    return sent


def _fields(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if row.get("type") == LABEL:
        return [row["component"]]
    return list(row.get("components") or []) if row.get("type") == ACTION_ROW else []


def _filled(field: Mapping[str, Any], fields: Mapping[str, Any], number: int) -> dict[str, Any]:
    name = str(field.get("custom_id"))
    shown = {"type": field.get("type"), "id": number, "custom_id": name}
    if field.get("type") != TEXT_INPUT:
        preset = [option["value"] for option in field.get("options") or [] if option.get("default")]
        wanted = fields.get(name, preset)
        return {**shown, "values": chosen(field, [wanted] if isinstance(wanted, str) else list(wanted))}
    value = str(fields.get(name, field.get("value") or ""))
    required = field.get("required") is not False
    if not value and required:
        raise ValueError(f"{name} is required")
    least, most = field.get("min_length") or 0, field.get("max_length") or LONGEST_INPUT
    if value and not least <= len(value) <= most:
        raise ValueError(f"{name} takes {least} to {most} characters, not {len(value)}")
    return {**shown, "value": value}
