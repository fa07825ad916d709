"""Fault 16: our own code is made wrong in five ways, and the checker has to see each of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ops.envfile import ROOT
from simulator.check import Report
from tests.faults.copies import MUTANTS, patched_copy
from tests.faults.scenarios import FATAL_TO, THINKING_1S
from tests.faults.trial import Trial

NUMBER = 16
TITLE = "five mutants of our own code, and the code as it is"
SETTLE_S = 15.0
MUTANT_SETTLE_S = 8.0
EXPECTED = {
    "ack_before_record": {"lost"},
    "dedupe_off": {"twice", "changed_after_final"},
    "post_instead_of_patch": {"twice"},
    "no_fencing": {"twice", "changed_after_final"},
    "finish_before_answer": {"lost"},
}

pytestmark = [pytest.mark.faults, pytest.mark.processes, pytest.mark.nginx, pytest.mark.timeout(900)]


async def run(trial: Trial, name: str, tree: Path, scenarios: list[str], settle_s: float) -> Report:
    """Play scenarios, each to its end, on the system of a tree; return the checker's report."""
    settings = {"LEASE_S": "2", "INSTANCE_COUNT": str(trial.size(2, 4))}
    count = trial.size(2, 4)
    async with trial.stage(name, tree=tree, count=count, settings=settings, simulator=THINKING_1S) as (running, judge):
        for scenario in scenarios:
            running.note(f"{name}: {FATAL_TO[scenario].__name__}")
            await FATAL_TO[scenario](trial, running, judge)
            await judge.settled(settle_s)
            await judge.quiet()
            await running.control.clear_faults()
            await running.all_healthy()
        if name == "as_it_is":
            await trial.verdict(running, judge)
        else:
            trial.record.tell(running.began, running.happenings)
        return judge.checker.report()


async def test_the_checker_sees_five_of_five_mutants(trial: Trial) -> None:
    """Each mutant turns it red with the violation it must cause; the same faults leave the real code green."""
    record = trial.record
    report = await run(trial, "as_it_is", ROOT, list(FATAL_TO), SETTLE_S)
    record.check("the code as it is: green", report.ok, report.violations())
    for name in MUTANTS:
        tree = await asyncio.to_thread(patched_copy, trial.directory / f"tree-{name}", name)
        report = await run(trial, name, tree, trial.size([name], list(FATAL_TO)), MUTANT_SETTLE_S)
        found = {kind: len(of) for kind, of in report.violations().items()}
        record.figures[name] = found
        record.check(f"{name}: red", bool(EXPECTED[name] & set(found)), found)
    record.require()
