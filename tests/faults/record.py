"""The record of one fault test: seed, what was done when, figures, verdicts. Written as JSON and as Markdown."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simulator.check import Report
from tests.faults.stage import Happening

INVARIANTS = {
    "I1 every accepted interaction has exactly one final outcome, none is left open": ("lost", "left_open"),
    "I2 no second visible answer": ("twice",),
    "I3 no visible change after the final one": ("changed_after_final",),
    "I4 every ack within 3 s": ("late",),
    "I5 no key over its budget": ("over_budget",),
    "I6 no secret in any output": ("leaks", "mass_pings"),
    "Discord's rules: retry_after, token life, gone messages, invalid requests": (
        "impatient", "expired", "after_gone", "invalid_requests"),
}  # fmt: skip
SHOWN_OF_EACH = 8
STARVED = 0.55
"""With this share of pressure the machine has much more to do than these tests: times then say nothing of Quartet."""


@dataclass
class Check:
    """One thing that had to hold."""

    name: str
    ok: bool
    detail: str = ""
    timed: bool = False


@dataclass
class Record:
    """What a test found; `require` fails it if anything did not hold."""

    number: int
    title: str
    seed: int
    scale: str
    store: str = "sqlite"
    part: str = ""
    began_wall: float = field(default_factory=time.time)
    seconds: float = 0.0
    happenings: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    complete: bool = False
    starved: float = 0.0
    """The share of the time in which some process of the machine wanted a processor and had none."""

    @property
    def ok(self) -> bool:
        """Whether the test came to its end and all held."""
        return self.complete and bool(self.checks) and all(check.ok for check in self.checks)

    def check(self, name: str, ok: bool, detail: object = "") -> None:
        """Note whether something held."""
        self.checks.append(Check(name, bool(ok), str(detail)))

    def timed(self, name: str, ok: bool, detail: object = "") -> None:
        """Note whether something that hangs on time held: where the machine was starved, that says nothing of us."""
        self.checks.append(Check(name, bool(ok), str(detail), timed=True))

    def judge(self, report: Report) -> None:
        """Note the checker's verdict on each invariant, and its figures."""
        violations = report.violations()
        for name, kinds in INVARIANTS.items():
            found = {kind: violations[kind] for kind in kinds if kind in violations}
            shown = {kind: f"{len(of)}: {of[:SHOWN_OF_EACH]}" for kind, of in found.items()}
            note = self.timed if kinds == ("late",) else self.check
            note(name, not found, shown or "")
        self.figures["ledger"] = report.figures

    def tell(self, began: float, happenings: list[Happening]) -> None:
        """Note what was done to the system, in seconds after its start."""
        self.happenings += [{"at_s": round(h.t - began, 3), "what": h.what} for h in happenings]

    def write(self, directory: Path) -> Path:
        """Write both forms and return the Markdown's path."""
        directory.mkdir(parents=True, exist_ok=True)
        parts = (f"{self.number:02d}", self.part, self.scale, "" if self.store == "sqlite" else self.store)
        name = "-".join(("fault", *filter(None, parts)))
        values = {**asdict(self), "ok": self.ok}
        (directory / f"{name}.json").write_text(json.dumps(values, indent=2, ensure_ascii=False, default=str) + "\n")
        path = directory / f"{name}.md"
        path.write_text(self.markdown())
        return path

    def markdown(self) -> str:
        """Return the record for a reader."""
        lines = [f"# Fault {self.number}: {self.title}", "",
                 f"{'PASSED' if self.ok else 'FAILED'}, {self.scale} form, store {self.store}, seed {self.seed}, "
                 f"{self.seconds:.0f} s", "", "| | held | detail |", "|---|---|---|"]  # fmt: skip
        lines += [f"| {c.name} | {'yes' if c.ok else '**NO**'} | {_cell(c.detail)} |" for c in self.checks]
        lines += ["", "## Figures", "", "```json",
                  json.dumps(self.figures, indent=1, ensure_ascii=False, default=str), "```"]  # fmt: skip
        lines += ["", "## What was done when", ""]
        lines += [f"- {h['at_s']:.3f} s: {h['what']}" for h in self.happenings] or ["- nothing but load"]
        if self.not_run:
            lines += ["", "## Not run or not judged", "", *(f"- {reason}" for reason in self.not_run)]
        return "\n".join(lines) + "\n"

    def require(self) -> None:
        """Fail, naming everything that did not hold."""
        self.complete = True
        if self.starved > STARVED:
            self._set_aside([check for check in self.checks if check.timed and not check.ok])
        failed = [f"{check.name}: {check.detail}" for check in self.checks if not check.ok]
        assert not failed, f"fault {self.number}, seed {self.seed}:\n  " + "\n  ".join(failed)
        assert self.checks, "nothing was checked"

    def _set_aside(self, late: list[Check]) -> None:
        self.checks = [check for check in self.checks if check not in late]
        why = f"not judged, for want of processor time ({self.starved:.0%} of the time somebody waited for some)"
        self.not_run += [f"{check.name}: {why}: {check.detail}" for check in late]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:500]
