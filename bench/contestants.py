"""The programs that are compared, and how each is started."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

from bench.interactions import APPLICATION_ID, Signer
from bench.processes import ServerProcess, free_port, server

QUARTET, HIKARI, DISCORD_HTTP, BARE = "quartet", "hikari", "discord.http", "bare"

NOWHERE = "http://127.0.0.1:9"
"""The discard port: whatever an instance tries to say to Discord or a provider is refused."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """`path` is where it takes interactions; `recorded` returns the ids that it has on disk in its directory."""

    name: str
    path: str
    arguments: Callable[[int, Signer], Sequence[str]]
    environment: Callable[[int, Signer, Path], Mapping[str, str]]
    recorded: Callable[[Path], Collection[str]] | None = None

    def start(self, signer: Signer, directory: Path, core: int | None) -> AbstractContextManager[ServerProcess]:
        """Start it on a free port, on `core`."""
        port = free_port()
        return server(
            self.arguments(port, signer),
            port=port,
            directory=directory,
            environment=self.environment(port, signer, directory),
            core=core,
        )


def quartet_environment(port: int, signer: Signer, directory: Path) -> Mapping[str, str]:
    """One instance as it is, set to accept and record without end and to work on nothing."""
    return {
        "INSTANCE_ID": "1",
        "INSTANCE_COUNT": "1",
        "PORT": str(port),
        "DATA_DIR": str(directory),
        "DISCORD_APPLICATION_ID": APPLICATION_ID,
        "DISCORD_PUBLIC_KEY": signer.public_key.hex(),
        "OPENAI_API_KEY": "none",
        "MINIMAX_API_KEY": "none",
        "STABILITY_API_KEY": "none",
        "MAX_CONCURRENT_JOBS": "0",
        "MAX_QUEUED_JOBS": "0",
        "LOG_LEVEL": "WARNING",
        **{f"{name}_URL": NOWHERE for name in ("DISCORD_API", "OPENAI_BASE", "STABILITY_BASE", "MINIMAX_BASE")},
    }


def recorded_jobs(directory: Path) -> Collection[str]:
    """Return the interaction ids in an instance's job store."""
    with closing(sqlite3.connect(directory / "quartet.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM jobs")]


def _module(name: str) -> Callable[[int, Signer], Sequence[str]]:
    return lambda port, signer: ["-m", f"bench.servers.{name}", str(port), signer.public_key.hex()]


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(QUARTET, "/interactions", lambda _port, _signer: ["-m", "app"], quartet_environment, recorded_jobs),
        Contestant(HIKARI, "/", _module("hikari_bot"), lambda *_: {}),
        Contestant(DISCORD_HTTP, "/", _module("discord_http_bot"), lambda *_: {}),
        Contestant(BARE, "/interactions", _module("bare"), lambda *_: {}),
    )
}
