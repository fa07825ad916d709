"""Runs the checks: side by side, each with its own time, told in a fixed order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from ops.doctor.case import Case
from ops.doctor.finding import Finding, not_checked

AT_ONCE = 8
Progress = Callable[[int, int, str], None]
"""Told how many of how many checks are done, and what is still being looked at."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at, and how long that may take, in seconds."""

    name: str
    run: Callable[[Case], Awaitable[Sequence[Finding]]]
    within_s: float = 15.0


async def examine(case: Case, checks: Sequence[Check], progress: Progress) -> AsyncIterator[Finding]:
    """Yield the findings check by check, in the order of `checks`, as soon as each and all before it are done."""
    at_once = asyncio.Semaphore(AT_ONCE)
    pending = [check.name for check in checks]
    progress(0, len(checks), pending[0])

    async def look(check: Check) -> Sequence[Finding]:
        async with at_once:
            findings = await _bounded(check, case)
        pending.remove(check.name)
        progress(len(checks) - len(pending), len(checks), pending[0] if pending else "")
        return findings

    tasks = [asyncio.create_task(look(check)) for check in checks]
    secrets = case.secrets
    try:
        for task in tasks:
            for finding in await task:
                yield finding.without(secrets)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _bounded(check: Check, case: Case) -> Sequence[Finding]:
    """One check that hangs or stumbles must not keep the operator from what the others found."""
    try:
        async with asyncio.timeout(check.within_s):
            return await check.run(case)
    except TimeoutError:
        return [not_checked(check.name, f"took longer than {check.within_s:g} s", "Try again; if it stays so, look at "
                            "this machine's load and network.")]  # fmt: skip
    except Exception as error:  # its text may hold anything
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        line = f", {where.tb_frame.f_code.co_filename.rpartition('/')[2]}:{where.tb_lineno}" if where else ""
        return [not_checked(check.name, f"could not be looked at ({type(error).__name__}{line})")]
