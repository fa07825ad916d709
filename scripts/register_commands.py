#!/usr/bin/env python3
"""Registers the bot's commands with Discord: shows what would change, and sends it only if something does.

Reads DISCORD_TOKEN, DISCORD_APPLICATION_ID and DISCORD_API_URL from the environment, or from `--env-file`.
Exit codes: 0 done, 1 Discord refused or could not be reached, 2 a variable is missing or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx2
from pydantic import TypeAdapter, ValidationError

from app.commands.registry import definitions
from app.discord.commands_api import CommandsApi, RegistrationError
from app.settings import CommonSettings, HttpUrl, Snowflake

DEFAULT_API_URL: str = CommonSettings.model_fields["discord_api_url"].default


def main(arguments: list[str] | None = None) -> int:
    """Register, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--guild", metavar="ID", help="register in this guild only, where it takes effect at once")
    parser.add_argument("--dry-run", action="store_true", help="only show what would change")
    parser.add_argument("--env-file", type=Path, metavar="FILE", help="read the variables from this file")
    options = parser.parse_args(arguments)
    try:
        values = _from_file(options.env_file) if options.env_file else os.environ
        api_url, application_id, token = _checked(values, options.guild)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        asyncio.run(register(api_url, application_id, token, options.guild, dry_run=options.dry_run))
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


def _checked(values: Mapping[str, str], guild: str | None) -> tuple[str, str, str]:
    """Return the API's URL, the application's id and the token; raise `ValueError` with every fault at once."""
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
    return good["DISCORD_API_URL"], good["DISCORD_APPLICATION_ID"], token


async def register(api_url: str, application_id: str, token: str, guild: str | None, *, dry_run: bool) -> None:
    """Compare, show, and send what differs."""
    async with httpx2.AsyncClient() as http:
        api = CommandsApi(http, api_url, application_id, token)
        plan = api.plan(await api.fetch(guild), definitions(), guild)
        print("\n".join(plan.lines()))
        where = f"in guild {guild}" if guild else "globally"
        if not plan.changes_anything:
            print(f"Nothing to change {where}.")
        elif dry_run:
            print(f"This is what would change {where}; nothing was sent.")
        else:
            await api.apply(plan)
            print(f"Registered {where}.")


if __name__ == "__main__":
    sys.exit(main())
