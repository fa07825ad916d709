"""The public address's name and certificate, against real TLS servers on loopback."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ops.doctor import address
from ops.doctor.address import CERTIFICATE, NAME, TLS
from ops.doctor.finding import Finding, State
from tests.unit.ops.doctor_kit import a_case

NAMED = "bot.example.com"
PUBLIC, DEAF = "203.0.114.7", "203.0.114.8"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def openssl(*arguments: str, cwd: Path) -> None:
    """Run openssl, which makes the certificates."""
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True, timeout=60)


@pytest.fixture(name="authority", scope="module")
def an_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an authority's certificate and key."""
    place = tmp_path_factory.mktemp("authority")
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "400"),
        *("-subj", "/O=Tests Authority/CN=root", "-keyout", "ca.key", "-out", "ca.pem"),
        cwd=place,
    )
    return place


def certificate(authority: Path, directory: Path, *, days: int = 90, names: str = f"DNS:{NAMED}") -> Path:
    """Make a certificate signed by the authority; return a file with it and its key."""
    (directory / "extension").write_text(f"subjectAltName={names}\n")
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={NAMED}"),
        *("-keyout", "own.key", "-out", "own.csr"),
        cwd=directory,
    )
    ca = str(authority / "ca.pem"), str(authority / "ca.key")
    openssl(
        *("x509", "-req", "-in", "own.csr", "-CA", ca[0], "-CAkey", ca[1], "-CAcreateserial", "-days", str(days)),
        *("-extfile", "extension", "-out", "own.pem"),
        cwd=directory,
    )
    both = directory / "both.pem"
    both.write_text((directory / "own.pem").read_text() + (directory / "own.key").read_text())
    return both


@contextmanager
def tls_server(certificate: Path, *, http2: bool = True) -> Iterator[int]:
    """Shake hands with whoever comes; yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    plain, _ = listening.accept()
                except OSError:
                    continue
                plain.settimeout(5)
                try:
                    with context.wrap_socket(plain, server_side=True) as secure:
                        secure.recv(1)
                except OSError:
                    plain.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            ended.set()
            thread.join(5)


@pytest.fixture(name="named")
def a_public_name(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`bot.example.com` has a public address as far as DNS goes; connections to it end at loopback. Its records."""
    records = [PUBLIC]
    monkeypatch.setattr(address, "own_addresses", lambda: {"198.51.100.1"})
    known, connect = socket.getaddrinfo, socket.create_connection

    def lookup(host: object, port: object, *rest: object, **options: object) -> object:
        if host != NAMED:
            return known(host, port, *rest, **options)  # type: ignore[arg-type]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in records]

    def connected(place: tuple[str, int], **options: object) -> socket.socket:
        if place[0] == DEAF:
            raise ConnectionRefusedError
        return connect(("127.0.0.1", place[1]) if place[0] in (NAMED, PUBLIC) else place, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(socket, "create_connection", connected)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return records


async def visited(directory: Path, url: str, *, now: float | None = None) -> dict[str, Finding]:
    """What is found at the address; Discord is the real one, as far as the file says."""
    async with a_case(directory, url=url, DISCORD_API_URL="https://discord.example/api") as case:
        if now is not None:
            case.now = lambda: now
        return {finding.subject: finding for finding in await address.public(case)}


@needs_openssl
@pytest.mark.usefixtures("named")
async def test_a_good_certificate_tells_its_days_and_authority(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name, chain and days are in order; three weeks before its end it becomes a warning."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with tls_server(certificate(authority, tmp_path)) as port:
        found = await visited(tmp_path, f"https://{NAMED}:{port}/interactions")
        later = await visited(tmp_path, f"https://{NAMED}:{port}/interactions", now=time.time() + 70 * 86_400)
    assert found[NAME].detail.startswith(f"{NAMED} is 203.0.114.7: a tunnel, load balancer")
    assert found[CERTIFICATE] == Finding(
        CERTIFICATE, State.OK, f"for {NAMED}, by Tests Authority, 89 days left"
    )  # fmt: skip
    assert found[TLS].detail == "TLSv1.3, HTTP/2"
    assert later[CERTIFICATE].state is State.WARNING
    assert "19 days left" in later[CERTIFICATE].detail


@needs_openssl
@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("names", "trusted", "told", "advice"),
    [
        ("DNS:other.example.com", True, "is not valid for", f"Get one that names {NAMED}"),
        (f"DNS:{NAMED}", False, "unable to get local issuer certificate", "whole chain"),
    ],
)
async def test_a_certificate_discord_would_not_accept_is_told_with_the_reason(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str, trusted: bool, told: str, advice: str
) -> None:
    """A wrong name and a chain that can't be followed need different hands; TLS itself is judged all the same."""
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with tls_server(certificate(authority, tmp_path, names=names), http2=False) as port:
        found = await visited(tmp_path, f"https://{NAMED}:{port}/interactions")
    assert found[CERTIFICATE].state is State.FAULT
    assert told in found[CERTIFICATE].detail
    assert advice in found[CERTIFICATE].advice
    assert found[TLS].detail == "TLSv1.3, HTTP/1.1"


@needs_openssl
@pytest.mark.usefixtures("named")
async def test_a_self_signed_and_an_expired_certificate_are_told_apart(
    authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the one a public authority is needed, for the other a renewal."""
    own = tmp_path / "self.pem"
    own.write_text((authority / "ca.pem").read_text() + (authority / "ca.key").read_text())
    with tls_server(own) as port:
        found = await visited(tmp_path, f"https://{NAMED}:{port}/interactions")
    assert "signs itself" in found[CERTIFICATE].advice
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with tls_server(certificate(authority, tmp_path, days=-1)) as port:
        found = await visited(tmp_path, f"https://{NAMED}:{port}/interactions")
    assert "expired" in found[CERTIFICATE].detail
    assert found[CERTIFICATE].advice.startswith("Renew it")


@pytest.mark.usefixtures("named")
async def test_nobody_listening_and_plain_http_are_faults(tmp_path: Path) -> None:
    """Discord calls https only, and somebody has to be there."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    found = await visited(tmp_path, f"https://{NAMED}:{port}/interactions")
    assert found[TLS].state is State.FAULT
    assert f"no connection to {NAMED}, port {port}" in found[TLS].detail
    found = await visited(tmp_path, f"http://{NAMED}/interactions")
    assert found[TLS].detail == "the address is not https"


async def test_a_record_at_which_nobody_answers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: list[str]
) -> None:
    """Some of Discord's calls would go there; with IPv4 only, this machine can't know about the IPv6 record."""
    named += [DEAF, "2001:4860::8"]
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        found = await visited(tmp_path, f"http://{NAMED}:{listening.getsockname()[1]}/interactions")
    assert found[NAME].state is State.WARNING
    assert found[NAME].detail.endswith(f"; nobody answers at {DEAF}")


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("localhost", "is this machine itself, which Discord can't call"),
        ("127.0.0.2", "is this machine itself, which Discord can't call"),
        ("10.1.2.3", "which only this network can reach"),
        ("192.168.178.20", "which only this network can reach"),
        ("no-such-name.invalid", "is not known"),
    ],
)
async def test_a_name_that_leads_nowhere_discord_can_go_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, told: str
) -> None:
    """Private, loopback and unknown names are told before anything is sent there."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    found = await visited(tmp_path, f"https://{host}/interactions")
    assert list(found) == [NAME]
    assert found[NAME].state is State.FAULT
    assert told in found[NAME].detail


async def test_the_simulated_discord_may_call_loopback(tmp_path: Path) -> None:
    """In a demo nothing of the name or certificate applies."""
    async with a_case(tmp_path, url="http://127.0.0.1:8080/interactions") as case:
        assert [finding.state for finding in await address.public(case)] == [State.NOT_CHECKED]
