"""Who asks for what and when: the same arrivals for every mode, from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.capacity.cells import SETS, Cell, Plan, Users, Work

USERS = 100
ZIPF_EXPONENT = 1.1
LOW_BITS_WEIGHTS = (82, 40, 48, 45)
"""How often user ids end in 0, 1, 2, 3 modulo 4: 215 snowflakes counted in Discord's own documentation."""

POPULATIONS = 301
FIRST_USER_MS, LAST_USER_MS = 100_000_000_000, 300_000_000_000
"""Milliseconds since Discord's epoch, 2018 to 2024."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One slash command; `at_s` counts from the start of the load."""

    at_s: float
    kind: str
    user_id: int
    prompt: str


@dataclass(frozen=True, slots=True)
class Population:
    """Users, and how often each asks compared to the others."""

    ids: Sequence[int]
    weights: Sequence[float]

    def home_shares(self) -> list[float]:
        """Return which share of the load each of the four homes gets."""
        shares = [0.0] * SETS
        for user_id, weight in zip(self.ids, self.weights, strict=True):
            shares[user_id % SETS] += weight
        return [share / sum(self.weights) for share in shares]

    def modulo_use(self, demand: float) -> float:
        """Return the use of four equal sets if every home serves its own users only, at this multiple of demand."""
        return sum(min(1.0, share * SETS * demand) for share in self.home_shares()) / SETS


def population(users: Users, demand: float, seed: int) -> Population:
    """Return 100 users. Of the Zipf populations the one with the median use by modulo is taken, no lucky draw."""
    if users is Users.ZIPF:
        drawn = [_zipf(random.Random(seed * 1000 + number)) for number in range(POPULATIONS)]
        return sorted(drawn, key=lambda one: one.modulo_use(demand))[POPULATIONS // 2]
    rng = random.Random(seed)
    low_bits = [0] * USERS if users is Users.ONE_HOME else [number % SETS for number in range(USERS)]
    return Population([_snowflake(rng, low) for low in low_bits], [1.0] * USERS)


def arrivals(cell: Cell, plan: Plan) -> list[Arrival]:
    """Return the open-loop load of a cell: a Poisson process for each kind, at the plan's rates."""
    rng = random.Random(f"{plan.seed} {cell.users} {cell.work}")
    people = population(cell.users, plan.demand, plan.seed)
    seconds = plan.load_s(cell.work)
    times = [(at, kind) for kind, rate in plan.rates(cell.work).items() for at in _poisson(rng, rate, seconds)]
    times.sort()
    askers = rng.choices(people.ids, people.weights, k=len(times))
    return [
        Arrival(at, kind, user, _prompt(rng, cell, plan, number))
        for number, ((at, kind), user) in enumerate(zip(times, askers, strict=True))
    ]


def _prompt(rng: random.Random, cell: Cell, plan: Plan, number: int) -> str:
    """A text of its own for each, so that the ledger shows who was worked on twice."""
    asked = f"capacity {cell.users} {cell.work} number {number}"
    if cell.work is not Work.RUSH:
        return asked
    return f"{asked} #seconds={plan.rush_call_s * rng.uniform(0.8, 1.2):.2f}"


def _poisson(rng: random.Random, rate: float, seconds: float) -> list[float]:
    """Arrival times of a Poisson process, given its expected count: uniform, so that every seed asks for as much."""
    return [rng.uniform(0.0, seconds) for _ in range(round(rate * seconds))]


def _zipf(rng: random.Random) -> Population:
    low_bits = rng.choices(range(SETS), LOW_BITS_WEIGHTS, k=USERS)
    weights = [1 / rank**ZIPF_EXPONENT for rank in range(1, USERS + 1)]
    return Population([_snowflake(rng, low) for low in low_bits], weights)


def _snowflake(rng: random.Random, low_bits: int) -> int:
    """A user id (https://discord.com/developers/docs/reference#snowflakes): milliseconds, worker, process, increment.

    The increment's two last bits, which decide the home, are given.
    """
    milliseconds = rng.randrange(FIRST_USER_MS, LAST_USER_MS)
    worker, process, increment = rng.randrange(8), rng.randrange(2), rng.randrange(0, 16, SETS)
    return milliseconds << 22 | worker << 17 | process << 12 | increment | low_bits
