"""`deploy-multi.sh doctor`: looks for what keeps a bot from answering; changes nothing and costs nothing.

Each module looks at one side of it and yields `Finding`s; `visit` runs them all side by side.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx2
from nacl.signing import SigningKey

from ops.checks import check
from ops.doctor import address, clocks, configuration, discord, endpoint, keys, machine, store, system
from ops.doctor.asking import aside
from ops.doctor.case import Case
from ops.doctor.finding import Finding, State
from ops.doctor.place import look_around
from ops.doctor.runner import Check, Progress, examine
from ops.envfile import EnvFile
from ops.failures import Exit, OpsError

__all__ = ["Finding", "State", "signing_key", "visit"]


def checks(case: Case) -> list[Check]:
    """Everything there is to look at, in the order in which it is told."""
    return [
        Check("versions", machine.versions),
        Check("disk", machine.disk),
        Check("clock", clocks.skew, 20.0),
        Check("programs", system.programs, 25.0),
        Check("instances", system.instances),
        Check("signatures", endpoint.near, 60.0),
        Check("store", store.store, 30.0),
        Check("Discord", discord.identity),
        Check("Discord, address", discord.address),
        Check("Discord, commands", discord.commands, 30.0),
        Check("name and certificate", address.public, 30.0),
        Check("public address", endpoint.public, 60.0),
        *keys.checks(case),
    ]


async def visit(
    file: EnvFile,
    progress: Progress = lambda *_: None,
    *,
    url: str = "",
    key: SigningKey | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Finding]:
    """Look at everything; a file with faults is as far as it looks."""
    report = check(file)
    for finding in configuration.judged(file, report):
        yield finding
    if report.settings is None:
        return
    settings = report.settings
    place = await aside(lambda: look_around(file, settings, environment))
    async with httpx2.AsyncClient() as world, httpx2.AsyncClient(trust_env=False) as near:
        case = Case(file, settings, place, world, near, given_url=url, signing_key=key)
        if case.simulated and key is None:
            case.signing_key = signing_key(place.paths.simulated_key)
        async for finding in examine(case, checks(case), progress):
            yield finding


def signing_key(path: Path) -> SigningKey | None:
    """Read an Ed25519 seed of 64 hexadecimal digits; None if there is no such file."""
    try:
        return SigningKey(bytes.fromhex(path.read_text().strip()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = "can't be read" if isinstance(error, OSError) else "does not hold 64 hexadecimal digits"
        raise OpsError(f"{path}: {reason}.", code=Exit.CONFIGURATION) from None
