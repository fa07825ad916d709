"""The configuration file, as far as it can be judged without asking anybody."""

from __future__ import annotations

from ops.checks import Report, shared_keys
from ops.doctor.finding import Finding, fault, not_checked, ok, warning
from ops.envfile import EnvFile

SUBJECT = "configuration"


def judged(file: EnvFile, report: Report) -> list[Finding]:
    """What `ops.checks` found. Shared keys are left to `ops.doctor.keys`, which knows more about them."""
    found = [fault(SUBJECT, said, f"Correct it in {file.path}.") for said in report.faults]
    if report.settings is None:
        return [*found, not_checked("everything else", "waits for a configuration without faults")]
    told = {said: said.partition("; run: ") for said in report.warnings if said not in shared_keys(file)}
    warnings = [
        warning(SUBJECT, said if not run else about, f"Run: {run}" if run else f"Correct it in {file.path.name}.")
        for said, (about, _, run) in told.items()
    ]
    private = ", and for its owner only" if file.path.exists() and not warnings else ""
    return [*warnings, ok(SUBJECT, f"{file.path.name} is complete{private}")]
