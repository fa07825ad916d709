"""The capacity benchmark end to end, with real processes and a load of a few seconds."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from bench.capacity import run
from bench.capacity.cells import Cell, Mode, Plan, Users, Work
from ops.processes import processes_of
from ops.system import Paths

SHORT = Plan(warm_up_s=1.0, rush_s=4.0, rush_tail_s=4.0, rush_per_s=3.0, rush_call_s=0.3)


@pytest.mark.nginx
@pytest.mark.processes
async def test_a_short_rush_is_measured_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every interaction of a short load is acked, answered once and paid once, and no process stays.

    What is kept for a closer look has the ledger and the logs, and no file with keys.
    """
    cell = Cell(Mode.ONE_SET, Users.UNIFORM, Work.RUSH)
    directory, keep = tmp_path / "data", tmp_path / "kept"
    directory.mkdir()
    monkeypatch.setattr(run, "data_directory", lambda: nullcontext(directory))
    said: list[str] = []
    result = (await run.run_wave([cell], SHORT, keep, said.append))[cell]
    assert (result.sent, result.accepted, result.answered) == (12, 12, 12)
    assert (result.lost, result.twice, result.waiting, result.limited, result.refused) == ([], [], 0, 0, 0)
    assert result.done == 12
    assert result.p50_s is not None
    assert 0.2 < result.p50_s < 6
    assert result.load.unsent == 0
    kept = keep / cell.name.replace("/", "-")
    assert (kept / "ledger.jsonl").stat().st_size > 0
    assert list((kept / "logs").glob("instance-1.log"))
    assert not [*kept.rglob("*env.multi"), *kept.rglob("simulator.json")]
    assert processes_of(Paths(directory)) == []
