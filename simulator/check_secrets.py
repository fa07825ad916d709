"""Searches output for secrets: logs, ledgers, pages, metrics. What is found is named by its place, never shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

INTERACTION_TOKEN = re.compile(rb"aW50ZXJhY3Rpb246[A-Za-z0-9_-]{40,}")
"""An interaction's token is a secret of its own for 15 minutes; real and simulated ones begin alike."""

SHORTEST_SECRET = 8
CHUNK = 4 * 1024 * 1024
OVERLAP = 4096


def leaks(paths: Iterable[Path], secrets: Iterable[str], *, tokens: bool = True) -> list[str]:
    """Return where one of `secrets`, or with `tokens` an interaction token, stands in a file below `paths`."""
    found = []
    needles = _needles(secrets)
    for path in paths:
        for file in _files(path):
            for number, data in enumerate(_chunks(file)):
                found += [f"{file}, part {number}: {name}" for name in _hits(data, needles, tokens=tokens)]
    return found


def leaks_in(pages: Mapping[str, bytes], secrets: Iterable[str]) -> list[str]:
    """Return which of these pages shows a secret or an interaction token."""
    needles = _needles(secrets)
    return [f"{page}: {name}" for page, data in pages.items() for name in _hits(data, needles, tokens=True)]


def _hits(data: bytes, needles: Mapping[bytes, str], *, tokens: bool) -> list[str]:
    found = sorted({name for needle, name in needles.items() if needle in data})
    return [*found, "an interaction token"] if tokens and INTERACTION_TOKEN.search(data) else found


def _needles(secrets: Iterable[str]) -> dict[bytes, str]:
    """Each secret as it is and as it looks in a URL and in base64, with a name that does not show it."""
    needles = {}
    for number, secret in enumerate(filter(None, (line.strip() for line in secrets)), start=1):
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"secret {number} is too short to be told from other text")
        for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")):
            needles[form.encode()] = f"secret {number}"
    return needles


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())


def _chunks(file: Path) -> Iterator[bytes]:
    """Read in pieces that overlap, so that nothing hides on a border."""
    tail = b""
    with file.open("rb") as stream:
        while data := stream.read(CHUNK):
            yield tail + data
            tail = data[-OVERLAP:]
