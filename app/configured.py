"""Settings, turned into what the parts of an instance are given."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

from app.balancing.budget import Allowance
from app.balancing.keyset import MINIMAX, OPENAI, STABILITY, KeySet, ManagedKey
from app.balancing.state import CallLog
from app.clock import Clock
from app.commands.access import AccessRules
from app.commands.base import Limits
from app.commands.prices import Prices
from app.settings import InstanceSettings


def limits(settings: InstanceSettings) -> Limits:
    """Return what instant commands tell of one instance's limits."""
    return Limits(
        instance_count=settings.instance_count,
        routing=settings.routing,
        openai_per_minute=settings.openai_rpm,
        stability_per_minute=settings.stability_rpm,
        minimax_per_day=settings.minimax_rpd,
        jobs_at_once=settings.max_concurrent_jobs,
        chat_day=settings.chat_daily_limit,
        image_day=settings.image_daily_limit,
        video_day=settings.video_daily_limit,
    )


def access(settings: InstanceSettings) -> AccessRules:
    """Return who may use the bot, where, and how much."""
    return AccessRules(
        allowed_users=settings.allowed_users,
        allowed_roles=settings.allowed_roles,
        allowed_channels=settings.allowed_channels,
        allowed_guilds=settings.allowed_guilds,
        blocked_users=settings.blocked_users,
        blocked_roles=settings.blocked_roles,
        blocked_channels=settings.blocked_channels,
        blocked_guilds=settings.blocked_guilds,
        user_quota=settings.user_daily_quota,
        role_quotas=settings.role_daily_quotas,
    )


def prices(settings: InstanceSettings) -> Prices:
    """Return the prices the operator stated."""
    return Prices(
        chat_input_per_million=settings.price_chat_input_per_million,
        chat_output_per_million=settings.price_chat_output_per_million,
        image=settings.price_image,
        video=settings.price_video,
        upscale=settings.price_upscale,
    )


def cooldowns(settings: InstanceSettings) -> dict[str, float]:
    """Return the seconds between two jobs of a user, by kind."""
    return {"chat": settings.chat_cooldown_s, "image": settings.image_cooldown_s, "video": settings.video_cooldown_s}


def keys(settings: InstanceSettings, clock: Clock, calls: CallLog) -> KeySet:
    """Return this instance's own keys with their allowances."""
    starts_at = settings.day_starts_at_utc * 3600
    allowances = {
        OPENAI: Allowance(per_minute=settings.openai_rpm, max_in_flight=settings.openai_max_in_flight),
        STABILITY: Allowance(per_minute=settings.stability_rpm, max_in_flight=settings.stability_max_in_flight),
        MINIMAX: Allowance(per_day=settings.minimax_rpd, max_in_flight=settings.minimax_max_in_flight),
    }
    return KeySet(
        ManagedKey(provider, settings.instance_id, clock, calls, replace(allowance, day_starts_at=starts_at))
        for provider, allowance in allowances.items()
    )


def user_reference(settings: InstanceSettings) -> Callable[[str], str]:
    """Return what names a user to a provider; the same on all instances, so that it does not matter who serves them."""
    secret = settings.discord_token.get_secret_value() or settings.discord_public_key
    key = hashlib.sha256(b"quartet user reference " + secret.encode()).digest()
    return lambda user_id: hmac.new(key, user_id.encode(), hashlib.sha256).hexdigest()
