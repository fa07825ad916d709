"""A visit of the doctor's as its checks see it, for tests of single checks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from nacl.signing import SigningKey

from ops.checks import check
from ops.doctor.case import Case
from ops.doctor.place import Kind, Place
from ops.system import Paths
from tests.unit.ops.files import env_file

KEY = SigningKey(bytes(range(32)))
"""What the tests' Discord signs with."""


@asynccontextmanager
async def a_case(
    directory: Path, *, place: Place | None = None, url: str = "", key: SigningKey | None = None, **changes: str | None
) -> AsyncIterator[Case]:
    """Yield a case over a complete env file with `changes`; its public key is `KEY`'s."""
    given = {
        "DATA_DIR": f"'{directory}/data'",
        "DISCORD_API_URL": "http://127.0.0.1:1/api",
        "DISCORD_PUBLIC_KEY": KEY.verify_key.encode().hex(),
        **changes,
    }
    file = env_file(directory, **given)
    report = check(file)
    assert report.settings is not None, report.faults
    where = place or Place(Kind.STOPPED, Paths(file.data_dir))
    async with httpx2.AsyncClient(trust_env=False) as http:
        yield Case(file, report.settings, where, http, http, given_url=url, signing_key=key)
