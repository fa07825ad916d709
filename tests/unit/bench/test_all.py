"""`bench all` reads what each benchmark says of itself."""

from __future__ import annotations

import pytest

from bench.all import BENCHMARKS, Benchmark, Outcome, is_missed, is_verdict, lines, main, run
from bench.targets import Target


def test_every_way_of_saying_a_verdict_is_heard() -> None:
    """The common line, the table of `capacity` and the words of `streams`; nothing else."""
    reached, missed = Target("a", 2, 1).line(), Target("a", 1, 2).line()
    for line, is_bad in (
        (reached, False),
        (missed, True),
        ("use of four sets   0.95   1.00   reached  ", False),
        ("use of four sets   0.95   0.90   missed", True),
        ("MISSED: Discord had to answer 429", True),
    ):
        assert is_verdict(line)
        assert is_missed(line) is is_bad
    assert not is_verdict("quartet / hikari: 1.30 (1.12-1.48)")
    assert not is_verdict("the limit was reached in round 3")


def test_the_table_counts_targets_and_names_the_missed() -> None:
    """A miss is told below; an end without a reason is an error."""
    outcomes = [
        Outcome("acks", 1.0, 1, [Target("a", 2, 1).line(), Target("b", 1, 2).line()]),
        Outcome("store", 1.0, 1),
    ]
    text = "\n".join(lines(outcomes))
    assert "acks             1.0        2        1       1  well" in text
    assert "with an error" in text
    assert "acks: b: 1.00 (target ≥ 2.00): missed by 1.00" in text
    assert [one.failed for one in outcomes] == [False, True]


def test_only_options_that_a_benchmark_has_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    """The output is shown as it comes, and the exit code is kept."""
    one = Benchmark("unknown", "bench.no_such_module", 1, 1, ("--quick",))
    outcome = run(one, ["--quick", "--save"])
    assert outcome.exit_code == 1
    assert outcome.failed
    assert "=== unknown ===" in capfd.readouterr().out


def test_every_module_is_there_and_takes_its_options() -> None:
    """A benchmark that was renamed is noticed here."""
    for one in BENCHMARKS:
        text = _source(one.module)
        for option in one.options:
            assert f'"{option}"' in text, (one.name, option)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names there are."""
    with pytest.raises(SystemExit):
        main(["--only", "speed"])
    assert "there is no speed; there are acks" in capsys.readouterr().err


def _source(module: str) -> str:
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin)
    return (path.with_name("__main__.py") if path.name == "__init__.py" else path).read_text()
