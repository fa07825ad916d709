"""What choosing a store costs who does not use the other one."""

from __future__ import annotations

import asyncio
import sys


async def test_an_instance_on_sqlite_loads_no_redis_client() -> None:
    """Its 6 MB and its tenth of a second are for those who use it: nothing of it is imported with the instance."""
    code = "import sys, app.main, app.web.protocol; sys.exit(','.join(m for m in sys.modules if 'redis' in m))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    _, said = await process.communicate()
    assert said.strip() == b""
