"""The components under messages: within Discord's limits, in both languages, and each pressed to where it should go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.commands import buttons
from app.commands.buttons import Action, Components, custom_id, read_custom_id
from app.commands.image import RATIOS
from app.discord.graphemes import utf16_length
from app.discord.wire import BUTTON_LABEL_MAX, BUTTONS_PER_ROW_MAX, CHOICES_MAX, CUSTOM_ID_MAX, ComponentType
from app.texts import Locale

JOB = USER = str(2**64 - 1)
"""The longest ids there are."""


def made(locale: Locale) -> dict[str, Components]:
    """Return everything the builders make."""
    return {
        "progress": buttons.stop_row(JOB, locale),
        "failure": buttons.retry_row(JOB, locale),
        "answer": buttons.answer_rows(JOB, USER, locale),
        "cut answer": buttons.answer_rows(JOB, USER, locale, cut=True),
        "picture": buttons.picture_rows(JOB, USER, locale, ratios=RATIOS),
        "large picture": buttons.picture_rows(JOB, USER, locale, ratios={}, vary=False, upscale=False),
    }


ACTIONS = {
    "progress": [Action.STOP],
    "failure": [Action.AGAIN],
    "answer": [Action.AGAIN, Action.DELETE],
    "cut answer": [Action.AGAIN, Action.CONTINUE, Action.DELETE],
    "picture": [Action.AGAIN, Action.VARY, Action.UPSCALE, Action.DELETE, Action.RATIO],
    "large picture": [Action.AGAIN, Action.DELETE],
}


def ids(components: Components) -> Iterator[str]:
    """Yield the custom id of each component in all rows."""
    for row in components:
        assert row["type"] == ComponentType.ACTION_ROW and 1 <= len(row["components"]) <= BUTTONS_PER_ROW_MAX
        yield from (component["custom_id"] for component in row["components"])


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("name", ACTIONS)
def test_each_message_has_its_buttons_within_limits(name: str, locale: Locale) -> None:
    """What a message offers is what it is for; no id is longer than Discord takes, and none stands twice."""
    components = made(locale)[name]
    found = list(ids(components))
    assert [read_custom_id(each)[0] for each in found] == ACTIONS[name]
    assert len(set(found)) == len(found) and all(len(each) <= CUSTOM_ID_MAX for each in found)
    for row in components:
        for component in row["components"]:
            label = component.get("label") or component["placeholder"]
            assert not label[0].isalnum(), "an emoji comes first"
            assert utf16_length(label) <= BUTTON_LABEL_MAX
            assert (component["type"] == ComponentType.STRING_SELECT) is ("options" in component)


def test_the_languages_differ() -> None:
    """No label was left in the other language."""
    for name, korean in made(Locale.KO).items():
        english = made(Locale.EN)[name]
        for first, second in zip(korean, english, strict=True):
            for one, other in zip(first["components"], second["components"], strict=True):
                assert one.get("label", one.get("placeholder")) != other.get("label", other.get("placeholder"))


def test_the_menu_offers_every_ratio() -> None:
    """A menu stands alone in its row, with values the command takes."""
    *_, row = made(Locale.KO)["picture"]
    (menu,) = row["components"]
    assert [option["value"] for option in menu["options"]] == list(RATIOS)
    assert len(menu["options"]) <= CHOICES_MAX


def test_a_custom_id_is_read_as_it_was_written() -> None:
    """The action and all that follows; what is none has no action of ours."""
    assert read_custom_id(custom_id(Action.DELETE, "1", "2")) == ("delete", "1:2")
    assert read_custom_id("x") == ("x", "")
    assert read_custom_id("") == ("", "")
