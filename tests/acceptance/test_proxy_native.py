"""HTTPS under the operator's tool, without containers."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.native_kit import Bot, make_checkout
from tests.acceptance.proxy_kit import free_port, is_listening, needs_nginx
from tests.kit.certificate import CertificateFiles, write_certificate

pytestmark = [*needs_nginx, pytest.mark.processes]


@pytest.fixture(name="bot")
def a_bot(tmp_path: Path) -> Iterator[Bot]:
    """A system of stand-ins; ended whatever happens."""
    bot = Bot.prepare(make_checkout(tmp_path / "checkout"), tmp_path / "bot")
    yield bot
    bot.run("stop")
    assert bot.alive() == []


def status_over_tls(port: int, files: CertificateFiles) -> int:
    """GET /health over HTTPS, trusting this certificate alone."""
    context = ssl.create_default_context(cafile=files.certificate)
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    finally:
        connection.close()


def test_https_comes_and_is_renewed_without_a_stop(bot: Bot, tmp_path: Path) -> None:
    """`restart` adds HTTPS to a running system, takes a renewed certificate into use, and drops it again."""
    bot.start()
    port = free_port()
    files = write_certificate(tmp_path, "bot.test")
    secured = {"TLS_CERTIFICATE": f"'{files.certificate}'", "TLS_CERTIFICATE_KEY": f"'{files.key}'"}
    bot.configure(**secured, TLS_PORT=str(port))
    assert bot.run("restart").returncode == 0
    assert status_over_tls(port, files) == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        (tmp_path / "new").mkdir()
        status_over_tls(port, write_certificate(tmp_path / "new", "bot.test"))
    renewed = write_certificate(tmp_path, "bot.test")
    assert bot.run("restart").returncode == 0
    assert status_over_tls(port, renewed) == 200
    bot.configure()
    assert bot.run("restart").returncode == 0
    assert not is_listening(port)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"TLS_CERTIFICATE": "/nowhere/c.pem"}, "TLS_CERTIFICATE_KEY: is missing"),
        ({"TLS_CERTIFICATE": "c.pem", "TLS_CERTIFICATE_KEY": "/k.pem"}, "TLS_CERTIFICATE: must be an absolute path"),
        ({"TLS_CERTIFICATE": "/nowhere/c.pem", "TLS_CERTIFICATE_KEY": "/k.pem"}, "there is no file /nowhere/c.pem"),
        ({"REAL_IP_FROM": "10.0.0.0/8, proxy"}, "REAL_IP_FROM: is not a list of addresses"),
        ({"COMPOSE_PROFILES": "valky"}, "COMPOSE_PROFILES: is not a list of profiles"),
        ({"COMPOSE_PROFILES": "tunnel"}, "TUNNEL_TOKEN: is missing"),
        ({"CONTAINER_SUBNET": "10.1"}, "CONTAINER_SUBNET: is not the first three numbers"),
        ({"VALKEY_PASSWORD": "a:b@c"}, "VALKEY_PASSWORD: has a character"),
    ],
)
def test_a_wrong_ingress_is_named_and_nothing_starts(bot: Bot, changes: dict[str, str], fault: str) -> None:
    """The variable and what is wrong with it are told before anything runs."""
    bot.configure(**changes)
    done = bot.run("start", "--native")
    assert done.returncode != 0
    assert fault in done.stderr
    assert "a:b@c" not in done.stdout + done.stderr
