"""`deploy-multi.sh doctor`: looks for what keeps a bot from answering; changes nothing and costs nothing."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from app.discord.wire import USER_AGENT
from ops import docker
from ops.checks import OperatorSettings, check
from ops.envfile import EnvFile
from ops.nginx import PACKAGES, find_nginx
from ops.ports import LOOPBACK, is_free
from ops.processes import holder_of
from ops.status import read_status
from ops.system import Paths

DISCORD_TIMEOUT_S = 10.0
PING = json.dumps({"type": 1, "id": "1", "application_id": "1", "token": "doctor", "version": 1}).encode()


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `advice` says what to do where it is not well."""

    subject: str
    well: bool
    detail: str
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """The shape of an entry of `doctor --json`."""
        return asdict(self)


def examine(file: EnvFile) -> Iterator[Finding]:
    """Look at the file, the machine, the running system and Discord, in this order; each finding as it is made."""
    report = check(file)
    for fault in report.faults:
        yield Finding("configuration", False, fault, f"Correct it in {file.path}.")
    for warning in report.warnings:
        yield Finding("configuration", True, f"warning: {warning}")
    if report.settings is None:
        return
    yield Finding("configuration", True, f"{file.path.name} is complete")
    found = find_nginx()
    yield Finding(
        "nginx",
        found is not None,
        f"{found.binary} with njs" if found else "nginx with its JavaScript module is not installed",
        "" if found else f"Install {' and '.join(PACKAGES)}, or use Docker.",
    )
    if docker.is_up(file.path):
        yield Finding("system", True, "containers are up; see: ./deploy-multi.sh status")
        yield _signature(f"http://{LOOPBACK}:{report.settings.public_port}/interactions")
    else:
        yield from _system(Paths(file.data_dir), report.settings)
    yield _discord(report.settings)


def _system(paths: Paths, settings: OperatorSettings) -> Iterator[Finding]:
    status = read_status(paths)
    if not status.running:
        if status.problem:
            yield Finding("system", False, status.problem)
        yield from _ports(settings)
        return
    for program in status.programs:
        detail = f"{program.state.lower()}, {program.health or 'no health page'}, {program.restarts} restarts"
        advice = "" if program.well else f"See: ./deploy-multi.sh logs {program.name}"
        yield Finding(program.name, program.well, detail, advice)
    yield _signature(status.urls["interactions"])


def _ports(settings: OperatorSettings) -> Iterator[Finding]:
    """Nothing of ours runs, so the ports should be free."""
    wanted = [("PUBLIC_PORT", settings.public_host, settings.public_port), ("OPS_PORT", LOOPBACK, settings.ops_port)]
    for variable, host, port in wanted:
        free = is_free(port, host)
        detail = "free" if free else f"taken by {holder_of(port) or 'another program'}"
        yield Finding(variable, free, f"port {port} is {detail}", "" if free else f"End it, or set {variable}.")


def _signature(url: str) -> Finding:
    """Discord probes an endpoint with wrong signatures and gives it up unless it answers 401, through every proxy."""
    status = _post_forged(url)
    advice = "" if status == 401 else "Discord will not accept this endpoint."
    return Finding("signature", status == 401, f"a forged PING is answered with {status or 'nothing'}", advice)


def _post_forged(url: str) -> int:
    parts = urlsplit(url)
    headers = {
        "Content-Type": "application/json",
        "X-Signature-Ed25519": "0" * 128,
        "X-Signature-Timestamp": "1700000000",
    }
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("POST", parts.path, PING, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _discord(settings: OperatorSettings) -> Finding:
    """Ask Discord whose token this is: it must be of this application, with this public key.

    https://discord.com/developers/docs/resources/application#get-current-application
    """
    headers = {"Authorization": f"Bot {settings.discord_token.get_secret_value()}", "User-Agent": USER_AGENT}
    try:
        answer = httpx2.get(f"{settings.discord_api_url}/applications/@me", headers=headers, timeout=DISCORD_TIMEOUT_S)
        told = answer.json() if answer.status_code == 200 else {}
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        return Finding("Discord", False, f"can't be reached ({type(error).__name__})", "Check the network.")
    if answer.status_code == 401:
        return Finding("Discord", False, "does not accept DISCORD_TOKEN", "Reset it in the Developer Portal, Bot.")
    if not isinstance(told, dict) or "id" not in told:
        return Finding("Discord", False, f"answers with {answer.status_code}", "Check DISCORD_API_URL.")
    if str(told["id"]) != settings.discord_application_id:
        return Finding("Discord", False, "DISCORD_TOKEN is of another application than DISCORD_APPLICATION_ID")
    if str(told.get("verify_key", "")).lower() != settings.discord_public_key:
        return Finding(
            "Discord", False, "DISCORD_PUBLIC_KEY is not this application's", "Copy it from General Information."
        )
    return Finding("Discord", True, "token, application id and public key belong together")
