"""The regular expression of proxy/routing.js: where its parts come from, and that it never gives a wrong id.

It is plain JavaScript syntax that Python's `re` reads alike, so thousands of bodies are tried here without nginx.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

ROUTING = Path(__file__).resolve().parents[2] / "proxy" / "routing.js"

# The grammar. No two alternatives can begin with the same character, so a text is read in one way only.
OUTSIDE = r'[^"{}[\]]*'
PLAIN_STRING = r'"[^"\\]*"'
STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
SCALAR = r'[^"{}[\],\s]+'
FLAT = rf"[{{[]{OUTSIDE}(?:{PLAIN_STRING}{OUTSIDE})*[}}\]]"
NESTED = rf"[{{[]{OUTSIDE}(?:(?:{PLAIN_STRING}|{FLAT}){OUTSIDE})*[}}\]]"
VALUE = rf"(?:{STRING}|{SCALAR}|{NESTED})"


def pair(unless: str = "") -> str:
    """A name without escapes, other than `unless`, and its value."""
    return (rf'"(?!{unless}")' if unless else '"') + rf'[^"\\]*":{VALUE}'


def holder(name: str, inner: str) -> str:
    """An object whose last `name` is `inner`."""
    return rf'\{{(?:{pair()},)*"{name}":{inner}(?:,{pair(name)})*\}}'


USER = holder("id", '"([0-9]{1,20})"')
GUILD = rf'(?<=[,{{]")member":{holder("user", USER)}(?:,{pair("member")})*\}}\s*$'


def script_pattern() -> str:
    """The literal as it stands in the script."""
    found = re.search(r"const found = /(.*)/\.exec\(text\);", ROUTING.read_text())
    assert found is not None
    return found[1]


def test_the_script_has_exactly_this_grammar() -> None:
    """The literal in routing.js is what the parts above make; change both together."""
    assert script_pattern() == GUILD


def id_by_pattern(text: str) -> str | None:
    """The id that the script's regular expression finds."""
    found = re.compile(script_pattern()).search(text)
    return found[1] if found else None


def id_by_json(text: str) -> object:
    """What the id is, None if there is none."""
    try:
        return json.loads(text)["member"]["user"]["id"]
    except (LookupError, TypeError):
        return None


names = st.sampled_from(["member", "user", "id", "x", ",", "{", 'q"', "\\", '","member', "안"])
texts = st.sampled_from(
    [
        '"member":{"user":{"id":"1"}}',
        ',"member":{"user":{"id":"1"}}}',
        "}",
        "{",
        "]",
        '"',
        "\\",
        '\\"',
        ",",
        "12",
        "안녕",
    ]
) | st.text(alphabet='"\\{}[],:member1 user', max_size=12)
ids = st.integers(0, 10**20).map(str)
leaves = texts | ids | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Objects as JSON text: names may repeat, which a Python dict could not say."""
    pairs = st.tuples(names.map(json.dumps), values).map(":".join)
    return st.lists(pairs, max_size=4).map(lambda parts: "{" + ",".join(parts) + "}")


def written(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Values as JSON text, one level deeper."""
    return objects(values) | st.lists(values, max_size=3).map(lambda parts: "[" + ",".join(parts) + "]")


anything = st.recursive(leaves.map(json.dumps), written, max_leaves=12)
some_pairs = st.lists(st.tuples(names.map(json.dumps), anything).map(":".join), max_size=3)


def around(inner: st.SearchStrategy[str], name: str) -> st.SearchStrategy[str]:
    """An object with `name` as `inner` among other pairs, which may repeat the name."""
    return st.tuples(some_pairs, inner, some_pairs).map(
        lambda parts: "{" + ",".join([*parts[0], f'"{name}":{parts[1]}', *parts[2]]) + "}"
    )


guild_bodies = around(around(around(ids.map(json.dumps), "id"), "user"), "member")


@settings(max_examples=300, deadline=None)
@given(guild_bodies | objects(anything))
@example('{"a":"\\\\","member":{"user":{"id":"5"}}}')
@example('{"z":{"member":{"user":{"id":"5"}}}}')
@example('{"member":{"user":{"id":"5"}},"member":{"user":{"id":"6"}}}')
@example('{"member":{"user":{"id":"5"},"user":null}}')
@example('{"member":{"user":{"id":"5","id":6}}}')
@example('{"xmember":{"user":{"id":"5"}}}')
@example('{"a":",","member":{"nick":"\\"}","user":{"id":"5","x":[{"y":"}"}]}},"z":1}')
def test_a_match_is_always_the_users_id(text: str) -> None:
    """Whenever the pattern matches, the body's member.user.id is what it found."""
    found = id_by_pattern(text)
    assert found is None or found == id_by_json(text), text


def test_what_discord_sends_from_a_guild_takes_the_fast_way() -> None:
    """A slash command as Discord writes it is matched, whatever text and names the user chose."""
    user = {
        "avatar": None,
        "avatar_decoration_data": {"asset": "a_1", "expires_at": None, "sku_id": "11"},
        "collectibles": {"nameplate": {"asset": "n", "label": "L", "palette": "cobalt", "sku_id": "22"}},
        "global_name": 'say "hi" \\ }]',
        "id": "80351110224678912",
        "primary_guild": {"badge": None, "identity_enabled": True, "identity_guild_id": "1", "tag": "T{}"},
        "username": "mason",
    }
    member = {"nick": "안녕 👋", "permissions": "1", "roles": ["5", "6"], "unusual": None, "user": user, "z": []}
    options = [{"name": "message", "type": 3, "value": '"member":{"user":{"id":"1"}}'}]
    body = {"context": 0, "data": {"options": options}, "guild": {"features": ["A"]}, "id": "1", "locale": "ko"}
    body |= {"member": member, "token": "a" * 200, "type": 2, "version": 1}
    for ascii_only in (True, False):
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=ascii_only)
        assert id_by_pattern(text) == "80351110224678912"
