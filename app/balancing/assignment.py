"""Which instance is a user's home."""

from __future__ import annotations


def home_of(user_id: str | int, instance_count: int) -> int:
    """Return the home instance, 1..`instance_count`: `user_id % instance_count + 1`, exact for ids of any length.

    nginx computes the same from the raw body (proxy/routing.js); the acceptance tests hold the two against each other.
    Another count moves users, but twice the count moves no more than any assignment would have to (docs/growing.md).
    """
    return int(user_id) % instance_count + 1


FUNCTIONAL_HOMES = {"chat": 1, "image": 2, "video": 3}
"""The old split, kept to compare against: one feature, and so one key, for each instance."""


def job_home(user_id: str, kind: str, instance_count: int, routing: str) -> int:
    """Return the home of a user's job of `kind`: by user, or with `routing` `functional` by feature."""
    if routing == "functional":
        return (FUNCTIONAL_HOMES[kind] - 1) % instance_count + 1
    return home_of(user_id, instance_count)
