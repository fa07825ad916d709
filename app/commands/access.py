"""Who may use the bot, and where: the operator's allow and block lists, and the quotas of roles.

Blocked beats allowed: an id on a block list is refused whatever else it is. Beyond that,

* with a list of allowed users or roles, only those people: who is named, or has one of the roles;
* with a list of allowed servers, only in those; with a list of allowed channels, only in those. A thread counts as the
  channel it belongs to.

A direct message lies in no server and no allowed channel, and nobody has a role there. So as soon as any allow list is
set, only the users it names may use the bot there: a list of servers would bound nothing if everybody could turn to
direct messages instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from app.discord.models import Interaction, is_snowflake
from app.texts import Text

_THREADS = (10, 11, 12)
"""Channel types: announcement, public and private thread (channel#channel-object-channel-types)."""

NOBODY_ELSE = Text(
    ko="이 봇은 운영자가 허용한 사람만 쓸 수 있어 비용 없이 거절했어요. 쓰고 싶다면 운영자에게 문의해 주세요.",
    en="Only people the operator has allowed can use this bot. This cost nothing; please ask the operator for access.",
)
NOT_HERE = Text(
    ko="이곳에서는 이 봇을 쓸 수 없고, 비용은 들지 않았어요. 허용된 서버나 채널에서 다시 시도해 주세요.",
    en="This bot can't be used here. This cost nothing; please use it in a server or channel where it is allowed.",
)
BLOCKED = Text(
    ko="이 봇을 쓸 수 없도록 설정되어 있고, 비용은 들지 않았어요. 이유는 운영자에게 문의해 주세요.",
    en="You have been blocked from this bot. This cost nothing; please ask the operator why.",
)

Ids = Collection[str]


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Ids by kind; an empty list is no rule. Quotas are jobs a day, 0 is no limit."""

    allowed_users: Ids = ()
    allowed_roles: Ids = ()
    allowed_channels: Ids = ()
    allowed_guilds: Ids = ()
    blocked_users: Ids = ()
    blocked_roles: Ids = ()
    blocked_channels: Ids = ()
    blocked_guilds: Ids = ()
    user_quota: int = 0
    role_quotas: Mapping[str, int] = field(default_factory=dict)
    restricts: bool = field(init=False)
    """Whether there is any list at all; every interaction asks, so it is found out once."""

    def __post_init__(self) -> None:
        blocks = any((self.blocked_users, self.blocked_roles, self.blocked_channels, self.blocked_guilds))
        object.__setattr__(self, "restricts", self.allows or blocks)

    @property
    def allows(self) -> bool:
        """Whether anything is allowed by name, and thereby all else not."""
        return any((self.allowed_users, self.allowed_roles, self.allowed_channels, self.allowed_guilds))


OPEN = AccessRules()


def refusal(interaction: Interaction, rules: AccessRules) -> Text | None:
    """Return why this user may not use the bot here; None if they may. Looks at nothing but the interaction."""
    if not rules.restricts:
        return None
    user, roles, channels = interaction.user_id, interaction.role_ids, _channels(interaction)
    guilds = _present(interaction.guild_id)
    if user in rules.blocked_users or _meet(roles, rules.blocked_roles):
        return BLOCKED
    if _meet(channels, rules.blocked_channels) or _meet(guilds, rules.blocked_guilds):
        return NOT_HERE
    if not guilds:
        return NOBODY_ELSE if rules.allows and user not in rules.allowed_users else None
    people = rules.allowed_users or rules.allowed_roles
    if people and user not in rules.allowed_users and not _meet(roles, rules.allowed_roles):
        return NOBODY_ELSE
    if rules.allowed_guilds and not _meet(guilds, rules.allowed_guilds):
        return NOT_HERE
    if rules.allowed_channels and not _meet(channels, rules.allowed_channels):
        return NOT_HERE
    return None


def quota(interaction: Interaction, rules: AccessRules) -> int:
    """Return how many jobs this user may have a day; 0 is no limit.

    The largest of their roles' quotas holds, even if it is smaller than what everybody has; who has none of these roles
    may have what everybody may. A role's 0 is the largest there is.
    """
    if not rules.role_quotas:  # as for most operators: then nobody's roles are looked at
        return rules.user_quota
    quotas = [rules.role_quotas[role] for role in interaction.role_ids if role in rules.role_quotas]
    if not quotas:
        return rules.user_quota
    return 0 if 0 in quotas else max(quotas)


def _channels(interaction: Interaction) -> list[str]:
    """The channel and, of a thread, the one it belongs to."""
    channel = interaction.payload.get("channel")
    parent = channel.get("parent_id") if isinstance(channel, dict) and channel.get("type") in _THREADS else None
    return [*_present(interaction.channel_id), *([parent] if is_snowflake(parent) else [])]


def _present(id: str | None) -> list[str]:
    return [id] if id else []


def _meet(ids: Ids, listed: Ids) -> bool:
    return any(id in listed for id in ids)
