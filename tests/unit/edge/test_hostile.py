"""Signed but meaningless: 400 with what was expected, or a sentence for the user; never a 500, never a job."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.commands.buttons import Action
from app.commands.registry import COMMANDS
from app.discord.answers import DEFERRED, PONG
from app.jobs.store import RepeatableJob
from tests.unit.edge.kit import USER, Bench, Payload, interaction, message_of, use

ASK = use("채팅", {"질문": "왜?"})


def raw(**fields: str) -> bytes:
    """Return a good interaction in which the given fields hold these pieces of JSON, as they are written."""
    parts = {name: json.dumps(value) for name, value in ASK.items()} | fields
    return ("{" + ",".join(f'"{name}":{text}' for name, text in parts.items()) + "}").encode("utf-8", "surrogatepass")


MEANINGLESS = {
    "nothing": b"",
    "a brace": b"{",
    "not UTF-8": b'{"type":2,"id":"\xff\xfe"}',
    "UTF-16": json.dumps(ASK).encode("utf-16"),
    "a mark before it": b"\xef\xbb\xbf" + raw(),
    "something after it": raw() + b"{}",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep inside": raw(data="[" * 100_000 + "]" * 100_000),
    "a list": b"[]",
    "a list of it": b"[" + raw() + b"]",
    "a number": b"2",
    "a text": b'"type"',
    "null": b"null",
    "true": b"true",
    "NaN": b"NaN",
    "no type": b'{"id":"1"}',
    "a type that is true": raw(type="true"),
    "a text as type": raw(type='"2"'),
    "a float as type": raw(type="2.0"),
    "NaN as type": raw(type="NaN"),
    "infinity as type": raw(type="1e999"),
    "a list as type": raw(type="[2]"),
    "null as type": raw(type="null"),
    "a type without end": raw(type="9" * 5000),
    "an id without end": raw(id="1" * 5000),
    "a number as id": raw(id="1300000000000000001"),
    "a float as id": raw(id="1.3e18"),
    "no id": raw(id="null"),
    "an empty id": raw(id='""'),
    "a long id": raw(id='"' + "1" * 21 + '"'),
    "a negative id": raw(id='"-1"'),
    "other digits": raw(id='"１２"'),
    "a number as token": raw(token="5"),
    "no token": raw(token="null"),
    "an empty token": raw(token='""'),
    "a number as application": raw(application_id="1"),
    "no member": raw(member="null"),
    "no user": raw(member="{}"),
    "a list as user": raw(member='{"user":[]}'),
    "a number as member": raw(member="5"),
    "a number as user id": raw(member='{"user":{"id":5}}'),
    "no user id": raw(member='{"user":{}}'),
    "no name": raw(data="{}"),
    "a number as name": raw(data='{"name":5}'),
    "an empty name": raw(data='{"name":""}'),
    "no data": raw(data="null"),
    "a list as data": raw(data="[]"),
    "options that are a text": raw(data='{"name":"채팅","options":"x"}'),
    "an option that is none": raw(data='{"name":"채팅","options":[5]}'),
    "half a pair": raw(token='"\\ud800"'),
    "half a pair, raw": raw(token='"\ud800"'),
    "a control": b'{"type":2,"token":"\x01"}',
    "a comma too many": b'{"type":1,}',
    "a later type": raw()[:-1] + b',"type":"2"}',
    "single quotes": b"{'type':1}",
    "a comment": b'{"type":1/**/}',
}


@pytest.mark.parametrize("body", MEANINGLESS.values(), ids=MEANINGLESS)
async def test_signed_but_meaningless_is_400(body: bytes) -> None:
    """The answer says what was expected, in JSON, and repeats nothing of what came."""
    bench = Bench()
    reply = await bench.post(body)
    assert reply.status == 400 and reply.label == "malformed"
    told = json.loads(reply.body)
    assert list(told) == ["error"] and told["error"].startswith("not an interaction: ") and len(told["error"]) < 120
    assert bench.store.jobs == {} and bench.notified == 0


async def test_of_two_fields_of_one_name_the_last_counts() -> None:
    """As for the worker, which reads the same bytes again: the user it finds is the one that was recorded."""
    bench = Bench()
    body = raw()[:-1] + b',"member":{"user":{"id":"7"}}}'
    assert await bench.post(body) == DEFERRED
    assert [job.user_id for job in bench.store.jobs.values()] == ["7"]
    assert await bench.post(b'{"type":2,"type":1}') == PONG


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 4000, "-0", "1e-999"])
async def test_odd_numbers_where_nobody_looks(number: str) -> None:
    """They do no harm beside what is needed."""
    bench = Bench()
    assert await bench.post(raw(version=number, entitlements=f"[{number}]")) == DEFERRED


async def test_a_great_payload_is_an_interaction_like_any_other() -> None:
    """Ten thousand unknown fields and a resolved object of half a mebibyte."""
    bench = Bench()
    many: Payload = {f"field{n}": [n] * 3 for n in range(10_000)}
    many |= copy.deepcopy(ASK)
    many["data"]["resolved"] = {"users": {str(n): {"bio": "x" * 500} for n in range(1000)}}
    assert await bench.post(many) == DEFERRED


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_FIELDS = ["id", "application_id", "type", "token", "member", "user", "data", "locale", "guild_id", "channel_id"]


async def outcome(body: bytes) -> None:
    """Send a signed body: whatever it is, one of the documented answers comes, and a job only with a deferral."""
    bench = Bench()
    reply = await bench.post(body)
    assert reply.status in (200, 400)
    kind = json.loads(reply.body).get("type")
    assert (reply.status, kind) in {(400, None), (200, 1), (200, 4), (200, 5), (200, 8), (200, 9)}
    assert len(bench.store.jobs) == (1 if kind == 5 else 0)
    if kind == 4:
        message_of(reply)
        assert reply.label != "failed"


@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=3))
@settings(max_examples=300, deadline=None)
async def test_any_values_in_its_fields(fields: dict[str, Any]) -> None:
    """Nothing a field holds makes the edge fail."""
    await outcome(json.dumps(ASK | fields).encode())


@given(st.binary(max_size=300) | _JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200, deadline=None)
async def test_any_bytes_at_all(body: bytes) -> None:
    """Nor does anything else that is signed."""
    await outcome(body)


@given(st.data())
@settings(max_examples=200, deadline=None)
async def test_a_good_body_with_a_byte_changed(data: st.DataObject) -> None:
    """Cut, changed or doubled anywhere."""
    body = json.dumps(ASK, ensure_ascii=False).encode()
    place = data.draw(st.integers(0, len(body) - 1))
    byte = bytes([data.draw(st.integers(0, 255))])
    for changed in (body[:place], body[:place] + byte + body[place + 1 :], body[:place] + byte + body[place:]):
        await outcome(changed)


_IDS = st.sampled_from(
    [
        f"{action}:{argument}"
        for action in [*Action, "", "x"]
        for argument in ["", "1", f"{USER}:1", f"clear_all:{USER}", "채팅", '채팅:{"비공개":true}', "::", "x" * 90]
    ]
)
_DATA = st.fixed_dictionaries(
    {"custom_id": _IDS | _JSON, "name": st.sampled_from(sorted(COMMANDS)) | _JSON},
    optional={
        "type": st.sampled_from([1, 2, 3]) | _JSON,
        "options": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["질문", "설명", "비율", "모델", "비공개", "첨부", "내설정"])},
                optional={"value": _JSON, "focused": st.booleans() | _JSON, "options": _JSON, "type": _JSON},
            ),
            max_size=3,
        )
        | _JSON,
        "components": _JSON,
        "values": st.lists(_JSON, max_size=2) | _JSON,
        "component_type": _JSON,
        "resolved": st.dictionaries(st.sampled_from(["messages", "attachments", "users"]), _JSON) | _JSON,
        "target_id": _JSON,
    },
)
_MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "id": _JSON,
        "flags": st.sampled_from([0, 64]) | _JSON,
        "content": _JSON,
        "attachments": st.lists(_JSON, max_size=2) | _JSON,
        "interaction_metadata": st.just({"user": {"id": USER}}) | _JSON,
    },
)
_TAKEN = {2: {4, 5, 9}, 3: {4, 5, 6, 7}, 4: {8}, 5: {4, 5}}
"""The types of answer Discord takes for each type of interaction, of those that Quartet gives."""


@given(
    st.sampled_from(sorted(_TAKEN)), _DATA | _JSON, _MESSAGE | _JSON, st.sampled_from(["0", str((1 << 60) - 1), "x"])
)
@settings(max_examples=400, deadline=None)
async def test_any_json_in_data_gets_an_answer_its_type_may_have(
    kind: int, data: Any, message: Any, permissions: str
) -> None:
    """A component can't be answered with choices, nor an option being typed with a sentence: whatever stands in `data`
    and `message`, Discord takes the answer, or hears that this is no interaction.
    """
    bench = Bench()
    original = json.dumps(use("이미지", {"설명": "달"})).encode()
    bench.store.repeatable_jobs["1", USER] = RepeatableJob("image", original)
    asker = {"user": {"id": USER}, "permissions": permissions}
    reply = await bench.post(interaction(data, type=kind, message=message, member=asker))
    if reply.status == 400:
        assert reply.label == "malformed"
        return
    assert reply.status == 200
    answer = json.loads(reply.body)["type"]
    assert answer in _TAKEN[kind]
    assert len(bench.store.jobs) == (1 if answer == 5 else 0)
    assert reply.label != "failed"
