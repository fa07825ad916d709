"""Takes the secrets out of what is logged, however deep they lie, and leaves what JSON can hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from app.redaction import MASK, redact

_SECRET_NAME = re.compile(r"(?i)(.*[_-])?(token|secret|password|authorization|signature|api[_-]?key|cookie)")

LARGEST_KNOWN = 80
"""Short texts come again and again: names, states, and each id in several lines."""

_LONGEST_ID = 20


class Mask:
    """Takes the secrets out of everything that is logged."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)
        self._known = lru_cache(maxsize=4096)(self._redacted)

    def fields(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Mask a line's fields."""
        return {name: self.value(name, value) for name, value in event.items()}

    def value(self, name: str, value: Any) -> Any:
        """Return what JSON can hold of `value`, redacted however deep it lies; unknown objects by their `repr`."""
        if type(value) is str:
            return MASK if names_secret(name) else self._text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._text(str(key)): self.value(str(key), part) for key, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(name, part) for part in value]
        if names_secret(name):
            return MASK
        if isinstance(value, bytes | bytearray):
            return self._text(value.decode("utf-8", "replace"))
        return self._text(str(value) if isinstance(value, str) else repr(value))

    def _text(self, text: str) -> str:
        if is_id(text):
            return text
        return self._known(text) if len(text) <= LARGEST_KNOWN else self._redacted(text)

    def _redacted(self, text: str) -> str:
        """Redact; half a surrogate pair would make the line unprintable, and logging would then print it raw."""
        return redact(text.encode("utf-8", "replace").decode(), self._secrets)


@lru_cache(maxsize=1024)
def names_secret(name: str) -> bool:
    """Return whether what stands under such a name is masked whatever it looks like."""
    return _SECRET_NAME.fullmatch(name) is not None


def is_id(text: str) -> bool:
    """Return whether these are digits of an id; no key or token is made of digits alone."""
    return len(text) <= _LONGEST_ID and text.isascii() and text.isdigit()
