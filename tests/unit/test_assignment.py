"""A user's home is the id modulo the count, plus one, exact for ids of any length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.balancing.assignment import FUNCTIONAL_HOMES, home_of, job_home


@given(st.integers(0, 10**20 - 1), st.integers(1, 16))
def test_a_home_is_the_remainder_plus_one(user: int, count: int) -> None:
    """The same for the number and its digits, within 1 and the count, and beyond 2^53 too."""
    home = home_of(str(user), count)
    assert home == home_of(user, count) == user % count + 1
    assert 1 <= home <= count


@pytest.mark.parametrize(
    ("user", "home"),
    [("0", 1), ("3", 4), ("643945264868098049", 2), ("9007199254740993", 2), ("18446744073709551615", 4)],
)
def test_known_users_have_known_homes(user: str, home: int) -> None:
    """Worked out by hand for four instances: the last two digits decide."""
    assert home_of(user, 4) == home == int(user[-2:]) % 4 + 1


@pytest.mark.parametrize("kind", FUNCTIONAL_HOMES)
@pytest.mark.parametrize("count", range(1, 17))
def test_a_job_goes_to_its_users_home_or_to_its_features(kind: str, count: int) -> None:
    """By user whatever the kind; with the old split by kind whoever the user, and always to an instance that exists."""
    assert {job_home(str(user), kind, count, "user") for user in range(count)} == set(range(1, count + 1))
    (home,) = {job_home(str(user), kind, count, "functional") for user in range(40)}
    assert home == (
        FUNCTIONAL_HOMES[kind] if FUNCTIONAL_HOMES[kind] <= count else (FUNCTIONAL_HOMES[kind] - 1) % count + 1
    )
