"""Whether the machine itself had time for the test."""

from __future__ import annotations

import time
from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")


class Pressure:
    """Measures from its making on how much of the time somebody had to wait for a processor (Linux, PSI)."""

    def __init__(self) -> None:
        self._t, self._stalled = time.monotonic(), _stalled_s()

    def share(self) -> float:
        """Return that share, 0 to 1; 0 where the kernel does not tell."""
        passed = time.monotonic() - self._t
        return min(1.0, (_stalled_s() - self._stalled) / passed) if passed > 0 else 0.0


def _stalled_s() -> float:
    """https://docs.kernel.org/accounting/psi.html: `some … total=` counts microseconds."""
    try:
        return int(PRESSURE.read_text().partition("total=")[2].split()[0]) / 1e6
    except (OSError, ValueError, IndexError):
        return 0.0
