"""Just enough of PromQL to say which metrics an expression reads, and which labels it expects of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_NAME = re.compile(r"(?<![\w.$])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric that is read, and the labels that are matched: name and, for `=`, the value."""

    metric: str
    labels: tuple[tuple[str, str | None], ...] = ()


def selectors(expression: str) -> set[Selector]:
    """Return what an expression reads."""
    found = set()
    strings: list[str] = []

    def hide(match: re.Match[str]) -> str:
        strings.append(match.group()[1:-1])
        return f'"{len(strings) - 1}"'

    text = _RANGE.sub("", _STRING.sub(hide, expression))
    for metric, inside in _SELECTOR.findall(text):
        matchers = re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"(\d+)"', inside)
        labels = tuple((name, strings[int(n)] if operator == "=" else None) for name, operator, n in matchers)
        found.add(Selector(metric, labels))
    bare = _STRING.sub("", _GROUPING.sub("", _SELECTOR.sub("", text)))
    found |= {Selector(name) for name in _NAME.findall(bare) if name.lower() not in _WORDS}
    return found
