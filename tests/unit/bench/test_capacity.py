"""The capacity benchmark's load, cells, targets and chart figures, without any process."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

from bench.capacity.cells import SETS, Cell, Mode, Plan, Users, Work, all_cells, choose, quick_cells
from bench.capacity.chart import heights
from bench.capacity.machine import Usage
from bench.capacity.report import as_json, conditions, gain, targets
from bench.capacity.stage import faults_of, product_settings, simulator_settings
from bench.capacity.traffic import FIRST_USER_MS, LAST_USER_MS, Population, arrivals, population
from bench.capacity.verdict import Load, Result

PLAN = Plan()
KEYS = {f"{name}_API_KEY_{k}": f"secret-{name}-{k}" for name in ("OPENAI", "MINIMAX", "STABILITY") for k in range(1, 5)}


def result(cell: Cell, done: int, allowed: int = 480, **more: Any) -> Result:
    """Return a result in which nothing but the calls is of interest."""
    figures: dict[str, Any] = {
        "calls_by_set": {}, "sent": 0, "accepted": 0, "refused": 0, "failed_acks": 0, "answered": 0, "apologies": 0,
        "waiting": 0, "p50_s": 3.0, "p95_s": 4.0, "limited": 0, "windows_over": 0, "faulty_calls": 0,
    }  # fmt: skip
    return Result(name=cell.name, calls={"openai": done}, allowed={"openai": allowed}, **{**figures, **more})


def test_every_mode_meets_the_same_load() -> None:
    """The arrivals depend on users and work alone: same times, users and prompts for all four modes."""
    for users in Users:
        loads = [arrivals(Cell(mode, users, Work.MIXED), PLAN) for mode in Mode]
        assert all(load == loads[0] for load in loads)


@pytest.mark.parametrize("work", [Work.CHAT, Work.MIXED])
def test_the_load_asks_for_more_than_four_sets_allow(work: Work) -> None:
    """Each provider is asked for 1.3 times what four sets allow, in ascending order and within the load's time."""
    load = arrivals(Cell(Mode.QUARTET, Users.ZIPF, work), PLAN)
    kinds = Counter(arrival.kind for arrival in load)
    minutes = PLAN.load_s(work) / 60
    assert kinds["chat"] == pytest.approx(1.3 * SETS * PLAN.openai_rpm * minutes, abs=1)
    if work is Work.MIXED:
        assert kinds["video"] == round(1.3 * SETS * PLAN.minimax_rpd)
        # Pictures are made by two providers: more are asked for than both allow.
        assert kinds["image"] == pytest.approx(1.3 * SETS * (PLAN.stability_rpm * minutes + PLAN.minimax_rpd), abs=1)
    assert [arrival.at_s for arrival in load] == sorted(arrival.at_s for arrival in load)
    assert load[0].at_s >= 0
    assert load[-1].at_s < PLAN.load_s(work)
    assert len({arrival.prompt for arrival in load}) == len(load)


def test_users_are_spread_over_homes_as_each_mix_says() -> None:
    """Uniform users load all homes evenly, one-home users one, Zipf users unevenly; all ids are of real dates."""
    assert population(Users.UNIFORM, 1.3, 1).home_shares() == pytest.approx([0.25] * SETS)
    assert population(Users.ONE_HOME, 1.3, 1).home_shares() == pytest.approx([1.0, 0.0, 0.0, 0.0])
    zipf = population(Users.ZIPF, 1.3, 1)
    assert max(zipf.home_shares()) > 0.3
    for users in Users:
        ids = population(users, 1.3, 1).ids
        assert len(set(ids)) == 100
        assert all(FIRST_USER_MS <= user_id >> 22 < LAST_USER_MS for user_id in ids)


def test_use_by_modulo_is_cut_off_at_each_home() -> None:
    """A home with more than a set allows serves one set; one with less serves what it has."""
    people = Population([4, 5, 6, 7], [0.7, 0.1, 0.1, 0.1])
    assert people.modulo_use(1.0) == pytest.approx((1.0 + 3 * 0.4) / 4)
    assert Population([4, 8], [1.0, 1.0]).modulo_use(1.3) == pytest.approx(0.25)


def test_the_zipf_population_is_the_median_one() -> None:
    """About half of the populations a seed draws would do better by modulo than the chosen one, and half worse."""
    chosen = population(Users.ZIPF, 1.3, 1).modulo_use(1.3)
    others = [population(Users.ZIPF, 1.3, seed).modulo_use(1.3) for seed in range(2, 8)]
    assert all(abs(other - chosen) < 0.04 for other in others)


def test_product_and_simulator_are_told_the_same_limits() -> None:
    """What an instance is configured to keep to is what the simulator enforces on each of the four key sets."""
    cell = Cell(Mode.QUARTET, Users.UNIFORM, Work.MIXED)
    product, simulated = product_settings(cell, PLAN), simulator_settings(cell, PLAN, KEYS)
    assert simulated["limits"] == {
        "openai": {"rpm": int(product["OPENAI_RPM"])},
        "stability": {"rpm": int(product["STABILITY_RPM"])},
        "minimax": {"rpd": int(product["MINIMAX_RPD"])},
    }
    labels = Counter((key["provider"], key["label"]) for key in simulated["keys"])
    assert labels == {(p, f"set-{k}"): 1 for p in ("openai", "stability", "minimax") for k in range(1, 5)}


def test_modes_differ_in_one_setting() -> None:
    """One set, the split and the modulo each change one setting of Quartet's configuration, and nothing else."""
    base = product_settings(Cell(Mode.QUARTET, Users.ZIPF, Work.CHAT), PLAN)
    for mode, changed in ((Mode.ONE_SET, "INSTANCE_COUNT"), (Mode.FUNCTIONAL, "ROUTING"), (Mode.MODULO, "STEALING")):
        other = product_settings(Cell(mode, Users.ZIPF, Work.CHAT), PLAN)
        assert {name for name in {*base, *other} if base.get(name) != other.get(name)} == {changed}


def test_faults_hit_two_keys_of_each_provider_in_use() -> None:
    """With faults one key of each provider is rejected and another answers 429, without a word of when to return."""
    faults = faults_of(Cell(Mode.QUARTET, Users.ZIPF, Work.MIXED, faults=True), PLAN)
    assert {(fault["target"], fault["key"], fault["kind"]) for fault in faults} == {
        (provider, *what)
        for provider in ("openai", "stability", "minimax")
        for what in (("set-1", "401"), ("set-2", "429"))
    }
    assert not any("retry_after" in fault for fault in faults)
    assert faults_of(Cell(Mode.QUARTET, Users.ZIPF, Work.MIXED), PLAN) == []


def test_cells_are_chosen_by_pattern() -> None:
    """Patterns choose cells in their order, none twice; one that fits nothing is an error and no silent nothing."""
    chosen = choose(["quartet/*/chat", "quartet/zipf/*"], all_cells())
    assert [cell.name for cell in chosen] == [
        "quartet/uniform/chat", "quartet/zipf/chat", "quartet/one-home/chat", "quartet/zipf/mixed",
        "quartet/zipf/chat/faults", "quartet/zipf/mixed/faults",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no cell is called 'quartet/nobody'"):
        choose(["quartet/nobody"], all_cells())
    names = [cell.name for cell in all_cells()]
    assert len(set(names)) == len(names)
    assert set(quick_cells()) <= set(all_cells())


def test_the_gain_is_measured_against_one_set_under_the_same_load() -> None:
    """A gain has the same users and work in both; without that cell, or with faults, there is none."""
    quartet, one = Cell(Mode.QUARTET, Users.ZIPF, Work.CHAT), Cell(Mode.ONE_SET, Users.ZIPF, Work.CHAT)
    other = Cell(Mode.QUARTET, Users.UNIFORM, Work.CHAT)
    results = {cell: result(cell, done) for cell, done in ((one, 120), (quartet, 474), (other, 480))}
    assert gain(quartet, results) == pytest.approx(3.95)
    assert gain(other, results) is None


def test_targets_say_what_fell_short() -> None:
    """Too small a gain, too little use, a call over a limit and a lost interaction each miss a target of their own."""
    quartet, one = Cell(Mode.QUARTET, Users.ZIPF, Work.CHAT), Cell(Mode.ONE_SET, Users.ZIPF, Work.CHAT)
    good = targets({one: result(one, 120), quartet: result(quartet, 474)})
    assert all(target.reached for target in good)
    assert len(good) == 4
    poor = result(quartet, 400, limited=1, lost=["7"])
    assert not any(target.reached for target in targets({one: result(one, 120), quartet: poor}))


def test_answer_times_have_a_range_to_be_in() -> None:
    """In a rush one set is to take 5 to 10 s and four 2 to 5 s, judged by the median."""
    one, four = (Cell(mode, Users.UNIFORM, Work.RUSH) for mode in (Mode.ONE_SET, Mode.QUARTET))
    judged = targets({one: result(one, 0, p50_s=7.0), four: result(four, 0, p50_s=5.5)})
    assert [target.reached for target in judged[:2]] == [True, False]


def test_a_busy_machine_is_named() -> None:
    """The report says how busy the machine was, and warns if that may have been what was measured."""
    cell = Cell(Mode.QUARTET, Users.ZIPF, Work.CHAT)
    calm, full = (result(cell, 480, load=Load(machine_busy=busy, late_ms=12.0)) for busy in (0.4, 0.97))
    assert conditions({cell: calm}).endswith("40% busy; the latest interaction left 12 ms after its time.")
    assert "the machine is measured too" in conditions({cell: full})
    assert conditions({}) == "Nothing was measured."


def test_the_chart_shows_what_was_compared() -> None:
    """Bars are the multiples of one set from the run's JSON; groups nobody measured are left out."""
    quartet, one = Cell(Mode.QUARTET, Users.ZIPF, Work.CHAT), Cell(Mode.ONE_SET, Users.ZIPF, Work.CHAT)
    run = as_json({one: result(one, 120), quartet: result(quartet, 480)}, PLAN, {})
    assert heights(run) == {(Work.CHAT, Users.ZIPF): {Mode.ONE_SET: 1.0, Mode.QUARTET: 4.0}}


def test_processor_time_is_counted() -> None:
    """Work of this process shows up as processor time of it and of the machine; a process that is gone is no error."""
    before = Usage.of([os.getpid(), 2**22 + 1])
    assert set(before.by_process) == {os.getpid()}
    while (now := Usage.of([os.getpid()])).by_process[os.getpid()] < before.by_process[os.getpid()] + 0.1:
        sum(range(10_000))
    used = now.since(before)
    assert 0 < used.cores < 1.5
    assert 0 < used.machine_busy <= 1
