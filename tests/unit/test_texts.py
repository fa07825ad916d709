"""What users read: in both languages, in one tone, and honest about cost."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from string import Formatter

import pytest

import app
from app import edge, errors, intake, presses
from app.commands import access, attachments, chat, derived, drawing, image, message_commands, options, video
from app.discord.graphemes import utf16_length
from app.discord.wire import CONTENT_MAX
from app.errors import QuartetError
from app.texts import Text
from app.worker import delivery, endings

HANGUL = re.compile("[가-힣]")
FORMAL = re.compile("습니다|합니다|됩니다|입니다|십시오|하라|한다\\.")
COST = {"ko": re.compile("비용|결제"), "en": re.compile(r"\bcosts?\b|\bpaid\b")}
FREE = {"ko": re.compile("비용은 들지 않았|비용 없이|비용이 들지 않"), "en": re.compile("cost nothing|costs nothing")}
TO_DO = {
    "ko": re.compile("주세요|다시 열려요|다시 쓸 수 있어요"),
    "en": re.compile("[Pp]lease|press the button|You can go on|you can use this again|[Tt]ry "),
}


def classes(of: type[QuartetError] = QuartetError) -> Iterator[type[QuartetError]]:
    """Yield a class and all beneath it."""
    yield of
    for beneath in of.__subclasses__():
        if beneath.__module__.startswith("app."):
            yield from classes(beneath)


ERRORS = {found.__name__: found for found in classes() if found.__module__ == errors.__name__}

SURELY_FREE = {
    "DayExhausted", "AttachmentError", "AttachmentUnavailable", "AttachmentRefused", "StoreUnavailable",
    "ProviderRateLimited", "ProviderQuotaExhausted", "ProviderKeyRejected", "ProviderBadInput", "ProviderNotReached",
    "NoKeyAvailable", "PromptFlagged", "ModerationUnavailable",
}  # fmt: skip
"""Nothing was sent, or what was sent was turned away. After any other error something may have been paid for."""

REFUSALS = {
    "queue full": intake._FULL,
    "cooldown": intake._COOLDOWN,
    "day": intake._DAY_EXHAUSTED,
    "quota": intake._QUOTA,
    "gone": intake.GONE,
    "unknown command": edge._UNKNOWN_COMMAND,
    "unknown type": edge._UNKNOWN_TYPE,
    "unknown component": presses.UNKNOWN_COMPONENT,
    "too slow": presses.TOO_SLOW,
    "access": access.NOBODY_ELSE,
    "place": access.NOT_HERE,
    "blocked": access.BLOCKED,
    "nothing to read": message_commands._EMPTY,
    "no picture": derived._NO_PICTURE,
    "no choice": derived._NO_CHOICE,
    "no text": derived._NO_TEXT,
    "no file": attachments._NAME_LOST,
    "no question": chat._EMPTY,
    "long question": chat._TOO_LONG,
    "no picture's description": image._EMPTY,
    "long picture's description": image._TOO_LONG,
    "no video's description": video._EMPTY,
    "long video's description": video._TOO_LONG,
    "no such model": options._NO_SUCH_MODEL,
    "only one provider": drawing._ONLY_ONE,
    "large enough": drawing._NOT_LARGER,
}
"""What is said instead of accepting something."""

ENDINGS = {
    "crashed": endings.CRASHED,
    "stranded": endings._STRANDED,
    "expired": endings._EXPIRED,
    "refused by Discord": delivery._REFUSED_BY_DISCORD,
}
"""What is said where a job ends without its answer."""

SENTENCES = {**{name: found.sentence for name, found in ERRORS.items()}, **REFUSALS, **ENDINGS}


def everything() -> Mapping[str, Text]:
    """Return every text that stands in a module of the product, by where it stands."""
    found: dict[str, Text] = {}
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name != "app.__main__":
            for name, value in vars(importlib.import_module(module.name)).items():
                found |= dict(_texts(f"{module.name}.{name}", value))
    return found


def _texts(where: str, value: object) -> Iterator[tuple[str, Text]]:
    match value:
        case Text():
            yield where, value
        case dict():
            for key, inner in value.items():
                yield from _texts(f"{where}[{key}]", inner)
        case tuple() | list():
            for index, inner in enumerate(value):
                yield from _texts(f"{where}[{index}]", inner)


TEXTS = everything()


def fields(text: str) -> set[str]:
    """Return the names of a text's fields."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_there_are_many() -> None:
    """The walk below finds what users read."""
    assert len(TEXTS) > 200


@pytest.mark.parametrize("where", TEXTS)
def test_a_text_says_the_same_in_both_languages(where: str) -> None:
    """The same fields, no Korean in the English one, one polite tone in the Korean one, and both fit into a message."""
    text = TEXTS[where]
    assert fields(text.ko) == fields(text.en)
    assert bool(text.ko.strip()) == bool(text.en.strip())
    english = re.sub(r"answer\.md|`/[^`]*`", "", text.en)
    assert not HANGUL.search(english), english
    assert not FORMAL.search(text.ko), text.ko
    assert max(utf16_length(text.ko), utf16_length(text.en)) <= CONTENT_MAX


@pytest.mark.parametrize("name", SENTENCES)
@pytest.mark.parametrize("language", ["ko", "en"])
def test_an_error_says_what_it_cost_and_what_to_do(name: str, language: str) -> None:
    """In two sentences at the most, the Korean ones ending politely."""
    sentence: str = getattr(SENTENCES[name], language)
    assert COST[language].search(sentence), sentence
    assert TO_DO[language].search(sentence), sentence
    parts = [part for part in re.split(r"(?<=[.!?])\s+", sentence) if part]
    assert len(parts) <= 2, parts
    if language == "ko":
        assert all(re.search(r"요[.!]?$", part) for part in parts), parts


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("language", ["ko", "en"])
def test_only_what_is_free_is_called_so(name: str, language: str) -> None:
    """Nobody is told that it cost nothing where that is not known."""
    sentence: str = getattr(ERRORS[name].sentence, language)
    inherited = "sentence" not in vars(ERRORS[name])
    if not inherited:
        assert bool(FREE[language].search(sentence)) is (name in SURELY_FREE)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_free(name: str) -> None:
    """What is not accepted is not paid for, and says so."""
    assert COST["ko"].search(REFUSALS[name].ko) and FREE["en"].search(REFUSALS[name].en)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Every class of the file is named in its first screen, and nothing else is."""
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) | {"QuartetError"}
    assert drawn == set(ERRORS)
