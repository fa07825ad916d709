"""A complete env file for tests, made from the example as an operator would."""

from __future__ import annotations

import re
from pathlib import Path

from ops.envfile import ROOT, EnvFile, read_env_file

EXAMPLE = ROOT / ".env.multi.example"
PUBLIC_KEY = "ab" * 32


def filled(**changes: str | None) -> str:
    """Return the example with every placeholder filled in and `changes` applied; None takes a variable out."""
    text = EXAMPLE.read_text()
    text = text.replace("your-bot-token", "test-bot-token").replace("your-application-id", "1200000000000000000")
    text = text.replace("your-public-key", PUBLIC_KEY)
    text = re.sub(r"=your-(\w+)-key-(\d)", r"=sk-\1-of-set-\2", text)
    for name, value in changes.items():
        line = "" if value is None else f"{name}={value}"
        escaped = line.replace("\\", "\\\\")
        text, found = re.subn(rf"(?m)^(# )?{name}=.*$", escaped, text, count=1)
        text += "" if found else f"{line}\n"
    return text


def env_file(directory: Path, **changes: str | None) -> EnvFile:
    """Write the filled-in example, with `changes`, to `directory/.env.multi` and read it."""
    path = directory / ".env.multi"
    path.write_text(filled(**changes))
    path.chmod(0o600)
    return read_env_file(path)
