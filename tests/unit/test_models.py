"""A body is read as the interaction it is, or refused with the name of what is wrong."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.discord.models import Interaction, MalformedInteraction, interaction_type, is_snowflake, parse, read_json
from app.discord.wire import ATTACHMENT_SIZE_DEFAULT
from app.texts import Locale

GOOD: dict[str, Any] = {
    "id": "1300000000000000001",
    "application_id": "1200000000000000001",
    "type": 2,
    "token": "a-token",
    "version": 1,
    "guild_id": "1100000000000000001",
    "channel_id": "1100000000000000002",
    "member": {"user": {"id": "643945264868098049", "username": "나"}, "roles": []},
    "locale": "ko",
    "guild_locale": "en-US",
    "attachment_size_limit": 26_214_400,
    "data": {"id": "1", "name": "채팅", "type": 1, "options": [{"name": "질문", "type": 3, "value": "왜?"}]},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the good interaction with the value at a dotted path replaced."""
    payload = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    target = payload
    for name in parents:
        target = target[name]
    target[last] = value
    return payload


def test_a_command_is_read_whole() -> None:
    """Every field stands where it belongs."""
    assert parse(GOOD) == Interaction(
        id="1300000000000000001",
        type=2,
        token="a-token",
        application_id="1200000000000000001",
        user_id="643945264868098049",
        locale=Locale.KO,
        command="채팅",
        options={"질문": "왜?"},
        focused=None,
        custom_id="",
        guild_id="1100000000000000001",
        channel_id="1100000000000000002",
        attachment_size_limit=26_214_400,
        resolved={},
        payload=GOOD,
    )


def test_in_a_direct_message_the_user_stands_elsewhere() -> None:
    """Without `member` the id comes from `user`; guild and limit have their absent values."""
    payload = {k: v for k, v in GOOD.items() if k not in ("member", "guild_id", "attachment_size_limit")}
    read = parse(payload | {"user": {"id": "42"}})
    assert (read.user_id, read.guild_id, read.attachment_size_limit) == ("42", None, ATTACHMENT_SIZE_DEFAULT)


def test_in_a_guild_the_member_counts() -> None:
    """A `user` beside `member` is not believed: the proxy routes by `member` too."""
    assert parse(GOOD | {"user": {"id": "42"}}).user_id == "643945264868098049"


def test_an_interactions_age_is_in_its_id() -> None:
    """The example of Discord's documentation: snowflake 175928847299117063 is of 2016-04-30 11:18:25.796 UTC."""
    assert parse(changed("id", "175928847299117063")).created_at == pytest.approx(1_462_015_105.796)


@pytest.mark.parametrize("locale", ["ko", "en-US", "ja", "", None, 5, "KO"])
def test_korean_for_korean_and_english_for_everybody_else(locale: Any) -> None:
    """Whatever the field holds; without it, the guild's language counts."""
    wanted = Locale.KO if locale == "ko" else Locale.EN
    assert parse(changed("locale", locale)).locale is wanted
    if not isinstance(locale, str) or not locale:
        assert parse(changed("locale", locale) | {"guild_locale": "ko"}).locale is Locale.KO


def test_subcommands_and_focus() -> None:
    """Options of a subcommand are found, and the one an autocomplete asks about is named."""
    inner = [{"name": "글", "type": 3, "value": "a", "focused": True}, {"name": "수", "type": 4, "value": 2}]
    group = [{"name": "무리", "type": 2, "options": [{"name": "하위", "type": 1, "options": inner}]}]
    read = parse(changed("data.options", group) | {"type": 4})
    assert (dict(read.options), read.focused) == ({"글": "a", "수": 2}, "글")


def wrong(path: str, named: str, *values: Any) -> list[tuple[str, Any, str]]:
    """Return the cases in which `path` holds one of `values` and the message names `named`."""
    return [(path, value, named) for value in values]


NO_IDS: tuple[Any, ...] = (None, 1, 1.5, True, "", "12a", "-1", "1" * 21, "１２", "٣", "²", " 1", [], {})
WRONG = [
    *wrong("id", "id", *NO_IDS),
    *wrong("application_id", "application_id", *NO_IDS),
    *wrong("member.user.id", "id", *NO_IDS),
    *wrong("token", "token", None, "", 5, [], {}, False),
    *wrong("member.user", "user", 5, "x", [1]),
    *wrong("member.user", "id", None, {}),
    *wrong("member", "member", 5, "x", []),
    *wrong("member", "id", None, {"roles": []}),
    *wrong("data", "data", 5, "x", [], True),
    *wrong("data.name", "name", None, "", 5, []),
    *wrong("data.options", "options", 5, "x", {"a": 1}, True),
    *wrong("data.options", "options", [5], [None], ["x"], [[]], [{}], [{"name": 5}], [{"value": 1}]),
    *wrong("data.options", "options", [{"name": "a", "options": 5}], [{"name": "a", "options": None}]),
    *wrong("data.resolved", "resolved", 5, [], "x"),
]


@pytest.mark.parametrize(("path", "value", "named"), WRONG)
def test_what_is_wrong_is_named(path: str, value: Any, named: str) -> None:
    """The message says which field, and never repeats what stood there."""
    with pytest.raises(MalformedInteraction, match=f"^{named}: expected"):
        parse(changed(path, value))


@pytest.mark.parametrize("kind", [3, 5])
@pytest.mark.parametrize("custom_id", [None, "", 5, {}])
def test_a_component_has_a_custom_id(kind: int, custom_id: Any) -> None:
    """A button or form without one is no interaction."""
    with pytest.raises(MalformedInteraction, match=r"^custom_id: expected"):
        parse(GOOD | {"type": kind, "data": {"custom_id": custom_id}})


@pytest.mark.parametrize("kind", [None, True, False, "1", 1.0, float("nan"), float("inf"), [], {}])
def test_a_type_is_a_whole_number(kind: Any) -> None:
    """Not a truth value, not a float, not a text."""
    with pytest.raises(MalformedInteraction, match="type: expected"):
        interaction_type({"type": kind})


@pytest.mark.parametrize("payload", [None, True, 5, "x", [], [GOOD]])
def test_an_interaction_is_an_object(payload: Any) -> None:
    """Every other JSON value is refused."""
    with pytest.raises(MalformedInteraction, match="object"):
        interaction_type(payload)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 100_000, b"[1,]", b"{} {}", b"'a'",
        b'"\\ud800"', b"1" * 5000, b"-", b"nul", b'{"a":"\x01"}', b"{" + b'"a":1,' * 3, "{\"a\":1}".encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Other encodings, endless nesting, half a surrogate pair, huge numbers: one error, and no other."""
    with pytest.raises(MalformedInteraction):
        read_json(body)


@pytest.mark.parametrize("limit", [None, 0, -1, True, "5", 1.5, []])
def test_an_odd_size_limit_falls_back(limit: Any) -> None:
    """Discord's documented default counts."""
    assert parse(changed("attachment_size_limit", limit)).attachment_size_limit == ATTACHMENT_SIZE_DEFAULT


@given(st.text(max_size=25))
def test_an_id_is_up_to_twenty_ascii_digits(text: str) -> None:
    """The same as a regular expression says."""
    assert is_snowflake(text) == (1 <= len(text) <= 20 and all(c in "0123456789" for c in text))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_PATHS = ["id", "type", "token", "application_id", "member", "member.user", "member.user.id", "locale", "guild_id",
          "channel_id", "attachment_size_limit", "data", "data.name", "data.options", "data.resolved"]  # fmt: skip


@given(st.sampled_from(_PATHS), _JSON)
@settings(max_examples=300)
def test_any_value_anywhere_is_read_or_refused(path: str, value: Any) -> None:
    """Nothing but `MalformedInteraction` is raised, and what is read has the promised types."""
    body = json.dumps(changed(path, value)).encode()
    try:
        read = parse(read_json(body))
    except MalformedInteraction:
        return
    assert is_snowflake(read.id) and is_snowflake(read.user_id) and is_snowflake(read.application_id)
    assert isinstance(read.token, str) and read.token
    assert type(read.attachment_size_limit) is int and read.attachment_size_limit > 0
    assert read.created_at > 1_420_070_399


class TestWhatOnlySomeAreAskedFor:
    """Read from the payload when it is asked for: right where it is right, and absent where it is anything else."""

    def test_of_a_command_in_a_server(self) -> None:
        """Permissions, roles and where the bot is."""
        member = {**GOOD["member"], "permissions": str((1 << 13) | (1 << 50)), "roles": ["5", 6, "x", "7"]}
        more = {"app_permissions": "2048", "channel": {"nsfw": True}, "authorizing_integration_owners": {"0": "11"}}
        read = parse({**GOOD, "member": member, **more})
        assert read.permissions == (1 << 13) | (1 << 50) and read.moderates
        assert (list(read.role_ids), read.app_permissions, read.age_restricted) == (["5", "7"], 2048, True)
        assert read.bot_present and read.command_type == 1 and read.derived == {}

    def test_of_a_user_installed_app_elsewhere(self) -> None:
        """The bot itself is not there, and nobody moderates, whatever permissions are claimed."""
        outside = {name: value for name, value in GOOD.items() if name not in ("member", "guild_id")}
        user = {"user": {"id": "42"}, "authorizing_integration_owners": {"1": "42"}}
        read = parse({**outside, **user, "context": 2})
        assert (read.bot_present, read.moderates, read.permissions, list(read.role_ids)) == (False, False, 0, [])
        claimed = {"member": {"user": {"id": "42"}, "permissions": str(1 << 3)}}
        assert not parse({**outside, **claimed}).moderates

    @pytest.mark.parametrize(("bits", "may"), [(1 << 13, True), (1 << 3, True), (1 << 5, False), (0, False)])
    def test_who_moderates(self, bits: int, may: bool) -> None:
        """Manage Messages or Administrator, and nothing else."""
        assert parse({**GOOD, "member": {**GOOD["member"], "permissions": str(bits)}}).moderates is may

    @pytest.mark.parametrize("bits", ["9" * 5000, "-8", "0x8", "", 8, None, "８"])
    def test_permissions_that_are_none(self, bits: Any) -> None:
        """Symptom: 5,000 digits were answered with "something went wrong". Cause: Python reads no number that long.
        Rule: what is no number of up to 20 digits permits nothing.
        """
        read = parse({**GOOD, "member": {**GOOD["member"], "permissions": bits}, "app_permissions": bits})
        assert (read.permissions, read.app_permissions, read.moderates) == (0, 0, False)

    def test_of_a_message_command(self) -> None:
        """The message it was used on."""
        message = {"id": "9", "content": "글"}
        data = {"name": "요약", "type": 3, "target_id": "9", "resolved": {"messages": {"9": message, "8": {}}}}
        read = parse({**GOOD, "data": data})
        assert (read.command, read.command_type, read.target_message) == ("요약", 3, message)

    def test_of_a_press(self) -> None:
        """Whose message, who sees it, and what was chosen."""
        message = {"id": "9", "flags": 64, "interaction_metadata": {"user": {"id": "42"}}}
        data = {"custom_id": "ratio:1", "component_type": 3, "values": ["16:9", 5]}
        read = parse({**GOOD, "type": 3, "data": data, "message": message})
        assert (read.asker_id, read.message_is_private, list(read.values)) == ("42", True, ["16:9"])

    def test_of_a_form(self) -> None:
        """Fields in labels, and in rows as Discord sent them before."""
        labelled = {"type": 18, "component": {"type": 4, "custom_id": "a", "value": "1"}}
        in_row = {"type": 1, "components": [{"type": 4, "custom_id": "b", "value": "2"}]}
        data = {"custom_id": "form:채팅", "components": [labelled, in_row, 5, {"component": []}]}
        assert parse({**GOOD, "type": 5, "data": data}).fields == {"a": "1", "b": "2"}

    @given(st.dictionaries(st.sampled_from(["message", "channel", "app_permissions", "quartet", "x"]), _JSON))
    def test_anything_else_reads_as_absent(self, fields: dict[str, Any]) -> None:
        """None of them raises, whatever stands there."""
        read = parse({**GOOD, **fields})
        assert read.asker_id is None or is_snowflake(read.asker_id)
        assert isinstance(read.message_is_private, bool) and isinstance(read.age_restricted, bool)
        assert read.app_permissions >= 0 and list(read.values) == [] and read.fields == {}
        assert isinstance(read.derived, dict) and isinstance(read.target_message, dict)
