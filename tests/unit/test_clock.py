"""The product's clock keeps steady while the machine's is set."""

from __future__ import annotations

import pytest

from app.clock import SLEW, SharedClock, SystemClock


class Machine:
    """A machine's clocks, moved by hand."""

    def __init__(self) -> None:
        self.monotonic = 50.0
        self.wall = 1_800_000_000.0

    def pass_s(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def machine() -> Machine:
    """A machine."""
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> SystemClock:
    """A clock on that machine."""
    return SystemClock(lambda: machine.wall, lambda: machine.monotonic)


def test_agrees_with_an_undisturbed_machine(machine: Machine, clock: SystemClock) -> None:
    """While nobody sets the wall clock, both say the same."""
    for _ in range(100):
        machine.pass_s(1.7)
        assert clock.now() == pytest.approx(machine.wall, abs=1e-6)


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 900.0, -900.0])
def test_a_jump_is_followed_slowly(machine: Machine, clock: SystemClock, jump: float) -> None:
    """After a jump the clock goes on steadily, never back, and nears the wall clock by at most the slew."""
    machine.wall += jump
    before = clock.now()
    for _ in range(60):
        machine.pass_s(1.0)
        now = clock.now()
        assert now - before + 1e-6 >= 1 - SLEW and now - before <= 1 + SLEW + 1e-6
        before = now
    assert clock.wall() == machine.wall


def test_a_jump_is_followed_in_the_end(machine: Machine, clock: SystemClock) -> None:
    """A clock that was set right is agreed with again."""
    machine.wall += 900
    machine.pass_s(900 / SLEW + 1)
    assert clock.now() == pytest.approx(machine.wall, abs=1e-3)


def test_a_new_process_adopts_the_others_time(machine: Machine, clock: SystemClock) -> None:
    """A process that starts after a jump agrees with those that started before, once it has their offset."""
    machine.wall += 3600
    newcomer = SystemClock(lambda: machine.wall, lambda: machine.monotonic)
    newcomer.offset = clock.offset
    machine.pass_s(1)
    assert newcomer.now() == pytest.approx(clock.now(), abs=0.2)


class Asked:
    """A shared clock, `ahead` of the machine's; each answer takes a second there and a second back."""

    def __init__(self, machine: Machine, ahead: float | None) -> None:
        self.machine = machine
        self.ahead = ahead

    async def __call__(self) -> float | None:
        self.machine.pass_s(1.0)
        shown = None if self.ahead is None else self.machine.wall + self.ahead
        self.machine.pass_s(1.0)
        return shown


async def test_adopts_the_shared_clock(machine: Machine, clock: SystemClock) -> None:
    """A machine whose clock is wrong shows the shared clock's time at once, and keeps to it."""
    assert await SharedClock(clock, Asked(machine, ahead=-120.0)).adopt()
    for _ in range(100):
        assert clock.now() == pytest.approx(machine.wall - 120.0, abs=1e-6)
        machine.pass_s(1.7)
    assert clock.wall() == machine.wall


async def test_without_a_shared_clock_it_keeps_its_own(machine: Machine, clock: SystemClock) -> None:
    """Where the store has no clock nothing is adopted."""
    assert not await SharedClock(clock, Asked(machine, ahead=None)).adopt()
    assert clock.now() == pytest.approx(machine.wall, abs=1e-6)


def test_follows_the_shared_clock_steadily(machine: Machine, clock: SystemClock) -> None:
    """When the machine's clock is set, the shared one stays the aim, and nothing jumps."""
    machine.wall += 600.0
    clock.follow(machine.wall - 600.0)
    before = clock.now()
    for _ in range(20):
        machine.pass_s(1.0)
        now = clock.now()
        assert now - before == pytest.approx(1.0, abs=1e-6)
        before = now
