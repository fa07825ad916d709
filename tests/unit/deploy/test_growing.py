"""The figures of docs/growing.md: how many users get another home when the number of instances changes."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable

import pytest

from app.balancing.assignment import home_of
from ops.envfile import ROOT

ROW = re.compile(r"\| (\d+) → (\d+) \| (\d+) % \| (\d+) % \|")
ROWS = [tuple(map(int, row)) for row in ROW.findall((ROOT / "docs" / "growing.md").read_text())]


def rendezvous(user: int, count: int) -> int:
    """The home by rendezvous hashing: the instance with the largest hash for this user."""
    return max(range(1, count + 1), key=lambda k: hashlib.blake2b(f"{user}:{k}".encode(), digest_size=8).digest())


def moved(home: Callable[[int, int], int], before: int, after: int, users: int) -> float:
    """The share of users whose home changes."""
    return sum(home(user, before) != home(user, after) for user in range(users)) / users


def test_the_table_covers_the_ways_to_grow() -> None:
    """Doubling from 4 to 16, the step of one, and one back."""
    assert {(4, 5), (4, 8), (8, 16), (16, 15)} <= {(before, after) for before, after, _, _ in ROWS}


@pytest.mark.parametrize(("before", "after", "modulo", "least"), ROWS)
def test_the_moved_shares_are_those_of_the_code(before: int, after: int, modulo: int, least: int) -> None:
    """Modulo exactly, over a whole period; the least possible is what the larger side has more, and rendezvous hashing
    comes to it.
    """
    assert round(100 * moved(home_of, before, after, math.lcm(before, after))) == modulo
    assert round(100 * abs(after - before) / max(before, after)) == least
    assert abs(100 * moved(rendezvous, before, after, 4000) - least) < 3


def test_doubling_by_modulo_moves_no_more_than_has_to_move() -> None:
    """Whoever moves goes to a new instance, and every new one gets its share from one old one."""
    for count in (1, 2, 4, 8):
        ways = {(home_of(user, count), home_of(user, 2 * count)) for user in range(8 * count)}
        assert ways == {(k, new) for k in range(1, count + 1) for new in (k, k + count)}
