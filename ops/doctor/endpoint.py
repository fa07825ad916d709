"""Runs against an interactions endpoint what Discord runs before it accepts one, and now and then afterwards.

Discord sends a signed PING and requests whose signature is wrong; an endpoint that answers those with anything but 401
is refused, or given up
(https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint-validating-security-request-headers).
Only Discord can sign; a signing key is known in a demo alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
from nacl.signing import SigningKey

from ops.doctor.asking import Answer, ask
from ops.doctor.case import Case, shown
from ops.doctor.finding import Finding, fault, not_checked, ok, warning
from ops.doctor.place import Kind

DISCORD_WAITS_S = 3.0
SLOW_S = 1.0
STALE_S = 600
PUBLIC = "public address"
AGENT = "Discord-Interactions/1.0 (+https://discord.com)"
"""How Discord calls itself: what a front does to it, it shall do to us."""

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Probe:
    """One request and the status it must get; a GET, which Discord never sends, may be refused with any."""

    what: str
    headers: Headers
    body: bytes
    expected: int = 401
    method: str = "POST"

    def passed(self, status: int) -> bool:
        """Whether this is the answer it must get."""
        return status == self.expected or (self.method == "GET" and 400 <= status < 500)


def ping(application_id: str) -> bytes:
    """Return a PING as Discord sends it when the address is entered."""
    return json.dumps(
        {"id": "1", "application_id": application_id, "type": 1, "token": "doctor", "version": 1}
    ).encode()


def _headers(signature: str | None, timestamp: str | None) -> Headers:
    made = {"Content-Type": "application/json", "User-Agent": AGENT}
    if signature is not None:
        made["X-Signature-Ed25519"] = signature
    if timestamp is not None:
        made["X-Signature-Timestamp"] = timestamp
    return made


def signed(key: SigningKey, body: bytes, timestamp: str) -> Headers:
    """Return the headers with which this body is Discord's, of that time."""
    return _headers(key.sign(timestamp.encode() + body).signature.hex(), timestamp)


def forgeries(application_id: str, now: float, key: SigningKey | None) -> list[Probe]:
    """Return the requests that an endpoint must refuse."""
    body, timestamp = ping(application_id), str(int(now))
    stranger = SigningKey.generate()
    good_form = stranger.sign(timestamp.encode() + body).signature.hex()
    probes = [
        Probe("without the signature headers", _headers(None, None), body),
        Probe("without X-Signature-Ed25519", _headers(None, timestamp), body),
        Probe("without X-Signature-Timestamp", _headers(good_form, None), body),
        Probe("signed by a stranger", _headers(good_form, timestamp), body),
        Probe("with a signature that is no hexadecimal", _headers("not hexadecimal", timestamp), body),
        Probe("with a body that is no JSON", _headers(good_form, timestamp), b"not JSON"),
        Probe("with GET", {"User-Agent": AGENT}, b"", 405, "GET"),
    ]
    if key is not None:
        old = str(int(now) - STALE_S)
        altered = body.replace(b'"doctor"', b'"d0ctor"')
        probes += [
            Probe("with an altered body", signed(key, body, timestamp), altered),
            Probe("with an altered timestamp", signed(key, body, old) | {"X-Signature-Timestamp": timestamp}, body),
            Probe(f"signed {STALE_S // 60} minutes ago", signed(key, body, old), body),
        ]
    return probes


async def probe_endpoint(case: Case, client: httpx2.AsyncClient, subject: str, url: str) -> list[Finding]:
    """Try every forgery, then a signed PING if a key is given."""
    refused, slowest = 0, 0.0
    for probe in forgeries(case.settings.discord_application_id, case.now(), case.signing_key):
        answer = await _send(client, url, probe)
        if answer.status == 0:
            return [_unreachable(subject, answer, url)]
        if not probe.passed(answer.status):
            detail = f"a request {probe.what} is answered with {_shown(answer)} instead of {probe.expected}"
            return [fault(subject, detail, _advice(answer))]
        refused, slowest = refused + 1, max(slowest, answer.took)
    detail = f"refuses {refused} of {refused} forged requests, the slowest in {slowest * 1000:.0f} ms"
    if slowest >= SLOW_S:
        return [warning(subject, detail, f"Discord waits {DISCORD_WAITS_S:g} s: look at the network and the load."),
                *await _signed_ping(case, client, subject, url)]  # fmt: skip
    return [ok(subject, detail), *await _signed_ping(case, client, subject, url)]


async def _send(client: httpx2.AsyncClient, url: str, probe: Probe) -> Answer:
    content = probe.body if probe.method == "POST" else None
    return await ask(client, probe.method, url, headers=probe.headers, content=content, within_s=5.0)


async def _signed_ping(case: Case, client: httpx2.AsyncClient, subject: str, url: str) -> list[Finding]:
    if case.signing_key is None:
        return []
    body = ping(case.settings.discord_application_id)
    headers = signed(case.signing_key, body, str(int(case.now())))
    answer = await ask(client, "POST", url, headers=headers, content=body, within_s=5.0)
    subject = f"{subject}, PING"
    kind = answer.headers.get("content-type", "")
    if answer.status == 401:
        own = case.signing_key.verify_key.encode().hex() == case.settings.discord_public_key
        why = "it was started with another DISCORD_PUBLIC_KEY, or is another system"
        if not own:
            why = "the signing key is not DISCORD_PUBLIC_KEY's"
        return [fault(subject, f"a signed PING is refused: {why}", "Run: ./deploy-multi.sh restart")]
    if answer.status != 200 or answer.object.get("type") != 1:
        return [fault(subject, f"a signed PING is answered with {_shown(answer)}", _advice(answer))]
    if not kind.startswith("application/json"):
        told = kind or "no content type"
        return [fault(subject, f"the PONG comes as {told}", "Whatever is in front must not change Content-Type.")]
    return [ok(subject, f"a signed PING is answered with a PONG in {answer.took * 1000:.0f} ms")]


def _shown(answer: Answer) -> str:
    if answer.status == 0:
        return answer.problem
    location = answer.headers.get("location", "")
    host = urlsplit(location).hostname or "another path"
    return f"{answer.status}, a redirection to {host}" if location else str(answer.status)


def _advice(answer: Answer) -> str:
    """What to do about a front that answers in our place."""
    guard = "cf-mitigated" in answer.headers or (
        answer.status in (403, 429, 503) and "cloudflare" in answer.headers.get("server", "").lower()
    )
    if guard:
        return "A bot protection stands in front: make an exception for the path /interactions."
    if 300 <= answer.status < 400:
        return "Discord follows no redirection: enter the address it leads to, or take the redirection away."
    if answer.status == 404:
        return "The address must lead to nginx and end in /interactions."
    if answer.status in (502, 503, 504):
        return "Nobody stands behind it: see ./deploy-multi.sh status, and where your HTTPS front sends to."
    if answer.status == 200:
        return "Whoever answers there checks no signature: it is not Quartet. See where the address leads."
    return "Something in front changes or judges the requests: it must pass path, headers and body on as they are."


def _unreachable(subject: str, answer: Answer, url: str) -> Finding:
    detail = f"{answer.problem}, at {shown(url)}"
    if subject.startswith("instance-"):
        return not_checked(subject, detail)  # its health says so as a fault
    if subject == PUBLIC:
        advice = "Check the firewall, the tunnel or load balancer, and that it leads to PUBLIC_PORT of this machine."
        return fault(subject, detail, advice)
    return fault(subject, detail, "See: ./deploy-multi.sh logs nginx")


async def public(case: Case) -> Sequence[Finding]:
    """The address that Discord calls, as Discord calls it."""
    url = await case.public_url()
    if not url:
        return [not_checked(PUBLIC, "none is known", "Give it: ./deploy-multi.sh doctor https://…/interactions")]
    client = case.near if case.simulated else case.world
    health = shown(url).rsplit("/", 1)[0] + "/health"
    findings = await probe_endpoint(case, client, PUBLIC, url)
    if findings[0].well and not url.startswith(f"{case.place.proxy}/"):
        findings += await _health(client, health)
    return findings if case.signing_key else [*findings, _only_discord(case, findings)]


def _only_discord(case: Case, findings: Sequence[Finding]) -> Finding:
    return not_checked(
        f"{PUBLIC}, PING",
        "only Discord can sign one; it does so whenever the address is saved in the Developer Portal",
        "" if all(finding.well for finding in findings) else "Save it again once the faults here are gone.",
    )


async def _health(client: httpx2.AsyncClient, url: str) -> list[Finding]:
    answer = await ask(client, "GET", url, headers={"User-Agent": AGENT}, within_s=5.0)
    subject = f"{PUBLIC}, /health"
    if answer.status == 200 and answer.headers.get("content-type", "").startswith("application/json"):
        return [ok(subject, f"instance {answer.object.get('instance', '?')} answers through it")]
    if answer.status == 404:
        return [not_checked(subject, "not passed on by what is in front, and Discord does not need it")]
    return [warning(subject, f"is answered with {_shown(answer)}", "See: ./deploy-multi.sh status")]


async def near(case: Case) -> Sequence[Finding]:
    """nginx on this machine, then each instance behind it."""
    if not case.place.runs and not case.place.instances:
        return [not_checked("signatures", "nothing runs here", "Start it: ./deploy-multi.sh start")]
    findings: list[Finding] = []
    if case.place.proxy:
        findings += await probe_endpoint(case, case.near, "nginx, signatures", f"{case.place.proxy}/interactions")
    for number, base in case.place.instances.items():
        subject = f"instance-{number}, signatures"
        findings += await probe_endpoint(case, case.near, subject, f"{base}/interactions")
    if case.place.kind is Kind.CONTAINERS and not case.place.instances:
        findings.append(
            not_checked(
                "instances, signatures",
                "in containers they are reached from within only",
                "docker compose --env-file .env.multi run --rm tools doctor",
            )
        )
    return findings
