"""Does this machine know what time it is? A signature more than five minutes off is refused."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from app.discord.signature import TOLERANCE_S
from ops.doctor.asking import Answer, aside, ask
from ops.doctor.case import Case
from ops.doctor.endpoint import AGENT
from ops.doctor.finding import Finding, fault, not_checked, ok, warning

SKEW = "clock"
SYNCHRONISED = "clock, NTP"
A_LITTLE_S = 3.0
"""What a `Date` header with whole seconds and a slow line can't explain any more."""
MUCH_S = 60.0
NTP_ADVICE = "Switch it on: timedatectl set-ntp true (or install chrony)."


async def skew(case: Case) -> Sequence[Finding]:
    """Compare this machine's clock with Discord's, and with the public address's."""
    answers = {"Discord": await case.application()}
    if url := await case.public_url():
        client = case.near if case.simulated else case.world
        answers["the public address"] = await ask(
            client, "GET", url, headers={"User-Agent": AGENT}, within_s=5.0, now=case.now
        )
    return [*_compared(answers), *await aside(synchronised)]


def _compared(answers: dict[str, Answer]) -> list[Finding]:
    measured = {name: ahead for name, answer in answers.items() if (ahead := answer.clock_ahead()) is not None}
    if not measured:
        return [not_checked(SKEW, "nobody told the time")]
    shown = ", ".join(f"{_offset(ahead)} {name}'s" for name, ahead in measured.items())
    worst = max(abs(ahead) for ahead in measured.values())
    if worst >= MUCH_S:
        advice = f"{NTP_ADVICE} Beyond {TOLERANCE_S} s every interaction is refused with 401."
        return [fault(SKEW, f"is {shown}", advice)]
    return [warning(SKEW, f"is {shown}", NTP_ADVICE) if worst >= A_LITTLE_S else ok(SKEW, f"is {shown}")]


def _offset(ahead: float) -> str:
    if abs(ahead) < A_LITTLE_S:
        return "within 3 s of"
    return f"{abs(ahead):,.0f} s {'behind' if ahead > 0 else 'ahead of'}"


def synchronised() -> list[Finding]:
    """Ask systemd whether something keeps the clock right."""
    if shutil.which("timedatectl") is None:
        return [not_checked(SYNCHRONISED, "timedatectl is not here; in a container the host's clock counts")]
    command = ["timedatectl", "show", "--property=NTP", "--property=NTPSynchronized"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return [not_checked(SYNCHRONISED, "timedatectl does not answer")]
    return [judged(done.stdout)]


def judged(shown: str) -> Finding:
    """Read what `timedatectl show` printed."""
    told = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if told.get("NTPSynchronized") == "yes":
        return ok(SYNCHRONISED, "the clock is synchronised")
    if "NTPSynchronized" not in told:
        return not_checked(SYNCHRONISED, "systemd does not run here, so nobody knows")
    why = "is switched on, and has not reached a server" if told.get("NTP") == "yes" else "is switched off"
    return warning(SYNCHRONISED, f"the clock is not synchronised: NTP {why}", NTP_ADVICE)
