"""The simulator as `python -m simulator` runs it, and how late its own event loop is: JSON lines beside its ledger."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path

import uvloop

from simulator.app import create_app
from simulator.config import SimulatorConfig
from simulator.server import ProcessServer, server_config

LOOK_EVERY_S = 0.01


async def watch(file: Path) -> None:
    """Note how late each look is: `t` (CLOCK_MONOTONIC) and `late_s`, and `cpu_s` that this process has used."""
    with file.open("w", buffering=1 << 16) as lines:
        flush_at = 0.0
        while True:
            due = time.monotonic() + LOOK_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            seen = {"t": round(now, 6), "late_s": round(now - due, 6), "cpu_s": round(time.process_time(), 4)}
            lines.write(json.dumps(seen) + "\n")
            if now > flush_at:
                lines.flush()
                flush_at = now + 0.5


async def run(port: int, config: Path, ledger: Path) -> None:
    """Serve until told to stop."""
    app = create_app(SimulatorConfig.from_file(config), ledger)
    app.discord.cdn_url = f"http://127.0.0.1:{port}"
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    watcher = asyncio.create_task(watch(ledger.with_suffix(".lag")))
    try:
        await ProcessServer(server_config(app, host="127.0.0.1", port=port), app).serve()
    finally:
        watcher.cancel()


if __name__ == "__main__":
    os.environ.pop("PYTHONASYNCIODEBUG", None)
    uvloop.run(run(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
