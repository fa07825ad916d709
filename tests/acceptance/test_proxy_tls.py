"""nginx with a certificate of its own, and behind somebody else's proxy."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.proxy_kit import Front, connected, environment, free_port, front, interaction, needs_nginx, render
from tests.kit.certificate import CertificateFiles, write_certificate

pytestmark = needs_nginx

HOST = "bot.test"
END_STREAM, END_HEADERS, DATA, HEADERS, SETTINGS = 0x1, 0x4, 0x0, 0x1, 0x4
STATUS_200 = b"\x88"  # HPACK's static table, RFC 7541, appendix A


def variables(files: CertificateFiles, port: int) -> dict[str, str]:
    """What render.sh is told of TLS."""
    return {
        "TLS_LISTEN": f"127.0.0.1:{port}",
        "TLS_CERTIFICATE": str(files.certificate),
        "TLS_CERTIFICATE_KEY": str(files.key),
    }


@asynccontextmanager
async def secured(directory: Path) -> AsyncIterator[tuple[Front, int, CertificateFiles]]:
    """nginx with a certificate before two stand-ins, and its TLS port."""
    files, port = write_certificate(directory, HOST), free_port()
    async with front(directory, 2, None, **variables(files, port)) as running:
        yield running, port, files


def context(files: CertificateFiles, *protocols: str) -> ssl.SSLContext:
    """Trusts this certificate alone."""
    made = ssl.create_default_context(cafile=files.certificate)
    made.set_alpn_protocols(list(protocols))
    return made


async def test_discord_reaches_a_home_over_tls(tmp_path: Path) -> None:
    """A signed body comes to its home byte by byte, and the instance is told that it came over https."""
    body = interaction(12345)
    async with secured(tmp_path) as (running, port, files):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context(files, "http/1.1"), server_hostname=HOST
        )
        writer.write(
            f"POST /interactions HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n"
            "X-Signature-Ed25519: abc\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 ")
        [arrival] = running.instances[1].arrivals
    assert arrival.body == body
    assert arrival.headers["x-signature-ed25519"] == "abc"
    assert arrival.headers["x-forwarded-proto"] == "https"
    assert arrival.headers["host"] == HOST


def frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    """One frame of HTTP/2, RFC 9113, section 4.1."""
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def literal(name: bytes, value: bytes) -> bytes:
    """One header as HPACK's literal without indexing, RFC 7541, section 6.2.2."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


async def test_http2_carries_an_interaction(tmp_path: Path) -> None:
    """HTTP/2 is offered and used: the body comes to its home over one stream, and is answered with 200 there."""
    body = interaction(12344)
    headers = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", b"/interactions"),
        (b":authority", b"bot.test"),
    ]
    request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
    request += frame(HEADERS, END_HEADERS, 1, b"".join(literal(*pair) for pair in headers))
    request += frame(DATA, END_STREAM, 1, body)
    async with secured(tmp_path) as (running, port, files):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context(files, "h2", "http/1.1"), server_hostname=HOST
        )
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        writer.write(request)
        answered = b""
        async with asyncio.timeout(10):
            while not answered:
                head = await reader.readexactly(9)
                content = await reader.readexactly(int.from_bytes(head[:3], "big"))
                answered = content if head[3] == HEADERS else b""
        writer.close()
        [arrival] = running.instances[0].arrivals
    assert STATUS_200 in answered[:4]
    assert (arrival.body, arrival.headers["host"]) == (body, HOST)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_present_versions_of_tls_are_spoken(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """A client that knows only TLS 1.2, or only 1.3, is served, without a session ticket that outlives the key."""
    async with secured(tmp_path) as (_, port, files):
        made = context(files)
        made.minimum_version = made.maximum_version = version
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=made, server_hostname=HOST)
        assert writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
        writer.close()


async def test_older_versions_of_tls_are_refused(tmp_path: Path) -> None:
    """TLS 1.1 gets no handshake, even from a client that would take any cipher."""
    async with secured(tmp_path) as (_, port, files):
        old = context(files)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old, server_hostname=HOST)


def test_every_fault_of_tls_is_named(tmp_path: Path) -> None:
    """A missing file, a key in the certificate's place and a port used twice are told at once; no content is shown."""
    files = write_certificate(tmp_path, HOST)
    env = environment(["127.0.0.1:9001"], tmp_path, 18080, 18081)
    env |= {"TLS_LISTEN": "127.0.0.1:18080", "TLS_CERTIFICATE": str(files.key), "TLS_CERTIFICATE_KEY": "/nowhere.pem"}
    rendered = render(env, tmp_path / "conf")
    assert rendered.returncode == 2
    assert rendered.stderr.splitlines() == [
        "TLS_LISTEN must differ from PUBLIC_LISTEN",
        f"TLS_CERTIFICATE: no CERTIFICATE in PEM form is in {files.key}",
        "TLS_CERTIFICATE_KEY: there is no file /nowhere.pem",
    ]


@pytest.mark.parametrize(
    ("version", "listen", "directive"),
    [
        ("nginx version: nginx/1.22.1", "ssl http2;", False),
        ("nginx version: nginx/1.25.0 (Ubuntu)", "ssl http2;", False),
        ("nginx version: nginx/1.25.1", "ssl;", True),
        ("nginx version: nginx/1.29.3", "ssl;", True),
    ],
)
def test_http2_is_written_as_the_version_wants_it(tmp_path: Path, version: str, listen: str, directive: bool) -> None:
    """Before 1.25.1 it is a word of `listen`, from then on a directive: neither warns about the other's form."""
    files = write_certificate(tmp_path, HOST)
    binary = tmp_path / "nginx"
    binary.write_text(f"#!/bin/sh\necho '{version}' >&2\n")
    binary.chmod(0o700)
    env = environment(["127.0.0.1:9001"], tmp_path, 18080, 18081) | variables(files, 18443)
    rendered = render(env | {"NGINX_BINARY": str(binary)}, tmp_path / "conf")
    assert (rendered.returncode, rendered.stderr) == (0, "")
    text = (tmp_path / "conf/nginx.conf").read_text()
    assert f"listen 127.0.0.1:18443 {listen}" in text
    assert ("http2 on;" in text) is directive


@pytest.mark.parametrize(
    ("trusted", "header", "sent", "seen"),
    [
        ("", "", {"X_Forwarded_For": "203.0.113.7"}, "127.0.0.1"),
        ("10.0.0.0/8", "", {"X_Forwarded_For": "203.0.113.7"}, "127.0.0.1"),
        ("127.0.0.1", "", {"X_Forwarded_For": "203.0.113.7"}, "203.0.113.7"),
        ("127.0.0.1, 10.0.0.0/8", "", {"X_Forwarded_For": "198.51.100.9, 203.0.113.7, 10.1.1.1"}, "203.0.113.7"),
        ("127.0.0.1", "CF-Connecting-IP", {"CF_Connecting_IP": "2001:db8::7"}, "2001:db8::7"),
    ],
)
async def test_the_clients_address_is_believed_of_trusted_proxies_only(
    tmp_path: Path, trusted: str, header: str, sent: dict[str, str], seen: str
) -> None:
    """What a stranger writes into the header is ignored; what a trusted proxy adds names the client."""
    async with front(tmp_path, 1, REAL_IP_FROM=trusted, REAL_IP_HEADER=header) as running:
        async with connected(running.public_port) as client:
            await client.post(interaction(1), **sent)
        assert running.arrivals[0].headers["x-forwarded-for"] == seen


@pytest.mark.parametrize("wrong", ["10.0.0.0/8;", "proxy.example", "10.0.0.1/8/8", "10.1"])
def test_a_wrong_network_is_named(tmp_path: Path, wrong: str) -> None:
    """Nothing but addresses and networks gets into nginx's configuration."""
    env = environment(["127.0.0.1:9001"], tmp_path, 18080, 18081) | {"REAL_IP_FROM": f"10.0.0.0/8 {wrong}"}
    rendered = render(env, tmp_path / "conf")
    assert (rendered.returncode, rendered.stderr) == (2, f"REAL_IP_FROM: '{wrong}' is no address or network\n")
