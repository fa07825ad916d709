#!/usr/bin/env python3
"""Registers the bot's commands with Discord: shows what would change, and sends it only if something does.

Reads DISCORD_TOKEN, DISCORD_APPLICATION_ID, DISCORD_API_URL and DATA_DIR from the environment, or from `--env-file`.
Exit codes: 0 done, 1 Discord refused or could not be reached, 2 a variable is missing or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx2
from pydantic import TypeAdapter, ValidationError

from app.commands.registry import definitions
from app.discord.command_plan import Plan
from app.discord.commands_api import CommandsApi, RegistrationError
from app.discord.creations import A_DAY, Creations
from app.settings import CommonSettings, HttpUrl, Snowflake

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_API_URL: str = CommonSettings.model_fields["discord_api_url"].default
WATCHED = ("app/commands", "app/texts.py", "app/discord/wire.py")
LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Target:
    """Where the commands go."""

    api_url: str
    application_id: str
    token: str
    guild: str | None
    data_dir: Path

    @property
    def place(self) -> str:
        """Return the scope in words."""
        return f"in guild {self.guild}" if self.guild else "globally"


def main(arguments: list[str] | None = None) -> int:
    """Register, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--guild", metavar="ID", help="register in this guild only, where it takes effect at once")
    parser.add_argument("--plan", "--dry-run", action="store_true", help="only show what would change")
    parser.add_argument("--delete", action="store_true", help="also delete commands that are registered but not ours")
    parser.add_argument("--watch", action="store_true", help="register again whenever a definition changes (one guild)")
    parser.add_argument("--env-file", type=Path, metavar="FILE", help="read the variables from this file")
    options = parser.parse_args(arguments)
    try:
        values = _from_file(options.env_file) if options.env_file else os.environ
        target = _checked(values, options.guild)
        if options.watch and not options.guild:
            raise ValueError("--watch: needs --guild ID, since global commands take a while to arrive everywhere")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.watch:
        return watch([argument for argument in arguments or sys.argv[1:] if argument != "--watch"])
    try:
        asyncio.run(register(target, dry_run=options.plan, delete=options.delete))
    except RegistrationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _from_file(path: Path) -> Mapping[str, str]:
    from ops.envfile import read_env_file

    try:
        return read_env_file(path).values
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}. Copy .env.multi.example to it and fill it in.") from error


def _checked(values: Mapping[str, str], guild: str | None) -> Target:
    """Return where to register; raise `ValueError` with every fault at once."""
    wanted: dict[str, tuple[str, Any]] = {
        "DISCORD_APPLICATION_ID": (values.get("DISCORD_APPLICATION_ID", ""), Snowflake),
        "DISCORD_API_URL": (values.get("DISCORD_API_URL") or DEFAULT_API_URL, HttpUrl),
    }
    if guild is not None:
        wanted["--guild"] = (guild, Snowflake)
    faults, good = [], {}
    for name, (value, kind) in wanted.items():
        try:
            good[name] = str(TypeAdapter(kind).validate_python(value))
        except ValidationError as error:
            why = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            faults.append(f"{name}: {why if value else 'is missing'}")
    token = values.get("DISCORD_TOKEN", "").strip()
    if not token:
        faults.append("DISCORD_TOKEN: is missing (Developer Portal, Bot)")
    if faults:
        raise ValueError("\n".join(faults))
    data_dir = ROOT / (values.get("DATA_DIR") or "data")
    return Target(good["DISCORD_API_URL"], good["DISCORD_APPLICATION_ID"], token, good.get("--guild"), data_dir)


async def register(target: Target, *, dry_run: bool, delete: bool) -> None:
    """Compare, show, and send what differs."""
    creations = Creations(target.data_dir, time.time())
    async with httpx2.AsyncClient() as http:
        api = CommandsApi(http, target.api_url, target.application_id, target.token)
        plan = api.plan(await api.fetch(target.guild), definitions(), target.guild, delete=delete)
        print("\n".join([*plan.lines(), *_remarks(plan, creations.today(target.guild))]))
        if not plan.changes_anything:
            print(f"Nothing to change {target.place}.")
        elif dry_run:
            print(f"This is what would change {target.place}; nothing was sent.")
        else:
            _keep_within_the_day(plan, creations.today(target.guild))
            await api.apply(plan)
            creations.add(target.guild, len(plan.create))
            print(f"Registered {target.place}.")


def _remarks(plan: Plan, created_today: int) -> list[str]:
    """Return what to know before this is sent."""
    said = []
    if plan.create:
        said.append(f"Creates {len(plan.create)} of {A_DAY} a day ({created_today} created from here today).")
    if plan.delete:
        said.append(f"Deletes {len(plan.delete)}: permissions that servers set for them are lost.")
    if plan.spared:
        said.append(f"Leaves {len(plan.spared)} that Quartet does not have (marked !); --delete removes them.")
    return said


def _keep_within_the_day(plan: Plan, created_today: int) -> None:
    if created_today + len(plan.create) > A_DAY:
        raise RegistrationError(
            f"Discord allows {A_DAY} command creations a day; {created_today} were made today from here and this would "
            f"be {len(plan.create)} more. Nothing was sent; try again tomorrow."
        )


def watch(arguments: list[str]) -> int:
    """Register now and after each change of a definition, until interrupted. A fresh process reads each change."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seen: dict[Path, float] = {}
    try:
        while True:
            now = {file: file.stat().st_mtime for name in WATCHED for file in _files(ROOT / name)}
            if now != seen:
                seen = now
                subprocess.run([sys.executable, __file__, *arguments], check=False)  # noqa: S603 - this very script
                print("Watching for changes; Ctrl-C ends.", flush=True)
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        return 0


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


if __name__ == "__main__":
    sys.exit(main())
