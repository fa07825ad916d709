"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

from tests.redis_kit import own_redis, redis_url, shared_redis

__all__ = ["own_redis", "redis_url", "shared_redis"]

# How long an example takes is the machine's business: a slow moment of it must fail no test.
settings.register_profile("quartet", deadline=None)
settings.load_profile("quartet")
