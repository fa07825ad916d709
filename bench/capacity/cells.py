"""What is measured: the ways of using key sets, the users, the kinds of work, and how much of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

SETS = 4
WINDOW_S = 60.0
"""The providers' minute, and the product's: the measured interval is a whole number of these."""


class Mode(StrEnum):
    """How key sets are used."""

    ONE_SET = "one-set"
    FUNCTIONAL = "functional"
    MODULO = "modulo"
    QUARTET = "quartet"


class Users(StrEnum):
    """Who asks."""

    UNIFORM = "uniform"
    ZIPF = "zipf"
    ONE_HOME = "one-home"


class Work(StrEnum):
    """What they ask for: `mixed` is chat, images and videos; `rush` measures answer times below the keys' limits."""

    CHAT = "chat"
    MIXED = "mixed"
    RUSH = "rush"


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement. With `faults` one key of each provider is dead and one answers 429 without Retry-After."""

    mode: Mode
    users: Users
    work: Work
    faults: bool = False

    @property
    def name(self) -> str:
        """Such as `quartet/zipf/chat` or `quartet/zipf/chat/faults`."""
        return "/".join([self.mode, self.users, self.work, *(["faults"] if self.faults else [])])

    @property
    def instances(self) -> int:
        """How many instances, and so key sets, the system has."""
        return 1 if self.mode is Mode.ONE_SET else SETS


@dataclass(frozen=True, slots=True)
class Plan:
    """The limits of each key (requests per minute; MiniMax: per day) and the load.

    `demand` is the load as a multiple of what four sets allow. The load runs for `warm_up_s`, then for `windows`
    minutes that are measured and one more, since the measured interval begins at every moment of a minute (see
    `verdict`). A `rush` is `rush_per_s` chats per second for `rush_s` seconds, each taking about `rush_call_s`, on
    instances of `rush_slots` jobs at once and keys without practical limit; then `rush_tail_s` to answer what waits.
    """

    openai_rpm: int = 60
    stability_rpm: int = 24
    minimax_rpd: int = 15
    demand: float = 1.3
    warm_up_s: float = 20.0
    windows: int = 1
    rush_per_s: float = 2.7
    rush_s: float = 90.0
    rush_tail_s: float = 30.0
    rush_call_s: float = 3.5
    rush_slots: int = 10
    seed: int = 1

    @property
    def saturated_s(self) -> float:
        """How long interactions are sent where keys are at their limits."""
        return self.warm_up_s + (self.windows + 1) * WINDOW_S

    def load_s(self, work: Work) -> float:
        """How long interactions are sent."""
        return self.rush_s if work is Work.RUSH else self.saturated_s

    def run_s(self, work: Work) -> float:
        """How long a cell is watched."""
        return self.rush_s + self.rush_tail_s if work is Work.RUSH else self.saturated_s

    def limits(self, work: Work) -> dict[str, int]:
        """Calls that one key of each provider allows in the measured interval, for the providers this work uses."""
        chat = {"openai": self.openai_rpm * self.windows}
        if work is Work.CHAT:
            return chat
        if work is Work.MIXED:
            return {**chat, "stability": self.stability_rpm * self.windows, "minimax": self.minimax_rpd}
        return {}

    def rates(self, work: Work) -> dict[str, float]:
        """Interactions per second of each kind."""
        if work is Work.RUSH:
            return {"chat": self.rush_per_s}
        full = self.demand * SETS
        chat = {"chat": full * self.openai_rpm / WINDOW_S}
        if work is Work.CHAT:
            return chat
        # A day's limit is no rate: all of it is asked for within the load.
        video = full * self.minimax_rpd / self.saturated_s
        # MiniMax makes pictures too, once Stability's keys are spent.
        return {**chat, "image": full * self.stability_rpm / WINDOW_S + video, "video": video}


def all_cells() -> list[Cell]:
    """Return the full matrix."""
    matrix = [Cell(mode, users, work) for work in (Work.CHAT, Work.MIXED) for users in Users for mode in Mode]
    return [*matrix, *_fault_cells(), *_rush_cells()]


def quick_cells() -> list[Cell]:
    """Return the cells that say most: all modes for Zipf, the worst case of all users on one home, and faults."""
    chat = [Cell(mode, Users.ZIPF, Work.CHAT) for mode in Mode]
    one_home = [Cell(mode, Users.ONE_HOME, Work.CHAT) for mode in (Mode.ONE_SET, Mode.MODULO, Mode.QUARTET)]
    return [*chat, *one_home, Cell(Mode.QUARTET, Users.ZIPF, Work.CHAT, faults=True)]


def _fault_cells() -> list[Cell]:
    chat = [Cell(Mode.QUARTET, users, Work.CHAT, faults=True) for users in Users]
    return [*chat, Cell(Mode.QUARTET, Users.ZIPF, Work.MIXED, faults=True)]


def _rush_cells() -> list[Cell]:
    return [Cell(mode, Users.UNIFORM, Work.RUSH) for mode in (Mode.ONE_SET, Mode.QUARTET)]


def choose(patterns: Sequence[str], cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells whose names match one of the patterns (`quartet/*/chat`); `ValueError` if one matches none."""
    chosen: list[Cell] = []
    for pattern in patterns:
        matching = [cell for cell in cells if fnmatchcase(cell.name, pattern)]
        if not matching:
            raise ValueError(f"no cell is called {pattern!r}; --list shows them all")
        chosen += [cell for cell in matching if cell not in chosen]
    return chosen
