"""nginx finds each user's home in the raw body."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from app.balancing.assignment import home_of
from tests.acceptance.proxy_kit import Client, compact, connected, front, interaction, needs_nginx

pytestmark = needs_nginx

INNER = '"member":{"user":{"id":"1"}},"user":{"id":"1"}'
USER = {"username": 'br{ac}es ]["\\"', "global_name": INNER, "id": "40", "bot": False}
OTHER = {"id": "1", "username": "other"}


def nest(depth: int) -> object:
    """A value nested `depth` levels deep with a misleading member at its bottom."""
    value: object = {"member": {"user": OTHER}, "user": OTHER, "id": "1"}
    for _ in range(depth):
        value = {"options": [value]}
    return value


# Every body's user is 40; whoever is misled finds the home of user 1.
MISLEADING: dict[str, object] = {
    "ids inside option values": {"data": {"options": [{"value": "1", "id": "1"}]}, "member": {"user": USER}},
    "JSON inside a text": {"data": {"options": [{"value": "{" + INNER + "}"}]}, "member": {"user": USER}},
    "JSON inside a text after the member": {"member": {"user": USER}, "token": "," + INNER + "}", "type": 2},
    "a text that ends in a backslash": {"a": "\\", "member": {"nick": 'x\\"},' + INNER, "user": USER}, "z": "\\\\"},
    "the author of a message": {"member": {"user": USER}, "message": {"author": OTHER, "member": {"user": OTHER}}},
    "the user of an earlier interaction": {"user": USER, "message": {"interaction_metadata": {"user": OTHER}}},
    "resolved users and members": {
        "data": {"resolved": {"users": {"1": OTHER}, "members": {"1": {"user": OTHER}}, "user": OTHER}},
        "member": {"user": USER},
    },
    "a member below another key, last": {"member": {"user": USER}, "z": {"member": {"user": OTHER}}},
    "a user below the member's user": {"member": {"user": {"a": {"user": OTHER, "id": "1"}, **USER, "z": OTHER}}},
    "a user below the member": {"member": {"a": {"user": OTHER}, "user": USER, "z": [{"user": OTHER}]}},
    "a user before a member": {"user": OTHER, "member": {"user": USER}},
    "a user after a member": {"member": {"user": USER}, "user": OTHER},
    "a member without a user": {"member": {"roles": []}, "user": USER},
    "no member but null": {"member": None, "user": USER},
    "a direct message": {"context": 1, "user": USER, "version": 1},
    "the last key": {"type": 2, "member": {"user": {"username": "x", "id": "40"}}},
    "the first key": {"member": {"user": {"id": "40", "username": "}"}}, "type": 2},
    "deep nesting": {"data": nest(12), "member": {"user": USER}, "message": nest(12)},
    "a key called __proto__": {"__proto__": {"member": {"user": OTHER}}, "user": USER},
    "Korean and an emoji": {"data": {"value": "안녕 👋 " * 50}, "member": {"nick": "한글👋", "user": USER}},
}
RAW = {
    "a repeated member": b'{"member":{"user":{"id":"1"}},"member":{"user":{"id":"40"}}}',
    "a repeated user": b'{"member":{"user":{"id":"1"},"user":{"id":"40"}}}',
    "a repeated id": b'{"member":{"user":{"id":"1","x":1,"id":"40"}}}',
    "a member repeated under an escaped name": b'{"member":{"user":{"id":"1"}},"m\\u0065mber":{"user":{"id":"40"}}}',
    "an id under an escaped name": b'{"member":{"user":{"id":"1","\\u0069d":"40"}}}',
    "quotes escaped by number": b'{"a":"\\u0022,\\"member\\":{\\"user\\":{}}","member":{"user":{"id":"40"}}}',
    "spaces everywhere": b' { "member" :\n\t{ "user"\r\n: { "id" : "40" } } , "type" : 2 } \n',
    "an escaped id": b'{"member":{"user":{"id":"\\u00340"}}}',
}


async def homes(client: Client, bodies: list[bytes]) -> list[int]:
    """Which instance answered each of the bodies, one after the other."""
    return [(await client.post(body)).instance for body in bodies]


@pytest.mark.parametrize(("user_id", "home"), [(12345, 2), (67890, 3), (11111, 4), (22222, 3)])
async def test_documented_examples(tmp_path: Path, user_id: int, home: int) -> None:
    """The documented users arrive at their documented homes, from a guild and from a direct message."""
    async with front(tmp_path) as running:
        assert (await running.post(interaction(user_id))).instance == home
        assert (await running.post(compact({"type": 2, "user": {"id": str(user_id)}}))).instance == home


async def test_ten_thousand_users_arrive_at_home(tmp_path: Path) -> None:
    """Every one of 10,000 random snowflakes arrives where app.balancing.assignment says."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    ids = [dice.getrandbits(dice.choice((60, 63))) for _ in range(10_000)]

    async def play(part: list[int]) -> list[int]:
        async with connected(running.public_port) as client:
            return await homes(client, [interaction(user_id) for user_id in part])

    async with front(tmp_path) as running:
        parts = [ids[k::8] for k in range(8)]
        found = await asyncio.gather(*(play(part) for part in parts))
    for part, instances in zip(parts, found, strict=True):
        assert instances == [home_of(user_id, 4) for user_id in part], f"seed {seed}"


@pytest.mark.parametrize("count", [1, 3, 4, 16])
async def test_every_count_and_every_length_of_id(tmp_path: Path, count: int) -> None:
    """The modulo is exact for every count, from one digit to twenty, beyond 2^53 and 2^64."""
    ids = [0, 7, 2**53 - 1, 2**53 + 1, 2**63 - 1, 2**64 - 1, 10**19, 10**20 - 1]
    ids += [int("9876543210"[:length] * 2) for length in range(1, 11)]
    ids += range(10**10 - 3, 10**10 + 17)
    async with front(tmp_path, count) as running, connected(running.public_port) as client:
        expected = [home_of(user_id, count) for user_id in ids]
        assert await homes(client, [interaction(user_id) for user_id in ids]) == expected
        assert await homes(client, [compact({"user": {"id": str(user_id)}}) for user_id in ids]) == expected


async def test_nothing_a_user_writes_misleads(tmp_path: Path) -> None:
    """Whatever else looks like an id, the home is that of member.user.id, or of user.id without a member."""
    bodies = dict(RAW)
    for name, body in MISLEADING.items():
        bodies[f"{name}, compact"] = compact(body)
        bodies[f"{name}, compact ASCII"] = json.dumps(body, separators=(",", ":")).encode()
        bodies[f"{name}, sorted"] = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
        bodies[f"{name}, spaced"] = json.dumps(body, ensure_ascii=False).encode()
        bodies[f"{name}, indented"] = json.dumps(body, indent=2).encode()
    async with front(tmp_path, 5) as running, connected(running.public_port) as client:
        found = dict(zip(bodies, await homes(client, list(bodies.values())), strict=True))
    assert home_of(40, 5) != home_of(1, 5)
    assert {name: home for name, home in found.items() if home != home_of(40, 5)} == {}


@pytest.mark.parametrize("text", ["plain", "Korean 안녕 👋"])
async def test_chunked_bodies_are_read_whole(tmp_path: Path, text: str) -> None:
    """A body in chunks finds its home too, and arrives with a length and the same bytes."""
    body = interaction(12345, data=text)
    cuts = [body[:10], body[10:70], body[70:]]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(cut), cut) for cut in cuts) + b"0\r\n\r\n"
    async with front(tmp_path) as running, connected(running.public_port) as client:
        assert (await client.ask("POST", "/interactions", chunks, Transfer_Encoding="chunked")).instance == 2
        assert running.instances[1].arrivals[-1].body == body


async def test_bytes_and_signature_headers_pass_untouched(tmp_path: Path) -> None:
    """What is signed arrives byte for byte: odd JSON, no JSON, invalid UTF-8, null bytes, nothing, and both headers."""
    odd = [b'{ "user":{"id" :"40"},  "x":"\\u00e9\\/" }', b"\xff\xfe\x00{]", b"not JSON", b"", interaction(5) + b"\n"]
    odd += [bytes(range(256)) * 1024, b'{"user":{"id":"40"},"x":"\xff\xc3"}']
    async with front(tmp_path) as running, connected(running.public_port) as client:
        for body in odd:
            answer = await client.post(body, X_Signature_Ed25519="ab" * 64, X_Signature_Timestamp="1700000000")
            assert answer.status == 200
            arrival = running.instances[answer.instance - 1].arrivals[-1]
            assert (arrival.method, arrival.target, arrival.body) == ("POST", "/interactions", body)
            assert arrival.headers["x-signature-ed25519"] == "ab" * 64
            assert arrival.headers["x-signature-timestamp"] == "1700000000"
    assert len(running.arrivals) == len(odd)


async def test_a_body_without_a_user_goes_to_anyone(tmp_path: Path) -> None:
    """Probes and hostile bodies are answered by an instance, and every instance gets its share of them."""
    bodies = [b"", b"{", b"null", b"[]", b'"member"', b'{"type":1}', b'{"user":{"id":40}}', b'{"user":{"id":"4x"}}']
    bodies += [b'{"member":{"user":{"id":"' + b"9" * 21 + b'"}}}', b'{"user":"id"}', b'{"user":{"id":"-1"}}']
    bodies += [b"[" * 5000]
    async with front(tmp_path) as running, connected(running.public_port) as client:
        found = Counter(await homes(client, bodies * 4))
    assert set(found) == {1, 2, 3, 4}
    assert max(found.values()) - min(found.values()) <= 8


async def test_random_json_agrees_with_python(tmp_path: Path) -> None:
    """4,000 random bodies built from misleading pieces go where Python's own JSON reader says."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    bodies = [random_object(dice, 4).encode() for _ in range(4000)]
    async with front(tmp_path, 3) as running, connected(running.public_port) as client:
        found = await homes(client, bodies)
    for body, instance in zip(bodies, found, strict=True):
        assert expected_home(body, 3) in (None, instance), f"seed {seed}: {body!r}"
    assert sum(expected_home(body, 3) is not None for body in bodies) > 500


def expected_home(body: bytes, count: int) -> int | None:
    """By Python's json: the home of member.user.id, else of user.id, else None."""
    top = json.loads(body)
    member = top.get("member")
    for holder in (member if isinstance(member, dict) else {}, top):
        user = holder.get("user")
        user_id = user.get("id") if isinstance(user, dict) else None
        if isinstance(user_id, str) and user_id.isdecimal():
            return home_of(user_id, count)
    return None


def random_object(dice: random.Random, depth: int) -> str:
    """An object of the names and texts that could mislead, in any order, repeated names included."""
    names = ["member", "user", "id", "x", 'q"', "message", "m,", "안"]
    weights = [4, 4, 4, 1, 1, 1, 1, 1]
    pairs = (random_pair(dice, name, depth) for name in dice.choices(names, weights, k=dice.randrange(2, 6)))
    return "{" + ",".join(pairs) + "}"


def random_pair(dice: random.Random, name: str, depth: int) -> str:
    """One name and its value, as JSON."""
    texts = [INNER, "}", "{", '"', "\\", ',"member":{"user":{"id":"1"}}}', "안녕", "12", "]", None, True, 1.5]
    if name == "id":
        value = json.dumps(str(dice.randrange(30)))
    elif depth and (name in ("member", "user") or dice.random() < 0.4):
        value = random_object(dice, depth - 1)
        value = f"[{value}]" if dice.random() < 0.15 else value
    else:
        value = json.dumps(dice.choice(texts), ensure_ascii=dice.random() < 0.5)
    colon = " : " if dice.random() < 0.01 else ":"
    return json.dumps(name) + colon + value
