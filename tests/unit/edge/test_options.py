"""Every option of every command at its limits, and options no Discord client would send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.commands.base import JobCommand
from app.commands.registry import COMMANDS
from app.discord.answers import DEFERRED
from tests.unit.edge.kit import Bench, interaction, message_of

JOBS = [command for command in COMMANDS.values() if isinstance(command, JobCommand) and "options" in command.definition]
TEXT = {"채팅": "질문", "이미지": "설명", "비디오": "설명"}
"""The option of each command without which there is nothing to do."""


def good_options(command: str) -> dict[str, Any]:
    """Return the shortest value for the option that has to be there."""
    return {TEXT[command]: "가"} if command in TEXT else {}


def texts() -> Iterator[tuple[str, str, int]]:
    """Each command's text, with its greatest length."""
    for command in JOBS:
        for option in command.definition["options"]:
            if option["name"] == TEXT[command.name]:
                yield command.name, option["name"], option["max_length"]


def choices() -> Iterator[tuple[str, str, str]]:
    """Each choice of each option of the commands that become jobs."""
    for command in JOBS:
        for option in command.definition["options"]:
            for choice in option.get("choices", []):
                yield command.name, option["name"], choice["value"]


async def ask(command: str, options: Any) -> tuple[Bench, Any]:
    """Use a command on a fresh edge."""
    bench = Bench()
    listed = [{"name": n, "type": 3, "value": v} for n, v in options.items()] if isinstance(options, dict) else options
    return bench, await bench.post(interaction({"id": "1", "name": command, "type": 1, "options": listed}))


def test_there_is_something_to_try() -> None:
    """Three texts, six ratios and at least six styles: the lists below are not empty."""
    assert len(list(texts())) == 3
    assert len(list(choices())) >= 12


@pytest.mark.parametrize(("command", "name", "longest"), list(texts()))
@pytest.mark.parametrize("letter", ["가", "a", "🌊"])
async def test_a_text_at_its_limits(command: str, name: str, longest: int, letter: str) -> None:
    """One character and the longest text are accepted; one more is refused with the limit in the sentence."""
    for length in (1, longest):
        bench, reply = await ask(command, good_options(command) | {name: letter * length})
        assert reply == DEFERRED and len(bench.store.jobs) == 1
    bench, reply = await ask(command, good_options(command) | {name: letter * (longest + 1)})
    assert f"{longest:,}" in message_of(reply, ephemeral=True)
    assert bench.store.jobs == {}


@pytest.mark.parametrize(("command", "name", "value"), list(choices()))
async def test_each_choice_is_taken(command: str, name: str, value: str) -> None:
    """Every value Discord offers is accepted."""
    bench, reply = await ask(command, good_options(command) | {name: value})
    assert reply == DEFERRED and len(bench.store.jobs) == 1


@pytest.mark.parametrize(("command", "name"), [(command, name) for command, name, _ in texts()])
@pytest.mark.parametrize("value", ["", " ", "\n\t ", "\u3000", None, 5, 1.5, True, [], ["가"], {}, {"a": "가"}])
async def test_a_text_that_is_none(command: str, name: str, value: Any) -> None:
    """Empty, blank or of another type: a private refusal and no job."""
    bench, reply = await ask(command, good_options(command) | {name: value})
    message_of(reply, ephemeral=True)
    assert bench.store.jobs == {} and bench.notified == 0


@pytest.mark.parametrize("command", [command.name for command in JOBS])
@pytest.mark.parametrize("options", [None, [], {"prompt": "가"}, {"": "가"}])
async def test_a_required_option_that_is_missing(command: str, options: Any) -> None:
    """No option at all, or only others: a private refusal, or the form that asks for it, and no job."""
    bench, reply = await ask(command, options)
    if command == "채팅":
        assert reply.label == "form" and b'"type":9' in reply.body
    else:
        message_of(reply, ephemeral=True)
    assert bench.store.jobs == {}


@pytest.mark.parametrize("ratio", ["", "4:3", "1:1 ", None, 5, True, 1.5, [], ["1:1"], {}, {"1:1": 1}])
async def test_a_ratio_nobody_offers(ratio: Any) -> None:
    """Symptom: a list as ratio was answered with "something went wrong". Cause: it was looked up in a dict.
    Rule: an option of a wrong type is refused with the same sentence as a wrong value.
    """
    bench, reply = await ask("이미지", {"설명": "달", "비율": ratio})
    assert "21:9" in message_of(reply, ephemeral=True)
    assert bench.store.jobs == {}


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.text(max_size=3))


@given(
    st.sampled_from(sorted(COMMANDS)),
    st.dictionaries(st.sampled_from(["질문", "설명", "비율", "사용자", "x"]), _VALUES, max_size=4),
)
async def test_any_options_are_answered(command: str, options: dict[str, Any]) -> None:
    """Whatever the options are: deferred with one job, or one message or form without any."""
    bench, reply = await ask(command, options)
    if reply == DEFERRED:
        assert len(bench.store.jobs) == 1
        return
    assert reply.label in ("instant", "refused", "form")
    if reply.label != "form":
        message_of(reply)
    assert bench.store.jobs == {}
