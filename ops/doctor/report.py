"""Shows the findings: as a table with what to do, or as JSON; and while they are made, what is being looked at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from ops.doctor.finding import Finding, State

STYLES = {State.OK: "green", State.WARNING: "yellow", State.FAULT: "bold red", State.NOT_CHECKED: "dim"}


class Watch:
    """Tells on standard error how far the doctor is; on one line where that is a terminal."""

    def __init__(self, err: Console) -> None:
        self._status = Status("Looking around ...", console=err) if err.is_terminal else None

    def __enter__(self) -> Watch:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, done: int, of: int, waiting_for: str) -> None:
        """Take the news of `ops.doctor.runner.Progress`."""
        if self._status is not None and waiting_for:
            self._status.update(f"{done} of {of} checks done, now: {escape(waiting_for)} ...")


def as_json(findings: Sequence[Finding]) -> str:
    """One array, an object for each finding."""
    return json.dumps([finding.to_json() for finding in findings], indent=2, ensure_ascii=False)


def table_of(findings: Sequence[Finding]) -> Table:
    """State, what was looked at, what was found; and below that, what to do."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("state", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("found, and what to do", overflow="fold")
    for finding in findings:
        style = STYLES[finding.state]
        advice = f"\n[bold]→ {escape(finding.advice)}[/]" if finding.advice else ""
        table.add_row(f"[{style}]{finding.state}[/]", escape(finding.subject), escape(finding.detail) + advice)
    return table


def summary_of(findings: Sequence[Finding]) -> str:
    """One line that says whether anything has to be done."""
    count = Counter(finding.state for finding in findings)
    parts = [_counted(count[State.FAULT], "fault"), _counted(count[State.WARNING], "warning")]
    parts += [f"{count[State.OK]} ok", f"{count[State.NOT_CHECKED]} not checked"]
    return ", ".join(parts) + "."


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
