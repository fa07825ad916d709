"""The public address as a name and a certificate: DNS, the addresses behind it, TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ops.doctor.asking import aside
from ops.doctor.case import Case, is_loopback
from ops.doctor.finding import Finding, fault, not_checked, ok, warning

NAME = "public address, DNS"
TLS = "public address, TLS"
CERTIFICATE = "public address, certificate"
CONNECT_WITHIN_S = 4.0
FEW_DAYS = 21
A_DAY_S = 86_400
CHAIN_INCOMPLETE = (20, 21)
"""OpenSSL's X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY and …_VERIFY_LEAF_SIGNATURE
(https://docs.openssl.org/3.0/man1/openssl-verification-options/)."""
SELF_SIGNED = (18, 19)


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a TLS handshake brought: `problem` and OpenSSL's `code` where the certificate was not accepted."""

    version: str = ""
    protocol: str = ""
    certificate: dict[str, Any] | None = None
    problem: str = ""
    code: int = 0


async def public(case: Case) -> Sequence[Finding]:
    """DNS first; TLS only where the name leads somewhere."""
    url = await case.public_url()
    if not url:
        return []  # ops.doctor.endpoint says so
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host):
        if case.simulated:
            return [not_checked(NAME, "the simulated Discord calls this machine itself")]
        detail = f"{host} is this machine itself, which Discord can't call"
        return [fault(NAME, detail, "Give it a public name, a tunnel or a load balancer: see docs/ingress.md.")]
    port = parts.port or (443 if parts.scheme == "https" else 80)
    findings = list(await _name(host, port))
    if parts.scheme != "https":
        return [*findings, fault(TLS, "the address is not https", "Discord calls https only: see docs/ingress.md.")]
    return [*findings, *await _tls(case, host, port)] if findings[0].well else findings


async def _name(host: str, port: int) -> Sequence[Finding]:
    try:
        found = await aside(lambda: socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM))
    except socket.gaierror as error:
        if proxy := _proxy():
            return [not_checked(NAME, f"this machine asks no name server, it goes out through {proxy}")]
        advice = "Create an A or AAAA record; a new one takes a while to arrive everywhere."
        return [fault(NAME, f"{host} is not known ({error.strerror})", advice)]
    addresses = sorted({str(entry[4][0]).partition("%")[0] for entry in found}, key=lambda text: (":" in text, text))
    hidden = [text for text in addresses if not ipaddress.ip_address(text).is_global]
    if hidden:
        detail = f"{host} is {', '.join(hidden)}, which only this network can reach"
        return [fault(NAME, detail, "Discord calls from outside: the record must hold a public address.")]
    own = await aside(own_addresses)
    here = [text for text in addresses if text in own]
    where = "this machine" if here else "a tunnel, load balancer or router in front of this machine"
    detail = f"{host} is {', '.join(addresses)}: {where}"
    # Whoever has only one way out tries no other.
    tried = [text for text in addresses if any((":" in text) == (":" in other) for other in own)]
    accepts = await asyncio.gather(*(aside(partial(_accepts, text, port)) for text in tried))
    deaf = [text for text, accepted in zip(tried, accepts, strict=True) if not accepted]
    if deaf and len(deaf) < len(tried):
        return [warning(NAME, f"{detail}; nobody answers at {', '.join(deaf)}", "Discord may take any of them: "
                        "take the record of each that is of no use away.")]  # fmt: skip
    return [ok(NAME, detail)]


def _accepts(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=CONNECT_WITHIN_S).close()
    except OSError:
        return False
    return True


def own_addresses() -> set[str]:
    """The addresses this machine would send from; nothing is sent to find them out."""
    found = set()
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((far, 9))
                found.add(str(probe.getsockname()[0]))
            except OSError:
                continue
    return found


async def _tls(case: Case, host: str, port: int) -> Sequence[Finding]:
    try:
        shake = await aside(lambda: handshake(host, port))
        if shake.problem:
            unchecked = await aside(lambda: handshake(host, port, verify=False))
            return [_refused(host, shake), _version(unchecked)]
    except ssl.SSLError as error:
        advice = "Switch TLS 1.2 or 1.3 on in what is in front."
        return [fault(TLS, f"no common way to encrypt ({error.reason or 'handshake failed'})", advice)]
    except OSError as error:
        if proxy := _proxy():
            return [not_checked(TLS, f"this machine goes out through {proxy} only")]
        detail = f"no connection to {host}, port {port}: {error.strerror or 'none in time'}"
        return [fault(TLS, detail, "Check the firewall, and that something listens there.")]
    return [_valid(shake, case.now()), _version(shake)]


def handshake(host: str, port: int, *, verify: bool = True) -> Handshake:
    """Connect as Discord would. Raises `OSError`, or `ssl.SSLError` where not even the encryption can be agreed on."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection((host, port), timeout=CONNECT_WITHIN_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            return Handshake(secure.version() or "", secure.selected_alpn_protocol() or "", secure.getpeercert())
    except ssl.SSLCertVerificationError as error:
        return Handshake(problem=error.verify_message or "it is not accepted", code=error.verify_code)


def _refused(host: str, shake: Handshake) -> Finding:
    advice = "Get one for this name, for example from Let's Encrypt: see docs/ingress.md."
    if shake.code in CHAIN_INCOMPLETE:
        advice = "Let the server send the whole chain (fullchain.pem), not the last certificate alone."
    elif shake.code in SELF_SIGNED:
        advice = "Discord accepts none that signs itself: get one from a public authority, for example Let's Encrypt."
    elif "expired" in shake.problem:
        advice = "Renew it, and let the server load it again."
    elif "mismatch" in shake.problem.lower() or "not valid for" in shake.problem:
        advice = f"Get one that names {host}."
    return fault(CERTIFICATE, f"not accepted: {shake.problem}", advice)


def _valid(shake: Handshake, now: float) -> Finding:
    certificate = shake.certificate or {}
    days = int((ssl.cert_time_to_seconds(certificate["notAfter"]) - now) // A_DAY_S)
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS"]
    issuer = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    by = issuer.get("organizationName") or issuer.get("commonName") or "an unnamed authority"
    detail = f"for {', '.join(names[:3])}{' …' if len(names) > 3 else ''}, by {by}, {days} days left"
    if days < FEW_DAYS:
        return warning(CERTIFICATE, detail, "Renew it; see why it did not renew itself.")
    return ok(CERTIFICATE, detail)


def _version(shake: Handshake) -> Finding:
    detail = f"{shake.version}, {'HTTP/2' if shake.protocol == 'h2' else 'HTTP/1.1'}"
    if shake.version not in ("TLSv1.2", "TLSv1.3"):
        return fault(TLS, detail, "Switch TLS 1.2 or 1.3 on in what is in front.")
    return ok(TLS, detail)


def _proxy() -> str:
    """The proxy that HTTPS takes, without what may stand before its name."""
    value = next((os.environ[name] for name in ("HTTPS_PROXY", "https_proxy") if os.environ.get(name)), "")
    return value.rpartition("@")[2].rpartition("//")[2].strip("/")
