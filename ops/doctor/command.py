"""What `doctor` does from the command line to the exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import structlog
from nacl.signing import SigningKey
from rich.console import Console

from ops.checks import VARIABLES
from ops.doctor import Finding, signing_key, visit
from ops.doctor.place import INSIDE
from ops.doctor.report import Watch, as_json, summary_of, table_of
from ops.envfile import EnvFile, is_key
from ops.failures import Exit, OpsError

PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
SIGNING_KEY_FILE = "QUARTET_DOCTOR_SIGNING_KEY_FILE"


def run(file: EnvFile, url: str, key_file: Path | None, out: Console, err: Console, *, machine: bool) -> Exit:
    """Look, show, and say by the exit code whether there is a fault; `machine` is for JSON."""
    url = interactions_url(url) if url else ""
    key = _key(key_file or (Path(name) if (name := os.environ.get(SIGNING_KEY_FILE)) else None))
    # The instances get these variables from the file; the doctor has to look through the same proxy and certificates.
    os.environ.update({name: file.values[name] for name in PASSED_ON if file.values.get(name)})
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with Watch(err) as watch:
        findings = asyncio.run(_collected(file, url, key, watch))
    if machine:
        sys.stdout.write(as_json(findings) + "\n")
    else:
        out.print(table_of(findings))
        out.print(f"\n{summary_of(findings)}")
    return Exit.OK if all(finding.well for finding in findings) else Exit.FAILED


async def _collected(file: EnvFile, url: str, key: SigningKey | None, watch: Watch) -> list[Finding]:
    return [finding async for finding in visit(file, watch, url=url, key=key)]


def from_environment() -> EnvFile | None:
    """In the tools container, which has no file, the configuration comes as the instances' does."""
    if not os.environ.get(INSIDE):
        return None
    # INSTANCE_ADDRESSES are the neighbours here; in a file they would be instances on several hosts.
    names = [name for name in os.environ if (name in VARIABLES and name != "INSTANCE_ADDRESSES") or is_key(name)]
    return EnvFile(Path(".env.multi"), {name: os.environ[name] for name in names if os.environ[name]})


def _key(path: Path | None) -> SigningKey | None:
    if path is None:
        return None
    key = signing_key(path)
    if key is None:
        raise OpsError(f"There is no {path}.", code=Exit.CONFIGURATION)
    return key


def interactions_url(given: str) -> str:
    """Return the address as Discord calls it; without a path it is the usual one. `OpsError` if it is no address."""
    fault = OpsError(
        "URL: is not an address that could be called.",
        hint="Give it as you entered it at Discord: https://bot.example.com/interactions",
        code=Exit.CONFIGURATION,
    )
    try:
        parts = urlsplit(given if "://" in given else f"https://{given}")
        _ = parts.port
    except ValueError:
        raise fault from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or " " in given:
        raise fault
    path = parts.path if parts.path not in ("", "/") else "/interactions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
