"""Which instance is a user's home."""

from __future__ import annotations


def home_of(user_id: str | int, instance_count: int) -> int:
    """Return the home instance, 1..`instance_count`: `user_id % instance_count + 1`, exact for ids of any length.

    nginx computes the same from the raw body (proxy/routing.js); the acceptance tests hold the two against each other.
    """
    return int(user_id) % instance_count + 1
