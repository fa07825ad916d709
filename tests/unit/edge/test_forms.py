"""Forms, completed options, private answers, message commands and who is let in: the edge's part in each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.commands.base import InstantContext, JobCommand
from app.commands.derived import form_command, form_id
from app.commands.registry import COMMANDS, offering
from app.discord import replies
from app.discord.answers import DEFERRED, DEFERRED_PRIVATE, NO_CHOICES, PONG
from app.discord.models import Interaction, parse
from app.discord.wire import CUSTOM_ID_MAX
from app.texts import Text
from tests.unit.edge.kit import USER, Bench, Payload, interaction, message_of, press, use

CHAT = COMMANDS["채팅"]
assert isinstance(CHAT, JobCommand)


def opens_form(interaction: Interaction) -> bytes | None:
    """Ask for a text where none was given."""
    if "질문" in interaction.options:
        return None
    return replies.modal(form_id(interaction), "질문", [replies.text_input("질문", "무엇이 궁금한가요?")])


def many(context: InstantContext) -> Sequence[tuple[str, str]]:
    """More choices than Discord takes."""
    return [(f"{context.interaction.options['모델']}-{n}", str(n)) for n in range(40)]


def breaks(context: InstantContext) -> Sequence[tuple[str, str]]:
    """Fail."""
    raise ZeroDivisionError


def bench_with(**fields: Any) -> Bench:
    """Return an edge whose `/채팅` opens a form if it is given no question, with these fields replaced."""
    return Bench(commands={**COMMANDS, "채팅": replace(CHAT, **{"form": opens_form, **fields})})


def submit(custom_id: str, fields: dict[str, str], **more: Any) -> Payload:
    """Return a filled-in form as Discord sends it, each field in its label."""
    components = [
        {"type": 18, "component": {"type": 4, "custom_id": name, "value": value}} for name, value in fields.items()
    ]
    return interaction({"custom_id": custom_id, "components": components}, **{"type": 5, **more})


def typing(command: str, value: str = "바") -> Payload:
    """Return what Discord sends while somebody types a model's name."""
    option = {"name": "모델", "type": 3, "value": value, "focused": True}
    return interaction({"id": "1", "name": command, "type": 1, "options": [option]}, type=4)


class TestForms:
    async def test_a_command_without_its_text_opens_one(self) -> None:
        """A type 9, and no job yet."""
        bench = bench_with()
        reply = await bench.ask("채팅")
        body = json.loads(reply.body)
        assert (reply.label, body["type"], body["data"]["custom_id"]) == ("form", 9, "form:채팅")
        assert bench.store.jobs == {}
        assert await bench.ask("채팅", {"질문": "왜?"}) == DEFERRED

    async def test_what_was_entered_is_the_command(self) -> None:
        """The job is the command with the field as option: of the form's own id, token and user."""
        bench = bench_with()
        assert await bench.post(submit("form:채팅", {"질문": "긴 글\n둘째 줄"})) == DEFERRED
        (job,) = bench.store.jobs.values()
        asked = parse(json.loads(job.payload))
        assert (job.id, job.kind, job.user_id, job.repeats) == ("1300000000000000001", "chat", USER, "")
        assert (asked.type, asked.command, asked.token) == (2, "채팅", "interaction-token")
        assert asked.options == {"질문": "긴 글\n둘째 줄"}
        assert asked.derived == {"action": "form"}

    async def test_what_was_chosen_before_comes_with_it(self) -> None:
        """Symptom: who asked for a private answer and then filled in the form was answered publicly. Cause: Discord
        forgets the command's options when a form answers it. Rule: the form carries them.
        """
        bench = bench_with()
        options = [{"name": "비공개", "type": 5, "value": True}, {"name": "모델", "type": 3, "value": "small"}]
        opened = json.loads((await bench.post(interaction({"id": "1", "name": "채팅", "options": options}))).body)
        assert await bench.post(submit(opened["data"]["custom_id"], {"질문": "왜?"}, id="5")) == DEFERRED_PRIVATE
        (job,) = bench.store.jobs.values()
        assert parse(json.loads(job.payload)).options == {"비공개": True, "모델": "small", "질문": "왜?"}

    @pytest.mark.parametrize("fields", [{}, {"질문": ""}, {"질문": "가" * 6001}, {"다른": "것"}])
    async def test_what_the_command_refuses(self, fields: dict[str, str]) -> None:
        """The same sentence as for the command, only for the user; a submitted form opens no other."""
        bench = bench_with()
        message_of(await bench.post(submit("form:채팅", fields)), ephemeral=True)
        assert bench.store.jobs == {}

    @pytest.mark.parametrize(
        "custom_id", ["form:", "form:없는명령", "form:핑", "form", "forms:채팅", "again:채팅", "채팅"]
    )
    async def test_a_form_of_nothing(self, custom_id: str) -> None:
        """No command, or one that takes no form: a private sentence."""
        bench = bench_with()
        message_of(await bench.post(submit(custom_id, {"질문": "왜?"})), ephemeral=True)
        assert bench.store.jobs == {}

    @pytest.mark.parametrize("packed", ["{", "[]", "5", "[" * 60, '{"비공개":5,"모델":null}', '{"질문":[]}'])
    async def test_carried_nonsense_is_left_out(self, packed: str) -> None:
        """What we did not write does no harm: the fields count."""
        bench = bench_with()
        assert await bench.post(submit(f"form:채팅:{packed}", {"질문": "왜?"})) == DEFERRED
        (job,) = bench.store.jobs.values()
        assert parse(json.loads(job.payload)).options == {"질문": "왜?"}


@given(
    st.dictionaries(
        st.sampled_from(["비공개", "모델", "x", "첨부"]),
        st.booleans() | st.text(max_size=120) | st.integers(),
        max_size=4,
    )
)
def test_a_forms_id_fits_and_keeps_every_switch(options: dict[str, Any]) -> None:
    """At most 100 characters, the command's name in it, and no switch given up for a text."""
    listed = [{"name": name, "value": value} for name, value in options.items()]
    asked = parse(interaction({"id": "1", "name": "채팅", "options": listed}))
    made = form_id(asked)
    assert 1 <= len(made) <= CUSTOM_ID_MAX and form_command(made) == "채팅"
    carried = json.loads(made.removeprefix("form:채팅").removeprefix(":") or "{}")
    assert carried.items() <= options.items()
    assert {name for name, value in options.items() if isinstance(value, bool)} <= set(carried)


class TestCompletion:
    async def test_the_command_completes_from_memory(self) -> None:
        """At most 25 choices, made of what was typed."""
        reply = await bench_with(autocomplete=many).post(typing("채팅"))
        body = json.loads(reply.body)
        assert body["type"] == 8 and len(body["data"]["choices"]) == 25
        assert body["data"]["choices"][0] == {"name": "바-0", "value": "0"}

    @pytest.mark.parametrize(("typed", "models"), [("", ["small", "large"]), ("LAR", ["large"]), ("x", [])])
    async def test_models_are_those_the_operator_offers(self, typed: str, models: list[str]) -> None:
        """Those that contain what was typed."""
        body = json.loads((await Bench().post(typing("채팅", typed))).body)
        assert [choice["value"] for choice in body["data"]["choices"]] == models

    async def test_whatever_goes_wrong_is_an_empty_list(self) -> None:
        """Discord takes no sentence while somebody types, whether it breaks or they are not let in."""
        assert await bench_with(autocomplete=breaks).post(typing("채팅")) == NO_CHOICES
        assert await Bench(refuse=lambda _: Text("나가세요", "Go away")).post(typing("채팅")) == NO_CHOICES


class TestPrivate:
    async def test_by_option_and_by_preference(self) -> None:
        """The option beats the preference; every copy of an interaction is deferred the same way."""
        bench = Bench()
        private, public = ({"name": "비공개", "type": 5, "value": value} for value in (True, False))
        question = {"name": "질문", "type": 3, "value": "왜?"}
        for number, (preferred, options, expected) in enumerate(
            [
                (False, [question], DEFERRED),
                (False, [question, private], DEFERRED_PRIVATE),
                (True, [question], DEFERRED_PRIVATE),
                (True, [question, public], DEFERRED),
            ]
        ):
            await bench.users.choose(USER, private=preferred)
            asked = interaction({"id": "1", "name": "채팅", "options": options}, id=str(100 + number))
            assert [await bench.post(asked), await bench.post(asked)] == [expected, expected]
        assert json.loads(DEFERRED_PRIVATE.body) == {"type": 5, "data": {"flags": 64}}
        assert len(bench.store.jobs) == 4

    async def test_what_was_decided_is_recorded(self) -> None:
        """Symptom: a habit changed while a question waited let private turns go along with an answer that all saw.
        Rule: the job itself says what the deferral said.
        """
        bench = Bench()
        await bench.users.choose(USER, private=True)
        assert await bench.ask("채팅", {"질문": "왜?"}) == DEFERRED_PRIVATE
        (job,) = bench.store.jobs.values()
        recorded = parse(json.loads(job.payload))
        assert recorded.options == {"질문": "왜?", "비공개": True}
        assert recorded.token == "interaction-token"

    async def test_a_chosen_language_holds_for_every_sentence(self) -> None:
        """Whatever Discord says the client speaks."""
        bench = Bench()
        await bench.users.choose(USER, language="en")
        assert "unknown" in message_of(await bench.ask("없는명령", locale="ko"))
        await bench.users.choose(USER, language="ko")
        assert "모르는 명령" in message_of(await bench.ask("없는명령", locale="en-US"))


class TestMessageCommands:
    @pytest.mark.parametrize("name", ["요약", "번역", "설명"])
    async def test_are_recorded_like_others(self, name: str) -> None:
        """Private jobs that keep the message they are about."""
        bench = Bench()
        message = {"id": "9", "content": "긴 이야기", "author": {"id": "8"}}
        data = {"id": "1", "name": name, "type": 3, "target_id": "9", "resolved": {"messages": {"9": message}}}
        assert await bench.post(interaction(data)) == DEFERRED_PRIVATE
        (job,) = bench.store.jobs.values()
        assert parse(json.loads(job.payload)).target_message == message

    @pytest.mark.parametrize("data", [{}, {"target_id": "9"}, {"target_id": [], "resolved": {"messages": []}}])
    async def test_without_their_message(self, data: dict[str, Any]) -> None:
        """A private sentence and no job."""
        bench = Bench()
        message_of(await bench.post(interaction({"id": "1", "name": "요약", "type": 3, **data})), ephemeral=True)
        assert bench.store.jobs == {}


class TestAccess:
    async def test_who_is_refused_hears_why_and_nothing_is_done(self) -> None:
        """Commands, presses and forms alike; PING is Discord's own."""
        refused: list[str] = []

        def refuse(interaction: Interaction) -> Text | None:
            refused.append(interaction.user_id)
            return Text("나가세요", "Go away")

        bench = Bench(refuse=refuse)
        for payload in (
            use("채팅", {"질문": "왜?"}),
            use("핑"),
            press(f"delete:{USER}:5"),
            submit("form:채팅", {"질문": "왜?"}),
        ):
            assert message_of(await bench.post(payload), ephemeral=True) == "나가세요"
        assert refused == [USER] * 4
        assert bench.store.jobs == {} and bench.remover.asked == []
        assert await bench.post({"type": 1}) == PONG


class TestModels:
    @pytest.mark.parametrize("given", [{"질문": "왜?"}, {}], ids=["asked", "before the form opens"])
    async def test_a_model_that_is_not_offered_is_refused(self, given: dict[str, str]) -> None:
        """Symptom: the operator's own model answered in the place of the one that was named. Now its user hears which
        there are, before a form is filled in for nothing.
        """
        bench = Bench(commands=offering(("small", "large")))
        said = message_of(await bench.ask("채팅", {**given, "모델": "huge"}), ephemeral=True)
        assert "`small`, `large`" in said and "비용" in said
        assert bench.store.jobs == {}

    async def test_a_model_that_is_offered_is_taken(self) -> None:
        """By option, and carried by the form."""
        bench = Bench(commands=offering(("small", "large")))
        assert await bench.ask("채팅", {"질문": "왜?", "모델": "large"}) == DEFERRED
        assert (await bench.ask("채팅", {"모델": "large"})).label == "form"
