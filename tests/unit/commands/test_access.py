"""Who may use the bot and where: blocked beats allowed, and direct messages open no way around a list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.commands.access import BLOCKED, NOBODY_ELSE, NOT_HERE, OPEN, AccessRules, quota, refusal
from app.discord.models import Interaction, parse

USER, ROLE, CHANNEL, GUILD, PARENT = "11", "22", "33", "44", "55"


def use(**fields: Any) -> Interaction:
    """Return a command used by USER, who has ROLE, in CHANNEL of GUILD."""
    payload = {
        "id": "1200000000000000001", "type": 2, "token": "t", "application_id": "1", "locale": "ko",
        "guild_id": GUILD, "channel_id": CHANNEL, "channel": {"id": CHANNEL, "type": 0, "parent_id": PARENT},
        "member": {"user": {"id": USER}, "roles": [ROLE], "permissions": "0"}, "data": {"name": "채팅"},
    }  # fmt: skip
    return parse(payload | fields)


def direct() -> Interaction:
    """Return a command used by USER in a direct message."""
    payload = {
        "id": "1200000000000000001", "type": 2, "token": "t", "application_id": "1", "locale": "ko",
        "channel_id": "99", "channel": {"id": "99", "type": 1}, "user": {"id": USER}, "data": {"name": "채팅"},
    }  # fmt: skip
    return parse(payload)


IN_THREAD = use(channel_id="77", channel={"id": "77", "type": 11, "parent_id": CHANNEL})


def test_without_rules_everybody_may() -> None:
    """No list is no rule."""
    assert refusal(use(), OPEN) is None
    assert refusal(direct(), OPEN) is None


@pytest.mark.parametrize(
    ("rules", "answer"),
    [
        (AccessRules(allowed_users=[USER]), None),
        (AccessRules(allowed_users=["1"]), NOBODY_ELSE),
        (AccessRules(allowed_roles=[ROLE]), None),
        (AccessRules(allowed_roles=["1"]), NOBODY_ELSE),
        (AccessRules(allowed_channels=[CHANNEL]), None),
        (AccessRules(allowed_channels=["1"]), NOT_HERE),
        (AccessRules(allowed_channels=[PARENT]), NOT_HERE),
        (AccessRules(allowed_guilds=[GUILD]), None),
        (AccessRules(allowed_guilds=["1"]), NOT_HERE),
        (AccessRules(blocked_users=[USER]), BLOCKED),
        (AccessRules(blocked_roles=[ROLE]), BLOCKED),
        (AccessRules(blocked_channels=[CHANNEL]), NOT_HERE),
        (AccessRules(blocked_guilds=[GUILD]), NOT_HERE),
        (AccessRules(blocked_users=["1"], blocked_roles=["1"], blocked_channels=["1"], blocked_guilds=["1"]), None),
    ],
)
def test_each_list(rules: AccessRules, answer: object) -> None:
    """An allow list lets in only what it names, a block list keeps out just that; the sentence says which it was."""
    assert refusal(use(), rules) == answer


@pytest.mark.parametrize("kind", ["users", "roles", "channels", "guilds"])
def test_blocked_beats_allowed(kind: str) -> None:
    """What stands on both lists is blocked, and so is what another kind allows."""
    ids = {"users": [USER], "roles": [ROLE], "channels": [CHANNEL], "guilds": [GUILD]}
    rules: dict[str, Any] = {f"allowed_{name}": listed for name, listed in ids.items()}
    assert refusal(use(), AccessRules(**rules)) is None
    rules[f"blocked_{kind}"] = ids[kind]
    assert refusal(use(), AccessRules(**rules)) is not None


def test_people_are_named_or_have_a_role() -> None:
    """With both lists of people, either will do; with lists of places as well, those have to fit too."""
    assert refusal(use(), AccessRules(allowed_users=["1"], allowed_roles=[ROLE])) is None
    assert refusal(use(), AccessRules(allowed_users=[USER], allowed_roles=["1"])) is None
    assert refusal(use(), AccessRules(allowed_users=[USER], allowed_channels=["1"])) == NOT_HERE
    assert refusal(use(), AccessRules(allowed_guilds=[GUILD], allowed_channels=["1"])) == NOT_HERE
    assert refusal(use(), AccessRules(allowed_guilds=["1"], allowed_channels=[CHANNEL])) == NOT_HERE


def test_a_thread_is_its_channel() -> None:
    """A channel's rules hold in its threads."""
    assert refusal(IN_THREAD, AccessRules(allowed_channels=[CHANNEL])) is None
    assert refusal(IN_THREAD, AccessRules(blocked_channels=[CHANNEL])) == NOT_HERE
    assert refusal(IN_THREAD, AccessRules(blocked_channels=["77"])) == NOT_HERE


@pytest.mark.parametrize("kind", ["users", "roles", "channels", "guilds"])
def test_direct_messages_are_for_named_users(kind: str) -> None:
    """As soon as anything is allowed by name, only named users may write directly; block lists alone change nothing."""
    listed: dict[str, Any] = {f"allowed_{kind}": ["1"]}
    assert refusal(direct(), AccessRules(**listed)) == NOBODY_ELSE
    listed["allowed_users"] = [USER]
    assert refusal(direct(), AccessRules(**listed)) is None
    assert refusal(direct(), AccessRules(blocked_guilds=[GUILD], blocked_roles=[ROLE])) is None
    assert refusal(direct(), AccessRules(blocked_users=[USER])) == BLOCKED


@pytest.mark.parametrize("channel", [None, 5, "x", {"type": 11}, {"type": 11, "parent_id": 5}, {"type": "11"}])
def test_a_channel_of_another_shape(channel: object) -> None:
    """Whatever stands there, the channel's own id still counts."""
    assert refusal(use(channel=channel), AccessRules(blocked_channels=[CHANNEL])) == NOT_HERE
    assert refusal(use(channel=channel), AccessRules(allowed_channels=["1"])) == NOT_HERE


IDS = st.sets(st.sampled_from(["1", USER, ROLE, CHANNEL, GUILD]))


@given(allowed=IDS, more=IDS)
def test_blocking_more_never_lets_anybody_in(allowed: set[str], more: set[str]) -> None:
    """Whoever is refused stays refused when block lists grow."""
    rules: dict[str, Any] = {f"allowed_{kind}": allowed for kind in ("users", "roles", "channels", "guilds")}
    blocks: dict[str, Any] = {f"blocked_{kind}": more for kind in ("users", "roles", "channels", "guilds")}
    for interaction in (use(), direct(), IN_THREAD):
        if refusal(interaction, AccessRules(**rules)) is not None:
            assert refusal(interaction, AccessRules(**rules, **blocks)) is not None


@pytest.mark.parametrize(
    ("roles", "expected"),
    [([], 10), (["9"], 10), (["1"], 3), (["1", "2"], 50), (["2", "1", "9"], 50), (["1", "3"], 0)],
)
def test_the_largest_quota_of_the_roles(roles: list[str], expected: int) -> None:
    """A role's quota replaces everybody's, the largest of several counts, and 0, no limit, is the largest."""
    rules = AccessRules(user_quota=10, role_quotas={"1": 3, "2": 50, "3": 0})
    assert quota(use(member={"user": {"id": USER}, "roles": roles}), rules) == expected
    assert quota(direct(), rules) == 10
