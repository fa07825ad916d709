"""Text shown to Discord users, in Korean and English.

Every sentence a user can read is a `Text`; which of the two is shown follows the interaction's `locale`
(https://discord.com/developers/docs/reference#locales).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Locale(StrEnum):
    """A language Quartet speaks."""

    KO = "ko"
    EN = "en"


def locale_of(*codes: str | None) -> Locale:
    """Return the language for the first Discord locale code that is present; English for any but Korean."""
    for code in codes:
        if code:
            return Locale.KO if code == "ko" else Locale.EN
    return Locale.EN


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages; `{name}` fields are filled in by `format`."""

    ko: str
    en: str

    def to(self, locale: Locale) -> str:
        """Return the sentence in `locale`."""
        return self.ko if locale is Locale.KO else self.en

    def format(self, **values: object) -> Text:
        """Return the text with its `{name}` fields filled in, in both languages."""
        return Text(self.ko.format(**values), self.en.format(**values))
